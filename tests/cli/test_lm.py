"""Stage 4: the files it writes."""

import gzip
from pathlib import Path

import pytest

from asrkit.cli.lm import run
from asrkit.config import CorpusConfig, LmConfig, RecipeConfig
from asrkit.errors import UserError
from asrkit.lm.arpa import read_arpa, read_vocabulary, write_arpa
from asrkit.lm.kneser_ney import estimate
from asrkit.lm.lmplz import find_lmplz
from asrkit.pipeline.experiment import Experiment
from asrkit.storage.files import read_json, write_jsonl_gz


def experiment_with(lm: LmConfig, directory: Path) -> Experiment:
    config = RecipeConfig(name="small", corpus=CorpusConfig(module="small", case="upper"), lm=lm)
    experiment = Experiment(config, directory / "exp", directory, directory / "recipe", jobs=1)
    for split, texts in (("train", ["YES NO", "NO"]), ("dev", ["YES", "NO MAYBE"])):
        rows = [{"id": str(number), "text": text} for number, text in enumerate(texts)]
        write_jsonl_gz(experiment.manifests / f"{split}_supervisions.jsonl.gz", rows)
    return experiment


def test_writes_model_and_report(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    experiment = experiment_with(LmConfig(order=1), tmp_path)
    run(experiment)
    report = read_json(experiment.lm / "report.json")
    assert report["ngrams"] == [5] == read_arpa(experiment.lm / "lm.arpa").counts
    assert (report["order"], report["estimator"], report["sentences"]) == (1, "builtin", 2)
    assert report["oov"] == {"dev": [1, 3]}
    assert report["perplexity"]["dev"] > 1
    log = capsys.readouterr().out
    assert "fall-back discounts 0.5 1.0 1.5" in log
    assert "1 of 3 words out of vocabulary" in log


def test_further_text_gets_the_corpus_letter_case(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    experiment = experiment_with(LmConfig(order=1, text="more.txt"), tmp_path)
    with pytest.raises(UserError, match=r"more\.txt"):
        run(experiment)
    experiment.recipe_directory.mkdir()
    (experiment.recipe_directory / "more.txt").write_text("maybe yes\n\nno\n")
    run(experiment)
    assert read_arpa(experiment.lm / "lm.arpa").vocabulary[3:] == ["MAYBE", "NO", "YES"]
    assert "2 sentences of more.txt" in capsys.readouterr().out


def test_ready_models_are_taken_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for name, order in (("small.arpa.gz", 1), ("large.arpa", 2)):
        write_arpa(estimate(["YES YES", "NO", "NEW"], order).model, tmp_path / name)
    experiment = experiment_with(
        LmConfig(arpa="small.arpa.gz", rescore_arpa="large.arpa", rescore_order=2), tmp_path
    )
    run(experiment)
    assert (experiment.lm / "lm.arpa").read_bytes() == gzip.decompress(
        (tmp_path / "small.arpa.gz").read_bytes()
    )
    assert (experiment.lm / "rescore.2.arpa").read_bytes() == (tmp_path / "large.arpa").read_bytes()
    report = read_json(experiment.lm / "report.json")
    assert (report["order"], report["estimator"], report["ngrams"]) == (1, "small.arpa.gz", [6])
    assert sorted(read_vocabulary(tmp_path / "small.arpa.gz")) == ["NEW", "NO", "YES"]
    other = experiment_with(
        LmConfig(arpa="small.arpa.gz", rescore_arpa="large.arpa", rescore_order=4), tmp_path
    )
    with pytest.raises(UserError, match=r"(?s)order 2.*order 4, as lm.rescore_order"):
        run(other)


def test_a_model_cut_short_is_refused(tmp_path: Path) -> None:
    write_arpa(estimate(["YES YES", "NO"], 1).model, tmp_path / "small.arpa.gz")
    (tmp_path / "small.arpa.gz").write_bytes((tmp_path / "small.arpa.gz").read_bytes()[:-20])
    experiment = experiment_with(LmConfig(arpa="small.arpa.gz"), tmp_path)
    with pytest.raises(UserError, match=r"small\.arpa\.gz"):
        run(experiment)
    assert not (experiment.lm / "lm.arpa").exists()


@pytest.mark.skipif(find_lmplz() is None, reason="lmplz isn't built: make lmplz")
def test_lmplz_where_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    experiment = experiment_with(LmConfig(order=1, estimator="lmplz"), tmp_path)
    run(experiment)
    assert read_json(experiment.lm / "report.json")["estimator"] == "lmplz"
    assert "fallback discounts" in capsys.readouterr().out

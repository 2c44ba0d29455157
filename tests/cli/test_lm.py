"""Stage 4: the files it writes."""

from pathlib import Path

import pytest

from asrkit.cli.lm import run
from asrkit.config import CorpusConfig, LmConfig, RecipeConfig
from asrkit.errors import UserError
from asrkit.lm.arpa import read_arpa
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


def test_two_texts_are_interpolated_where_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    lm = LmConfig(order=1, rescore_order=2, text="grammar.yaml", text_sentences=9, interpolate=True)
    experiment = experiment_with(lm, tmp_path)
    experiment.recipe_directory.mkdir()
    grammar = "kinds: {one: {weight: 1, sentences: [maybe yes, maybe]}}\n"
    (experiment.recipe_directory / "grammar.yaml").write_text(grammar)
    run(experiment)
    assert read_arpa(experiment.lm / "lm.arpa").vocabulary[3:] == ["MAYBE", "NO", "YES"]
    assert len(read_arpa(experiment.lm / "rescore.2.arpa").counts) == 2
    report = read_json(experiment.lm / "report.json")
    assert (report["sentences"], report["oov"]) == (11, {"dev": [0, 3]})
    assert [row["order"] for row in report["interpolation"]] == [1, 2]
    for row in report["interpolation"]:
        assert 0 < row["weight_of_transcripts"] < 1
        perplexities = row["perplexity_known"]
        assert perplexities["mixture"] < min(perplexities["transcripts"], perplexities["text"])
    assert report["interpolation"][0]["perplexity_known"]["mixture"] == pytest.approx(
        report["perplexity"]["dev"], rel=1e-6
    )
    assert "2-grams of the transcripts (perplexity" in capsys.readouterr().out


@pytest.mark.skipif(find_lmplz() is None, reason="lmplz isn't built: make lmplz")
def test_lmplz_where_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    experiment = experiment_with(LmConfig(order=1, estimator="lmplz"), tmp_path)
    run(experiment)
    assert read_json(experiment.lm / "report.json")["estimator"] == "lmplz"
    assert "fallback discounts" in capsys.readouterr().out

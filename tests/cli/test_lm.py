"""Stage 4: the files it writes."""

import subprocess
import sys
from pathlib import Path

import pytest

from asrkit.cli.lm import run
from asrkit.config import CorpusConfig, LmConfig, NeuralLmConfig, RecipeConfig
from asrkit.errors import UserError
from asrkit.lm.arpa import read_arpa
from asrkit.lm.lmplz import find_lmplz
from asrkit.lm.neural import make_neural_scorer
from asrkit.pipeline.experiment import REPOSITORY, Experiment
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


@pytest.mark.skipif(find_lmplz() is None, reason="lmplz isn't built: make lmplz")
def test_lmplz_where_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    experiment = experiment_with(LmConfig(order=1, estimator="lmplz"), tmp_path)
    run(experiment)
    assert read_json(experiment.lm / "report.json")["estimator"] == "lmplz"
    assert "fallback discounts" in capsys.readouterr().out


def test_a_neural_model_is_trained_beside_the_ngram_where_asked_for(tmp_path: Path) -> None:
    run(experiment_with(LmConfig(order=1), tmp_path / "without"))
    assert not (tmp_path / "without/exp/lm/neural.safetensors").exists()
    neural = NeuralLmConfig(layers=1, dim=8, epochs=2)
    experiment = experiment_with(LmConfig(order=1, neural=neural), tmp_path / "with")
    run(experiment)
    assert make_neural_scorer(experiment.lm / "neural.safetensors")([["YES"]]) < 0
    report = read_json(experiment.lm / "report.json")
    assert 1 < report["neural"]["perplexity_known"]["dev"] < 10
    report.pop("neural")
    assert report == read_json(tmp_path / "without/exp/lm/report.json")


def test_stage_lm_does_without_torch_where_no_neural_model_is_asked_for() -> None:
    code = "import sys, asrkit.cli.lm; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.stdout == "False\n"

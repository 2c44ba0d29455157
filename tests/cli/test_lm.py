"""Stage lm: the files it writes."""

import dataclasses
import gzip
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from asrkit.config import CorpusConfig, LmConfig, NeuralLmConfig, RecipeConfig, UnitsConfig
from asrkit.errors import UserError
from asrkit.lm.arpa import read_arpa, read_vocabulary, write_arpa
from asrkit.lm.kenlm import find_program
from asrkit.lm.kneser_ney import estimate
from asrkit.lm.neural import make_neural_scorer
from asrkit.pipeline.experiment import REPOSITORY, Experiment
from asrkit.stages.lm import run
from asrkit.storage.files import read_json, write_text
from tests.storage.json_lines import write_jsonl_gz


def experiment_with(lm: LmConfig, directory: Path) -> Experiment:
    config = RecipeConfig(name="small", corpus=CorpusConfig(module="small", case="upper"), lm=lm)
    experiment = Experiment(config, directory / "exp", directory, directory / "recipe", jobs=1)
    for split, texts in (("train", ["YES NO", "NO"]), ("dev", ["YES", "NO MAYBE"]), ("test", ["MAYBE"])):
        rows = [{"id": str(number), "text": text} for number, text in enumerate(texts)]
        write_jsonl_gz(experiment.folder("manifests") / f"{split}_supervisions.jsonl.gz", rows)
    return experiment


def test_writes_model_and_report(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    experiment = experiment_with(LmConfig(order=1), tmp_path)
    (experiment.folder("lm") / "sorting").mkdir(parents=True)
    (experiment.folder("lm") / "sorting" / "left by a killed run").touch()
    run(experiment)
    assert sorted(file.name for file in experiment.folder("lm").iterdir()) == ["lm.arpa", "report.json"]
    report = read_json(experiment.folder("lm") / "report.json")
    assert report["ngrams"] == [5] == read_arpa(experiment.folder("lm") / "lm.arpa").counts
    assert (report["order"], report["estimator"], report["sentences"]) == (1, "builtin", 2)
    assert report["oov"] == {"dev": [1, 3]}
    assert report["perplexity"]["dev"] > 1
    log = capsys.readouterr().out
    assert "fallback discounts 0.5 1.0 1.5" in log
    assert "1 of 3 words out of vocabulary" in log


def test_extra_text_gets_the_corpus_letter_case(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    experiment = experiment_with(LmConfig(order=1, text="more.txt"), tmp_path)
    with pytest.raises(UserError, match=r"more\.txt"):
        run(experiment)
    experiment.recipe_directory.mkdir()
    (experiment.recipe_directory / "more.txt").write_text("maybe yes\n\nno\n")
    run(experiment)
    assert read_arpa(experiment.folder("lm") / "lm.arpa").vocabulary[3:] == ["MAYBE", "NO", "YES"]
    assert "2 sentences of more.txt" in capsys.readouterr().out


def test_sentences_of_dev_and_test_in_extra_text_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    experiment = experiment_with(LmConfig(order=1, text="more.txt"), tmp_path)
    experiment.recipe_directory.mkdir()
    (experiment.recipe_directory / "more.txt").write_text("no  maybe\nno\nmaybe\nno maybe\nyes yes\n")
    run(experiment)
    report = read_json(experiment.folder("lm") / "report.json")
    assert report["heldout_in_text"] == {"dev": [1, 2], "test": [1, 1]}
    assert report["sentences"] == 2 + 5
    assert "1 of 2 sentences of dev occur in more.txt" in capsys.readouterr().out


def test_the_unknown_word_replaces_words_without_pronunciation(tmp_path: Path) -> None:
    experiment = experiment_with(LmConfig(order=2, text="more.txt"), tmp_path)
    units = UnitsConfig(kind="phones", unknown_word="<OOV>")
    experiment = dataclasses.replace(
        experiment, config=msgspec.structs.replace(experiment.config, units=units)
    )
    experiment.recipe_directory.mkdir()
    (experiment.recipe_directory / "more.txt").write_text("never no\n")
    words = ["<eps>", "<OOV>", "NO", "<s>", "</s>"]
    write_text(experiment.folder("units") / "words.txt", "".join(f"{w} {i}\n" for i, w in enumerate(words)))
    run(experiment)  # the transcripts have YES and NO
    model = read_arpa(experiment.folder("lm") / "lm.arpa")
    assert model.vocabulary[3:] == ["<OOV>", "NO"]
    pairs = {tuple(model.vocabulary[word] for word in row) for row in model.tables[1].words}
    assert ("<OOV>", "NO") in pairs and ("<s>", "<OOV>") in pairs


def test_models_of_two_texts_are_interpolated(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    lm = LmConfig(order=1, rescore_order=2, text="grammar.yaml", text_sentences=9, interpolate=True)
    experiment = experiment_with(lm, tmp_path)
    experiment.recipe_directory.mkdir()
    grammar = "kinds: {one: {weight: 1, sentences: [maybe yes, maybe]}}\n"
    (experiment.recipe_directory / "grammar.yaml").write_text(grammar)
    run(experiment)
    assert read_arpa(experiment.folder("lm") / "lm.arpa").vocabulary[3:] == ["MAYBE", "NO", "YES"]
    assert len(read_arpa(experiment.folder("lm") / "rescore.2.arpa").counts) == 2
    report = read_json(experiment.folder("lm") / "report.json")
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


def test_given_models_are_interpolated_with_the_transcripts(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    given = {"arpa": "given.arpa", "rescore_order": 2, "rescore_arpa": "given2.arpa"}
    experiment = experiment_with(LmConfig(interpolate=True, **given), tmp_path)
    for order, name in ((1, "given.arpa"), (2, "given2.arpa")):
        model, _ = estimate(["MAYBE YES", "MAYBE"], order)
        write_arpa(model, experiment.recipe_directory / name)
    run(experiment)
    graphs, larger = (read_arpa(experiment.folder("lm") / name) for name in ("lm.arpa", "rescore.2.arpa"))
    assert graphs.vocabulary[3:] == larger.vocabulary[3:] == ["MAYBE", "NO", "YES"]
    assert (len(graphs.tables), len(larger.tables)) == (1, 2)
    entry, _ = read_json(experiment.folder("lm") / "report.json")["interpolation"]
    assert entry["perplexity_known"]["mixture"] < min(
        entry["perplexity_known"][name] for name in ("transcripts", "given")
    )
    assert "given.arpa (" in capsys.readouterr().out


def test_a_given_model_without_unknown_word_is_not_interpolated(tmp_path: Path) -> None:
    experiment = experiment_with(LmConfig(arpa="given.arpa", interpolate=True), tmp_path)
    text = "\\data\\\nngram 1=3\n\n\\1-grams:\n-99\t<s>\n-0.3\t</s>\n-0.3\tYES\n\n\\end\\\n"
    write_text(experiment.recipe_directory / "given.arpa", text)
    with pytest.raises(UserError, match=r"given\.arpa has no <unk>") as caught:
        run(experiment)
    assert caught.value.todo == "--set lm.interpolate=false uses it as it is"


def test_only_the_graph_s_model_is_pruned(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("kenlm", reason="kenlm isn't installed: it queries models of order 2 and up")
    experiment = experiment_with(LmConfig(order=3, rescore_order=3, prune=0.02), tmp_path)
    run(experiment)
    assert read_arpa(experiment.folder("lm") / "rescore.3.arpa").counts == [5, 4, 3]
    assert read_arpa(experiment.folder("lm") / "lm.arpa").counts == [5, 3]
    assert "8 of 12 n-grams are left by lm.prune 0.02" in capsys.readouterr().out


def test_the_last_min_count_is_also_that_of_higher_orders(tmp_path: Path) -> None:
    experiment = experiment_with(LmConfig(order=1, rescore_order=3, min_counts=(1, 2)), tmp_path)
    with pytest.raises(UserError, match="no 3-grams occur 2 times"):
        run(experiment)


def test_ready_models_are_copied(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for name, order in (("small.arpa", 1), ("large.arpa", 2)):
        write_arpa(estimate(["YES YES", "NO", "NEW"], order).model, tmp_path / name)
    (tmp_path / "small.arpa.gz").write_bytes(gzip.compress((tmp_path / "small.arpa").read_bytes()))
    experiment = experiment_with(
        LmConfig(arpa="small.arpa.gz", rescore_arpa="large.arpa", rescore_order=2), tmp_path
    )
    run(experiment)
    assert (experiment.folder("lm") / "lm.arpa").read_bytes() == (tmp_path / "small.arpa").read_bytes()
    assert (experiment.folder("lm") / "rescore.2.arpa").read_bytes() == (tmp_path / "large.arpa").read_bytes()
    report = read_json(experiment.folder("lm") / "report.json")
    assert (report["order"], report["estimator"], report["ngrams"]) == (1, "small.arpa.gz", [6])
    assert sorted(read_vocabulary(tmp_path / "small.arpa.gz")) == ["NEW", "NO", "YES"]
    other = experiment_with(
        LmConfig(arpa="small.arpa.gz", rescore_arpa="large.arpa", rescore_order=4), tmp_path
    )
    with pytest.raises(UserError, match=r"(?s)order 2.*order 4, as lm.rescore_order"):
        run(other)


def test_a_truncated_model_is_refused(tmp_path: Path) -> None:
    write_arpa(estimate(["YES YES", "NO"], 1).model, tmp_path / "small.arpa")
    packed = gzip.compress((tmp_path / "small.arpa").read_bytes())
    (tmp_path / "small.arpa.gz").write_bytes(packed[:-20])
    experiment = experiment_with(LmConfig(arpa="small.arpa.gz"), tmp_path)
    with pytest.raises(UserError, match=r"small\.arpa\.gz"):
        run(experiment)
    assert not (experiment.folder("lm") / "lm.arpa").exists()


@pytest.mark.skipif(find_program("lmplz") is None, reason="lmplz isn't built: make lmplz")
def test_lmplz_as_estimator(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    experiment = experiment_with(LmConfig(order=1, estimator="lmplz"), tmp_path)
    run(experiment)
    assert read_json(experiment.folder("lm") / "report.json")["estimator"] == "lmplz"
    assert "fallback discounts" in capsys.readouterr().out


def test_a_neural_model_is_trained_if_it_is_set(tmp_path: Path) -> None:
    run(experiment_with(LmConfig(order=1), tmp_path / "without"))
    assert not (tmp_path / "without/exp/lm/neural.safetensors").exists()
    neural = NeuralLmConfig(layers=1, dim=8, epochs=2)
    experiment = experiment_with(LmConfig(order=1, neural=neural), tmp_path / "with")
    run(experiment)
    assert make_neural_scorer(experiment.folder("lm") / "neural.safetensors")([["YES"]]) < 0
    report = read_json(experiment.folder("lm") / "report.json")
    assert 1 < report["neural"]["perplexity_known"]["dev"] < 10
    report.pop("neural")
    assert report == read_json(tmp_path / "without/exp/lm/report.json")


def test_stage_lm_imports_no_torch_without_a_neural_model() -> None:
    code = "import sys, asrkit.stages.lm; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.stdout == "False\n"

"""Stage score and the two verbs on an experiment written by hand."""

import dataclasses
import json
from pathlib import Path
from typing import Any, Dict, Optional

import msgspec
import pytest
from click.testing import CliRunner, Result

from asrkit.cli import check_results, report
from asrkit.config.recipe import CorpusConfig, RecipeConfig, ScoreConfig, UnitsConfig
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.score.report import TABLE_BEGIN, TABLE_END, render_table
from asrkit.stages import score
from asrkit.storage.files import read_json, write_json, write_jsonl, write_text
from asrkit.text.units import build_units
from asrkit.train.earlier_training import FILE
from tests.storage.json_lines import write_jsonl_gz

TEXTS = {"u1": "GO TO TEN", "u2": "STOP NOW", "u3": "GO ON"}


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    made = Experiment(
        config=RecipeConfig(
            name="tiny", corpus=CorpusConfig(module="tiny"), score=ScoreConfig(bootstrap_samples=100)
        ),
        directory=tmp_path / "exp",
        corpus_directory=tmp_path / "corpus",
        recipe_directory=tmp_path / "recipes" / "tiny",
        jobs=1,
    )
    build_units(UnitsConfig(kind="characters"), list(TEXTS.values()), made.folder("units"))
    for split in ("dev", "test"):
        rows = [{"id": key, "speaker": "s" + key[1], "text": text} for key, text in TEXTS.items()]
        write_jsonl_gz(made.folder("manifests") / f"{split}_supervisions.jsonl.gz", rows)
        cuts = [{"id": key, "custom": {"snr": 7.5} if key == "u1" else None} for key in TEXTS]
        write_jsonl_gz(made.folder("manifests") / f"{split}_cuts.jsonl.gz", cuts)
        decode(made, split, "greedy", {"u1": "GO TWO TEN", "u2": "STOP", "u3": "GO ON"})
        decode(made, split, "1best", {"u1": "GO TO TEN", "u2": "STOP NOW NOW", "u3": "GO ON"})
    return made


def decode(experiment: Experiment, split: str, method: str, hypotheses: Dict[str, str]) -> None:
    folder = experiment.folder("decode") / split
    rows = [{"id": key, "hyp": text.split()} for key, text in hypotheses.items()]
    write_jsonl(folder / f"hypotheses_{method}.jsonl", rows)
    timing: Dict[str, Any] = {"audio_seconds": 50.0, "seconds": 2.0, "fallbacks": {"wider_beam": 1}}
    write_json(folder / f"timing_{method}.json", {**timing, "settings": {"lm_scale": 0.5}})


def test_a_partial_corpus_is_named_in_every_table(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    write_json(experiment.folder("manifests") / "statistics.json", {"partial": "6 of 1,205 utterances"})
    score.run(experiment)
    results = read_json(experiment.directory / "results.json")
    assert {row["partial"] for row in results} == {"6 of 1,205 utterances"}
    printed = capsys.readouterr().out.splitlines()[-len(results) :]
    text = (experiment.directory / "RESULTS.md").read_text()
    assert "**Partial**: 6 of 1,205 utterances of the corpus" in text
    rows = [line for line in text.splitlines() if line.startswith(("| test |", "| dev ")) and "% [" in line]
    table = render_table([("tiny", results, {})]).splitlines()[2:]
    for lines, count in ((printed, 12), (rows, 8), (table, 1)):
        assert len(lines) == count
        assert all(", partial: 6 of 1,205 utterances" in line for line in lines)


def test_a_set_that_the_initial_model_was_trained_on_is_named(experiment: Experiment) -> None:
    known = [{"audio_content": of, "start": 0.0, "duration": 2.0} for of in ("a", "b")]
    write_jsonl_gz(experiment.folder("train") / FILE, known)
    for split, contents in (("test", "bcd"), ("dev", "cde")):
        place = {"start": 0.0, "duration": 1.5}
        cuts = [{"id": f"u{n}", **place, "custom": {"audio_content": of}} for n, of in enumerate(contents, 1)]
        write_jsonl_gz(experiment.folder("manifests") / f"{split}_cuts.jsonl.gz", cuts)
    score.run(experiment)
    results = read_json(experiment.directory / "results.json")
    assert {(row["set"], row["in_training_data"]) for row in results} == {
        ("test", "1 of 3 utterances"),
        ("dev", None),
    }
    text = (experiment.directory / "RESULTS.md").read_text()
    assert "1 of 3 utterances of test were training data of this model or the one it started from" in text
    assert ", in training data: 1 of 3 utterances" in render_table([("tiny", results, {})])


def invoke(command: Any, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def test_records_listings_and_table(experiment: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
    score.run(experiment)
    results = read_json(experiment.directory / "results.json")
    assert [(row["set"], row["role"], row["method"], row["unit"]) for row in results] == [
        (split, split, method, unit)
        for split in ("test", "dev")
        for method in ("greedy", "1best")
        for unit in ("word", "character", "unit")
    ]
    greedy = results[0]
    counts = [greedy[key] for key in ("errors", "reference", "insertions", "deletions", "substitutions")]
    assert counts == [2, 7, 0, 1, 1]
    assert greedy["rate"] == pytest.approx(200 / 7)
    assert (greedy["rtf"], greedy["utterances"], greedy["settings"]) == (0.04, 3, {"lm_scale": 0.5})
    assert greedy["speakers"] == {"s2": [1, 2], "s1": [1, 3], "s3": [0, 2]}
    assert greedy["interval_by_speaker"] is None
    assert greedy["snr"] == {"5 to 10 dB": [1, 3]}
    assert greedy["confusions"]["substitutions"] == [["TO", "TWO", 1]]
    assert results[2]["errors"] == 4  # units: W, and the three of NOW
    assert "HYP: GO TWO TEN" in (experiment.folder("score") / "test_greedy.txt").read_text()
    assert "test       1best   WER 1/7 = 14.29 % [" in capsys.readouterr().out
    assert "| test | **1best** | 1/7 = 14.29 % [" in (experiment.directory / "RESULTS.md").read_text()


def test_character_language_has_its_unit_first(experiment: Experiment) -> None:
    config = RecipeConfig(
        name="tiny",
        corpus=CorpusConfig(module="tiny"),
        score=ScoreConfig(unit="character", bootstrap_samples=50),
    )
    score.run(dataclasses.replace(experiment, config=config))
    assert read_json(experiment.directory / "results.json")[0]["unit"] == "character"
    assert "HYP: GOTWOTEN" in (experiment.folder("score") / "test_greedy.txt").read_text()


def test_normalisation_is_on_both_sides_and_listed(experiment: Experiment) -> None:
    decode(experiment, "test", "greedy", {"u1": "go, to ten", "u2": "stop now!", "u3": "GO ON"})
    settings = ScoreConfig(normalise=("lower", "strip-punctuation"), bootstrap_samples=50)
    config = msgspec.structs.replace(experiment.config, score=settings)
    score.run(dataclasses.replace(experiment, config=config))
    first, _, units = read_json(experiment.directory / "results.json")[:3]
    assert (first["errors"], first["reference"], first["normalise"]) == (0, 7, ["lower", "strip-punctuation"])
    assert units["errors"] > 0  # of what the model puts out
    assert "(score.normalise): lower, strip-punctuation." in (experiment.directory / "RESULTS.md").read_text()


def test_files_for_sclite_hold_every_utterance(experiment: Experiment) -> None:
    score.run(experiment)
    assert (experiment.folder("score") / "test_greedy.ref.trn").read_text() == (
        "GO TO TEN (s1-u1)\nSTOP NOW (s2-u2)\nGO ON (s3-u3)\n"
    )
    assert (experiment.folder("score") / "test_greedy.hyp.trn").read_text() == (
        "GO TWO TEN (s1-u1)\nSTOP (s2-u2)\nGO ON (s3-u3)\n"
    )


def test_confidences_are_calibrated_and_in_a_ctm(experiment: Experiment) -> None:
    hypotheses = experiment.folder("decode") / "test" / "hypotheses_1best.jsonl"
    row = {"id": "u1", "hyp": ["GO", "TEN"], "timed": [[0.1, 0.2, 0.75], [0.5, 0.3, 0.85]]}
    write_jsonl(hypotheses, [row, {"id": "u2", "hyp": ["STOP", "NOW"]}, {"id": "u3", "hyp": ["GO", "ON"]}])
    score.run(experiment)
    greedy, one_best = read_json(experiment.directory / "results.json")[0:4:3]
    assert greedy["calibration"] is None
    calibration = one_best["calibration"]
    assert (calibration["words"], calibration["expected_error"]) == (2, pytest.approx(0.2))
    assert "u1 1 0.50 0.30 TEN 0.8500\n" in (experiment.folder("score") / "test_1best.hyp.ctm").read_text()
    assert not (experiment.folder("score") / "test_greedy.hyp.ctm").exists()
    listing = (experiment.folder("score") / "test_1best.txt").read_text()
    assert "Words by confidence, expected calibration error 0.200 (2 words)\n  0.7-0.8  1 words" in listing
    assert "| test | 1best | 2 | 0.200 |" in (experiment.directory / "RESULTS.md").read_text()


def test_all_confusions_lie_beside_the_listing(experiment: Experiment) -> None:
    score.run(experiment)
    found = read_json(experiment.folder("score") / "test_greedy.json")
    assert list(found) == ["word", "character", "unit"]
    assert found["word"]["confusions"]["deletions"] == [["NOW", "", 1]]
    assert found["word"]["lengths"] == {"1-4": [2, 7]}


def test_undecoded_utterance_counts_as_deleted(experiment: Experiment) -> None:
    row = {"id": "u3", "split": "test", "reason": "shorter than its text"}
    write_jsonl(experiment.folder("features") / "rejected.jsonl", [row])
    for method in ("greedy", "1best"):
        decode(experiment, "test", method, {"u1": "GO TO TEN", "u2": "STOP NOW"})
    score.run(experiment)
    first = read_json(experiment.directory / "results.json")[0]
    assert (first["reference"], first["deletions"], first["rejected"], first["lost"]) == (7, 2, 1, 0)
    assert "u3  shorter than its text" in (experiment.folder("score") / "test_greedy.txt").read_text()


def test_silently_missing_utterance_is_refused(experiment: Experiment) -> None:
    decode(experiment, "test", "greedy", {"u1": "GO TO TEN", "u2": "STOP NOW"})
    with pytest.raises(UserError, match="1 without a hypothesis: u3"):
        score.run(experiment)
    assert not (experiment.directory / "results.json").exists()


def test_undecoded_set_is_refused(experiment: Experiment) -> None:
    for file in (experiment.folder("decode") / "test").iterdir():
        file.unlink()
    with pytest.raises(UserError, match="test has not been decoded"):
        score.run(experiment)


def keep(experiment: Experiment, cost: Optional[Dict[str, Any]] = None) -> Result:
    """Score, then `asrkit report` into a project of one recipe."""
    root = experiment.recipe_directory.parent.parent
    score.run(experiment)
    write_json(experiment.directory / "cost.json", cost or {"commit": "abc", "parameters": 7})
    write_text(experiment.directory / "recipe.yaml", "name: tiny\nlm: {order: 2}\n")
    write_text(experiment.recipe_directory / "recipe.yaml", "name: tiny\n")
    write_text(root / "README.md", f"# top\n{TABLE_BEGIN}\n{TABLE_END}\nend\n")
    project = ["--recipes", str(root / "recipes"), "--readme", str(root / "README.md")]
    made = invoke(
        report.command,
        *["--exp", str(experiment.directory), "--recipe", str(experiment.recipe_directory)],
        *project,
    )
    assert made.exit_code == 0, made.output
    return invoke(report.command, "--check", *project)


def test_report_is_made_from_kept_records(experiment: Experiment) -> None:
    assert keep(experiment).exit_code == 0
    records = experiment.recipe_directory / "records"
    measured = experiment.directory / "results.json"
    assert (records / "results.json").read_text() == measured.read_text()
    assert (records / "recipe.yaml").read_text() == (experiment.directory / "recipe.yaml").read_text()
    command = "recipes/tiny/run.sh --config recipes/tiny/records/recipe.yaml"
    assert f"| command | `{command}` |" in (experiment.recipe_directory / "RESULTS.md").read_text()
    assert "| commit | `abc` |" in (experiment.recipe_directory / "RESULTS.md").read_text()
    readme = (experiment.recipe_directory.parent.parent / "README.md").read_text()
    assert readme.startswith("# top\n") and readme.endswith("\nend\n")
    assert readme.count("| [tiny](recipes/tiny/RESULTS.md) | 1best | test: WER 1/7") == 1


def test_report_check_sees_a_figure_changed_by_hand(experiment: Experiment) -> None:
    keep(experiment)
    file = experiment.recipe_directory / "RESULTS.md"
    write_text(file, file.read_text().replace("1/7", "0/7"))
    root = experiment.recipe_directory.parent.parent
    arguments = ["--check", "--recipes", str(root / "recipes"), "--readme", str(root / "README.md")]
    found = invoke(report.command, *arguments)
    assert isinstance(found.exception, UserError)
    assert "RESULTS.md" in found.exception.found


def test_check_results_fails_when_worse(experiment: Experiment) -> None:
    score.run(experiment)
    where = ["--exp", str(experiment.directory), "--set-name", "test", "--method", "1best"]
    passed = invoke(check_results.command, *where, "--max-rate", "15", "--max-errors", "1")
    assert passed.exit_code == 0
    assert "WER 1/7" in passed.output
    for limit, expected in (
        (["--max-rate", "14"], "at most 14 %"),
        (["--max-errors", "0"], "at most 0 errors"),
        (["--max-rate", "14", "--max-errors", "0"], "at most 14 % and at most 0 errors"),
        ([], "--max-rate or --max-errors"),
        (
            ["--method", "absent", "--max-errors", "9"],
            "one of: test greedy, test 1best, dev greedy, dev 1best",
        ),
    ):
        failed = invoke(check_results.command, *where, *limit)
        assert failed.exit_code == 1
        assert isinstance(failed.exception, UserError)
        assert failed.exception.expected == expected


def test_results_lacking_a_key_are_refused(experiment: Experiment) -> None:
    score.run(experiment)
    file = experiment.directory / "results.json"
    rows = json.loads(file.read_text())
    del rows[1]["interval"]
    write_json(file, rows)
    failed = invoke(
        check_results.command,
        *["--exp", str(experiment.directory), "--set-name", "test", "--method", "1best", "--max-rate", "99"],
    )
    assert isinstance(failed.exception, UserError)
    assert "field `interval`" in failed.exception.found

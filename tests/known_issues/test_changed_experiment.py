"""evaluate, compare and report took a flipped or foreign model, scales, hypotheses or results as they were.
They now compare what they read with the stages' records, and refuse."""

import dataclasses
import re
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, Iterable

import pytest
from click.testing import CliRunner

from asrkit.cli import check_results, export_kaldi, report
from asrkit.errors import UserError
from asrkit.pipeline.experiment import open_experiment
from asrkit.pipeline.record import Record, encode_record, find_origin, find_outputs, record_file
from asrkit.pipeline.runner import cache_of
from asrkit.stages.table import stage_named
from asrkit.storage.files import write_bytes, write_checked_json, write_text
from tests.cli.test_compare import TEXTS, make
from tests.cli.test_compare import run as compare


def finish(directory: Path, names: Iterable[str]) -> None:
    """Write records of stages, as if they had made what is there."""
    experiment = open_experiment(directory)
    for stage in map(stage_named, names):
        stage = dataclasses.replace(stage, module="asrkit", corpus_code=False)  # whose code is quick to read
        origin = find_origin(stage, experiment, cache_of(experiment))
        outputs = find_outputs(stage, experiment, cache_of(experiment))
        made = {name: fingerprint for name, fingerprint in outputs.items() if fingerprint}
        record = Record(
            *(origin.key, origin.inputs, origin.settings, {}, origin.version, {}, made, 0.0, 0.0, 0, 0, [])
        )
        write_bytes(record_file(stage, experiment), encode_record(record))


def verb(command: Any, *arguments: object) -> str:
    result = CliRunner().invoke(command, [str(each) for each in arguments])
    if result.exception is not None:
        raise result.exception
    return result.output


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    directory = make(tmp_path / "a", TEXTS, {"u1": "GO TO", "u2": "STOP NOW"})
    write_checked_json(directory / "cost.json", {"parameters": 7})
    finish(directory, ("download", "manifests", "features", "units", "lm", "graph", "train", "average"))
    finish(directory, ("decode", "score"))
    return directory


def replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    def damage(directory: Path) -> None:
        before = (directory / name).read_text()
        assert re.search(old, before)
        (directory / name).write_text(re.sub(old, new, before, count=1))

    return damage


def gone(name: str) -> Callable[[Path], None]:
    return lambda directory: (directory / name).unlink()


DAMAGES: Dict[str, Callable[[Path], None]] = {
    "a hypothesis": replaced("decode/test/hypotheses_greedy.jsonl", '"TO"', '"TEN"'),
    "a result": replaced("results.json", '"errors": 1', '"errors": 0'),
    "a timing": replaced("decode/test/timing_greedy.json", "1.0", "2.0"),
    "a unit": replaced("units/units.txt", "T", "X"),
    "a setting": replaced("recipe.yaml", "bootstrap_samples: 50", "bootstrap_samples: 60"),
    "another list of rejected": lambda directory: write_text(
        directory / "features" / "rejected.jsonl", '{"id": "u1", "split": "test", "reason": "noise"}\n'
    ),
    "manifests gone": gone("manifests/test_cuts.jsonl.gz"),
    "no record": gone("stages/score.json"),
    "half a record": lambda directory: write_bytes(directory / "stages" / "score.json", b"{"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_changed_results_are_neither_compared_nor_kept(scored: Path, tmp_path: Path, name: str) -> None:
    other = Path(shutil.copytree(scored, tmp_path / "b"))
    recipe = tmp_path / "recipes" / "tiny"
    write_text(recipe / "recipe.yaml", (scored / "recipe.yaml").read_text())
    readme = tmp_path / "README.md"
    readme.write_text("<!-- results: begin; written by asrkit report -->\n<!-- results: end -->\n")
    keep = ("--exp", scored, "--recipe", recipe, "--recipes", tmp_path / "recipes", "--readme", readme)
    limits = ("--exp", scored, "--set-name", "test", "--method", "greedy", "--max-errors", 9)
    assert "1/5" in compare(scored, other) and "1/5" in verb(check_results.command, *limits)
    DAMAGES[name](scored)
    for refused in (
        lambda: compare(scored, other),
        lambda: compare(other, scored),
        lambda: verb(check_results.command, *limits),
        lambda: verb(report.command, *keep),
    ):
        with pytest.raises(
            UserError, match=r"isn't as stage 9 \(score\) left it|stage 9 \(score\) has not"
        ) as error:
            refused()
        assert error.value.todo.startswith("run.sh") and "without --stage" in error.value.todo
    assert not (recipe / "records").exists()


def test_settings_and_cost_that_are_kept_are_those_of_the_run(scored: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipes" / "tiny"
    write_text(recipe / "recipe.yaml", (scored / "recipe.yaml").read_text())
    keep = ("--exp", scored, "--recipe", recipe, "--recipes", tmp_path / "recipes")
    settings = (scored / "recipe.yaml").read_text()
    replaced("recipe.yaml", r"learning_rate: [\d.e-]+", "learning_rate: 0.5")(scored)
    with pytest.raises(UserError, match=r"setting \S+learning_rate isn't as stage \d"):
        verb(report.command, *keep)
    (scored / "recipe.yaml").write_text(settings)
    replaced("cost.json", '"parameters": 7', '"parameters": 8')(scored)
    with pytest.raises(UserError, match=r"cost\.json: it is damaged"):
        verb(report.command, *keep)


def test_changed_manifests_are_not_exported(scored: Path, tmp_path: Path) -> None:
    content = (scored / "manifests" / "test_cuts.jsonl.gz").read_bytes()
    (scored / "manifests" / "test_cuts.jsonl.gz").write_bytes(content[:-9] + b"x" + content[-8:])
    with pytest.raises(UserError, match=r"test_cuts\.jsonl\.gz isn't as stage 1 \(manifests\) left it"):
        verb(export_kaldi.command, "--exp", scored, tmp_path / "kaldi")
    assert not (tmp_path / "kaldi").exists()


def test_without_any_records_a_warning_is_printed(scored: Path) -> None:
    shutil.rmtree(scored / "stages")
    assert "warning: " in compare(scored, scored)

"""A damaged EXP/robustness/SET.json stopped stages score and show, with the advice to run them again.

asrkit robustness found out only after decoding that it couldn't write its output, and reported a misspelt set
as missing files of a stage. If asrkit evaluate couldn't write to --output, the error named --exp.
"""

from pathlib import Path
from typing import List

import msgspec
import pytest
from click.testing import CliRunner

from asrkit.cli import latency, robustness
from asrkit.config import load_config
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment, write_settings
from asrkit.pipeline.lock import hold_lock
from asrkit.score.robustness import (
    FOLDER,
    Measurement,
    fingerprint_model,
    read_measurement,
    read_measurements,
    write_measurement,
)
from tests.recipes.miniature import PROJECT
from tests.score.test_robustness import system


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    config = load_config(PROJECT / "recipes/yesno/recipe.yaml")
    write_settings(tmp_path / "exp", config)
    return Experiment(config, tmp_path / "exp", tmp_path, tmp_path / "exp", 1)


@pytest.fixture
def measured(experiment: Experiment) -> Experiment:
    """The experiment, with measurements of two sets."""
    for name in ("dev", "test"):
        found = msgspec.structs.replace(system("yesno", 3), model=fingerprint_model(experiment))
        write_measurement(
            experiment.directory / FOLDER, name, Measurement(name, "greedy", "word", 1, [found])
        )
    return experiment


@pytest.mark.parametrize("damage", ["{", '{"set": "test"}', None])
def test_a_damaged_measurement_is_left_out_with_a_warning(
    measured: Experiment, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    folder = measured.directory / FOLDER
    if damage is None:
        (folder / "test.svg").unlink()
    else:
        (folder / "test.json").write_text(damage)
    assert list(read_measurements(measured)) == ["dev"]
    printed = capsys.readouterr().err
    assert "left out" in printed and "asrkit robustness --exp" in printed and "run.sh" not in printed
    with pytest.raises(UserError) as error:
        read_measurement(folder / "test.json")
    assert "asrkit robustness" in error.value.todo


@pytest.mark.parametrize("of_systems", ["[]", "[7]"])
def test_a_measurement_of_no_system_is_damaged(measured: Experiment, of_systems: str) -> None:
    file = measured.directory / FOLDER / "test.json"
    file.write_text(
        f'{{"set": "test", "method": "greedy", "unit": "word", "seed": 1, "systems": {of_systems}}}'
    )
    with pytest.raises(UserError, match=r"can't read .*test\.json"):
        read_measurement(file)


def refusal(command: object, words: List[str]) -> UserError:
    with pytest.raises(UserError) as error:
        CliRunner().invoke(command, words, catch_exceptions=False)  # type: ignore[arg-type]
    return error.value


def test_a_misspelt_set_lists_the_sets(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asrkit.recognise.opening.refuse_whole_utterances", lambda experiment: None)
    for command in (robustness.command, latency.command):
        error = refusal(command, ["--exp", str(experiment.directory), "--set-name", "tset"])
        assert error.found == "no set tset" and error.where == "--set-name"
        assert error.expected.startswith("one of the decoded sets: test, dev")


def test_a_folder_that_cannot_be_written_is_found_before_decoding(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(*_: object) -> None:
        pytest.fail("decoded")

    monkeypatch.setattr("asrkit.recognise.robustness.measure_robustness", measure)
    (tmp_path / "file").write_text("")
    words = ["--exp", str(experiment.directory), "--output", str(tmp_path / "file" / "below")]
    error = refusal(robustness.command, words)
    assert error.found.startswith("can't write to") and error.where == "--output"


def test_a_lock_names_the_option_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as error, hold_lock(tmp_path / "file", ["asrkit"], "--output"):
        pass
    assert error.value.where == "--output" and "with --output" in error.value.todo

"""--output with the name of a folder replaced that folder, and `evaluate` the results of another CutSet.

run.sh accepted the folder of an evaluation as an experiment, and `robustness` merged kinds of noise.
"""

import importlib
import shutil
from pathlib import Path
from typing import Tuple

import pytest
from click.testing import CliRunner

from asrkit.cli.evaluate import _refuse_other_folder
from asrkit.errors import UserError
from asrkit.pipeline.cluster import check_cluster
from asrkit.pipeline.finished import MADE_OF
from asrkit.signal.conditions import make_conditions
from asrkit.storage.files import write_checked_json
from tests.corpus.sound import noise, write_audio
from tests.pipeline.toy import Toy


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("align", ("a.wav", "a.txt", "--exp", "EXP", "--output")),
        ("show", ("EXP", "--output")),
        ("compare", ("A", "B", "--html")),
        pytest.param("graph", ("draw", "HLG", "--output"), marks=pytest.mark.k2),
    ],
)
def test_a_folder_is_refused_as_an_output_file(tmp_path: Path, verb: str, words: Tuple[str, ...]) -> None:
    (tmp_path / "mine").write_text("keep")
    command = importlib.import_module(f"asrkit.cli.{verb}").command
    result = CliRunner().invoke(command, [*words, str(tmp_path)])
    assert result.exit_code == 2 and "is a directory" in result.output
    assert (tmp_path / "mine").read_text() == "keep"


def test_a_cut_set_of_the_same_name_needs_another_folder(tmp_path: Path) -> None:
    one, two, output = tmp_path / "1/cuts.jsonl", tmp_path / "2/cuts.jsonl", tmp_path / "evaluate"
    for file in (one, two):
        file.parent.mkdir()
        file.write_text("")
    output.mkdir()
    write_checked_json(output / MADE_OF, {"cuts": str(one)})
    _refuse_other_folder(output, one)
    with pytest.raises(UserError, match=f"holds the evaluation of {one}"):
        _refuse_other_folder(output, two)
    one.unlink()  # as if it had been moved
    _refuse_other_folder(output, two)


def test_an_evaluation_is_no_experiment(toy: Toy, tmp_path: Path) -> None:
    write_checked_json(tmp_path / "evaluation" / MADE_OF, {})
    output = toy.run("--exp", str(tmp_path / "evaluation"), status=1)
    assert "evaluation is the folder of an evaluation" in output


def test_kinds_of_noise_are_the_subfolders(tmp_path: Path) -> None:
    for number, name in enumerate(("rain/day1/a", "wind/day1/b", "babble", "clean")):
        write_audio(tmp_path / f"{name}.wav", noise(1, number))
    kinds = {condition.kind for condition in make_conditions(16000, tmp_path)}
    assert {"rain", "wind", "babble (noise)", "clean (noise)", "clean"} <= kinds and "day1" not in kinds


def test_slurm_is_looked_for_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="sbatch isn't in PATH"):
        check_cluster("slurm")

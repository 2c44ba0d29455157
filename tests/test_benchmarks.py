"""The commands of benchmarks/README.md are there and take --help; what they measure is no test's business."""

import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from asrkit.config import load_config
from asrkit.storage.files import read_json

REPOSITORY = Path(__file__).resolve().parent.parent
TABLE = (REPOSITORY / "benchmarks" / "README.md").read_text(encoding="utf-8")
NEED_K2 = ("benchmarks/beam_sweep.py", "benchmarks/large_graph.py")
COMMANDS = re.findall(r"`(benchmarks/[a-z_]+\.py[^`]*)` \|", TABLE)


@pytest.mark.parametrize("script", sorted({shlex.split(command)[0] for command in COMMANDS}))
def test_a_listed_command_is_executable_and_answers_help(
    script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if script in NEED_K2:
        pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
    file = REPOSITORY / script
    assert os.access(file, os.X_OK), f"{script} is missing or not executable"
    monkeypatch.syspath_prepend(str(file.parent))
    monkeypatch.setattr(sys, "argv", [str(file), "--help"])
    with pytest.raises(SystemExit) as ended:  # in this process, so that torch is imported once for all
        runpy.run_path(str(file), run_name="__main__")
    printed = capsys.readouterr()
    assert (ended.value.code, printed.err) == (0, "")
    assert printed.out.startswith("usage:")


def test_every_measurement_is_listed_and_run_by_make_bench() -> None:
    files = {file.name for file in (REPOSITORY / "benchmarks").glob("*.py")}
    there = files - {"measure.py", "made_up_corpus.py", "all.py"}
    assert {Path(shlex.split(command)[0]).name for command in COMMANDS} == there
    program = "import runpy; print(*runpy.run_path('benchmarks/all.py')['commands'](), sep='\\n')"
    run = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert run.stdout.splitlines() == COMMANDS


def test_real_speech_that_is_missing_is_told_in_one_message(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ASRKIT_CORPORA"}
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "recipe.py"), "--recipe", "an4"]
    run = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1
    assert "ASRKIT_CORPORA" in run.stderr and "Traceback" not in run.stderr


def test_every_variant_of_a_study_is_a_valid_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    from scaling_study import read_study

    studies = sorted(REPOSITORY.glob("recipes/*/studies/*.yaml"))
    assert studies
    for study in (each for each in studies if each.stem != "robustness"):  # which has keys of its own
        for name, settings in read_study(study).items():
            overlay = tmp_path / "settings.yaml"
            overlay.write_text(yaml.safe_dump(settings), encoding="utf-8")
            config = load_config(study.parent.parent / "recipe.yaml", overlay)
            assert config.train.epochs > 0, name


def test_two_commands_share_the_record_of_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    from scaling_study import add_row

    file, variants = tmp_path / "study.json", {"a": {"x": 1}, "b": {}, "c": {}}
    add_row(file, {"variant": "c", "settings": {}}, variants)
    add_row(file, {"variant": "a", "settings": {"x": 0}}, {**variants, "a": {"x": 0}})
    rows = add_row(file, {"variant": "b", "settings": {}}, variants)  # a was made with other settings
    assert [row["variant"] for row in rows] == ["b", "c"] == [row["variant"] for row in read_json(file)]

"""doctor reported the installed package as ok although PYTHONPATH or the working directory hid it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

from asrkit.onboarding.doctor import find_shadow
from asrkit.pipeline.experiment import REPOSITORY

DOCTOR = "from asrkit.cli.main import main; main(['doctor'])"


@pytest.mark.parametrize(
    ("package", "files"),
    [
        ("lhotse", ["lhotse/__init__.py"]),
        ("lhotse", ["lhotse.py"]),
        ("pyyaml", ["yaml/__init__.py"]),
        ("six", ["six.py"]),
        ("soundfile", ["_soundfile.py"]),  # a part of the package
    ],
)
def test_another_module_of_the_name_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, files: List[str]
) -> None:
    for name in [
        name for name in sys.modules if name.partition(".")[0] in ("lhotse", "yaml", "six", "_soundfile")
    ]:
        monkeypatch.delitem(sys.modules, name)
    assert find_shadow(package) is None
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_shadow(package) == tmp_path / files[-1]


def test_a_folder_without_init_and_an_absent_package_shadow_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "six").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert find_shadow("six") is None
    assert find_shadow("no-such-package") is None


@pytest.mark.parametrize("entry", ["{folder}", ""])  # the empty one is the working directory
def test_doctor_reports_what_is_imported_and_what_to_type(tmp_path: Path, entry: str) -> None:
    for name in ("torch.py", "lhotse.py", "msgspec.py", "yaml.py", "colorsys.py"):
        (tmp_path / name).write_text("")
    path = os.pathsep.join([str(REPOSITORY), entry.format(folder=tmp_path)])
    done = subprocess.run(
        [sys.executable, "-c", DOCTOR],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    for package, file in (
        ("torch", "torch"),
        ("lhotse", "lhotse"),
        ("msgspec", "msgspec"),
        ("pyyaml", "yaml"),
    ):
        (line,) = [line for line in done.stdout.splitlines() if line.split()[:2] == ["broken", package]]
        assert line.endswith(f", but {tmp_path / file}.py is imported")
    if sys.version_info >= (3, 10):  # which has a list of its own modules
        assert "these files hide its own modules" in done.stdout
        assert f"{tmp_path}/colorsys.py" in done.stdout
    assert "to do: unset PYTHONPATH" in done.stdout

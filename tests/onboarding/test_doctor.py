"""asrkit doctor: broken packages are found, with the command that fixes them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Optional

import pytest
from click.testing import CliRunner, Result

from asrkit.cli.doctor import command
from asrkit.onboarding import doctor
from asrkit.onboarding.doctor import Finding, diagnose, k2_command, k2_mismatch, read_k2_build, report_lines
from asrkit.pipeline.experiment import REPOSITORY


def find(subject: str) -> Finding:
    (finding,) = [finding for finding in diagnose() if finding.subject == subject]
    return finding


def run_doctor() -> Result:
    return CliRunner().invoke(command, [])


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> Dict[str, Optional[str]]:
    """Versions that doctor finds in place of the installed ones."""
    changed: Dict[str, Optional[str]] = {}
    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: changed.get(name, real(name)))
    monkeypatch.setattr(doctor, "find_shadow", lambda name: None)
    for name in (*doctor.REQUIRED, *doctor.OPTIONAL):
        changed[name] = real(name) or "1.0"
    monkeypatch.setattr(doctor, "_import_error", lambda module: "")
    monkeypatch.setattr(doctor, "read_k2_build", lambda: None)
    return changed


def test_a_working_environment_is_ok(versions: Dict[str, Optional[str]]) -> None:
    result = run_doctor()
    assert result.exit_code == 0, result.output
    assert result.output.endswith("all required packages work\n")


@pytest.mark.parametrize(
    ("torch", "cuda", "python", "expected"),
    [
        ("1.13.1+cu117", "11.7", "3.11.7", "make setup (or: pip install --no-deps --require-hashes"),
        ("1.13.1", None, "3.9.2", "make setup (or: pip install --no-deps --require-hashes"),
        ("1.13.1", None, "3.12.1", "pip install k2==VERSION+cpu.torch1.13.1 -f https://k2-fsa.github.io"),
        (
            "2.2.0+cu121",
            "12.1",
            "3.11.7",
            "pip install k2==VERSION+cuda12.1.torch2.2.0 -f https://k2-fsa.github.io/k2/cuda.html\n",
        ),
        (
            "2.13.0+cpu",
            None,
            "3.11.7",
            "pip install k2==VERSION+cpu.torch2.13.0 -f https://k2-fsa.github.io/k2/cpu.html\n",
        ),
    ],
)
def test_the_k2_wheel_for_a_torch_is_named(
    torch: str, cuda: Optional[str], python: str, expected: str
) -> None:
    command = k2_command(torch, cuda, python)
    assert command.startswith(expected)
    release = torch.split("+")[0]
    if command.startswith("pip"):
        assert f"torch{release}-cp3{python.split('.')[1]}" in command
        assert f"make setup TORCH={release} K2=ADDRESS" in command


@pytest.mark.parametrize("chosen", [[], ["TORCH=2.13.0"], ["TORCH=2.13.0", "K2=https://page/k2.whl"]])
def test_make_setup_passes_on_the_chosen_torch_and_k2(chosen: List[str]) -> None:
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # make test
    command = ["make", "-n", "setup", *chosen]
    done = subprocess.run(command, cwd=REPOSITORY, env=alone, capture_output=True, text=True)
    given = dict(word.split("=") for word in chosen)
    expected = f"TORCH='{given.get('TORCH', '')}' K2='{given.get('K2', '')}' utils/setup.sh"
    assert done.stdout.strip() == expected, done.stderr


def test_k2_must_be_built_for_the_installed_torch_and_cuda() -> None:
    assert k2_mismatch("1.13.1+cu117", "11.7", "1.13.1+cu117", "11.7") == ""
    assert k2_mismatch("1.13.1+cu117", "11.7", "1.13.1+cpu", None) == ""
    assert k2_mismatch("1.13.1+cu117", "11.7", "2.2.0+cu121", "12.1") == (
        "built for torch 1.13.1+cu117, found torch 2.2.0+cu121"
    )
    assert "CUDA 11.7" in k2_mismatch("1.13.1+cu117", "11.7", "1.13.1+cu116", "11.6")


def test_k2_of_another_torch_is_broken(
    versions: Dict[str, Optional[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "read_k2_build", lambda: ("9.9.9", "12.1"))
    finding = find("k2")
    assert finding.state == "broken"
    assert "built for torch 9.9.9, found torch" in finding.text
    assert "k2" in finding.todo
    assert run_doctor().exit_code == 1


def test_a_package_that_does_not_import_is_broken(
    versions: Dict[str, Optional[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_import_error", lambda name: "libfoo.so.1" if name == "k2" else "")
    assert find("k2")[:3] == ("broken", "k2", f"{versions['k2']}: libfoo.so.1")


def test_lhotse_too_new_for_the_torch(
    versions: Dict[str, Optional[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class OldSampler:
        def __init__(self, data_source: object) -> None:
            pass

    versions["lhotse"] = "1.33.0"
    monkeypatch.setattr("torch.utils.data.Sampler", OldSampler)
    assert find("lhotse").todo == "pip install lhotse==1.31.1"
    monkeypatch.setattr("torch.utils.data.Sampler", object)
    assert find("lhotse").state == "ok"


def test_torch_built_for_an_older_numpy(
    versions: Dict[str, Optional[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("Numpy is not available")

    versions["numpy"] = "2.1.0"
    monkeypatch.setattr("torch.zeros", fail)
    assert find("torch")[0::3] == ("broken", "pip install 'numpy<2'")


@pytest.mark.parametrize(
    ("name", "state", "todo"),
    [
        ("k2", "broken", ""),
        ("kenlm", "broken", "make setup, which compiles it (apt-get install g++ python3-dev)"),
        ("numpy", "broken", "make setup, or: pip install numpy"),
        ("py-nanotts", "warn", "pip install py-nanotts"),
    ],
)
def test_missing_packages(versions: Dict[str, Optional[str]], name: str, state: str, todo: str) -> None:
    versions[name] = None
    finding = find(name)
    assert (finding.state, finding.text.partition(":")[0]) == (state, "missing")
    assert finding.todo == todo or (name == "k2" and "k2" in finding.todo)
    assert run_doctor().exit_code == (state == "broken")


def test_report_is_aligned_and_ends_with_the_verdict() -> None:
    lines = report_lines([Finding("ok", "torch", "1"), Finding("broken", "k2", "missing", "one\ntwo")])
    assert list(lines) == [
        "ok      torch  1",
        "broken  k2     missing",
        "               to do: one",
        "                      two",
        "broken: k2",
    ]


def test_build_of_k2_is_read_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "k2"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('built using another PyTorch')", encoding="utf-8")
    (package / "torch_version.py").write_text(
        '# a comment\nk2_torch_version = "2.2.0+cu121"\n\nk2_torch_cuda_version = "12.1"\n', encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "k2", raising=False)
    assert read_k2_build() == ("2.2.0+cu121", "12.1")

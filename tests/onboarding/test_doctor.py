"""What asrkit doctor concludes from the facts of an environment."""

import dataclasses
import sys
from pathlib import Path
from typing import Any, List

import pytest
from click.testing import CliRunner

from asrkit.cli import doctor
from asrkit.onboarding.diagnosis import Finding, examine, report_lines
from asrkit.onboarding.environment import (
    OPTIONAL,
    REQUIRED,
    Environment,
    Gpu,
    gather_environment,
    read_k2_build,
    runs_on,
)

WHOLE = Environment(
    python="3.11.7",
    system="Linux x86_64",
    cores=2,
    memory=16 * 2**30,
    free_disk=50 * 2**30,
    torch="1.13.1+cu117",
    torch_cuda="11.7",
    sampler_wants_data=True,
    k2="1.23.4",
    k2_torch="1.13.1+cu117",
    k2_cuda="11.7",
    lhotse="1.31.1",
    packages={**dict.fromkeys((*REQUIRED, *OPTIONAL), "1.0"), "numpy": "1.26.4"},
    lmplz="/venv/bin/lmplz",
)


def change(**facts: Any) -> Environment:
    """The whole environment with some facts changed; `without` names a package that is missing."""
    missing = facts.pop("without", None)
    packages = {**WHOLE.packages, **({missing: None} if missing else {})}
    return dataclasses.replace(WHOLE, **{"packages": packages, **facts})


def find(environment: Environment, subject: str) -> Finding:
    [finding] = [finding for finding in examine(environment) if finding.subject == subject]
    return finding


def not_ok(environment: Environment) -> List[str]:
    return [f"{finding.state} {finding.subject}" for finding in examine(environment) if finding.state != "ok"]


def exit_code(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(doctor, "gather_environment", lambda *_: environment)
    return CliRunner().invoke(doctor.command, []).exit_code


def test_whole_environment_is_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not_ok(WHOLE) == []
    assert exit_code(WHOLE, monkeypatch) == 0


def test_k2_of_another_torch_is_broken_and_the_fitting_one_named(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = change(torch="2.2.0+cu121", torch_cuda="12.1", sampler_wants_data=False)
    finding = find(environment, "k2")
    assert finding.state == "broken"
    assert "1.13.1+cu117" in finding.text
    assert "2.2.0+cu121" in finding.text
    command = finding.todo.splitlines()[0]
    assert command == "pip install k2==VERSION+cuda12.1.torch2.2.0 -f https://k2-fsa.github.io/k2/cuda.html"
    assert "cuda12.1.torch2.2.0-cp311" in finding.todo
    assert exit_code(environment, monkeypatch) == 1


def test_k2_for_torch_without_cuda_comes_from_the_page_for_cpus() -> None:
    todo = find(change(torch="2.13.0+cpu", torch_cuda=None, k2=None), "k2").todo
    assert "k2==VERSION+cpu.torch2.13.0 -f https://k2-fsa.github.io/k2/cpu.html" in todo


@pytest.mark.parametrize(
    ("python", "todo"), [("3.10.2", "make setup"), ("3.12.1", "pip install k2==VERSION")]
)
def test_missing_k2_comes_from_pypi_where_that_has_a_wheel(python: str, todo: str) -> None:
    finding = find(change(k2=None, python=python), "k2")
    assert finding.state == "broken"
    assert finding.todo.startswith(todo)


def test_k2_of_another_cuda_is_broken() -> None:
    assert find(change(torch_cuda="11.6"), "k2").state == "broken"


def test_k2_with_cuda_beside_torch_without_is_ok() -> None:
    assert find(change(torch="1.13.1+cpu", torch_cuda=None), "k2").state == "ok"


def test_k2_that_does_not_import_shows_why() -> None:
    finding = find(change(k2_error="libfoo.so.1: no such file"), "k2")
    assert finding.state == "broken"
    assert "libfoo.so.1" in finding.text


def test_lhotse_too_new_for_the_torch() -> None:
    finding = find(change(lhotse="1.33.0"), "lhotse")
    assert (finding.state, finding.todo) == ("broken", "pip install lhotse==1.31.1")
    assert find(change(lhotse="1.33.0", sampler_wants_data=False), "lhotse").state == "ok"


def test_torch_that_cannot_use_the_numpy() -> None:
    environment = change(packages={**WHOLE.packages, "numpy": "2.1.0"}, numpy_error="Numpy is not available")
    finding = find(environment, "torch")
    assert (finding.state, finding.todo) == ("broken", "pip install 'numpy<2'")


def test_missing_kenlm_is_broken_and_says_what_compiles_it(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = change(without="kenlm")
    assert not_ok(environment) == ["broken kenlm"]
    assert "make setup" in find(environment, "kenlm").todo
    assert "g++" in find(environment, "kenlm").todo
    assert exit_code(environment, monkeypatch) == 1


def test_what_one_recipe_only_needs_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = change(without="py-nanotts")
    assert not_ok(environment) == ["warn py-nanotts"]
    assert exit_code(environment, monkeypatch) == 0


def test_missing_lmplz_is_a_warning() -> None:
    assert not_ok(change(lmplz=None)) == ["warn lmplz"]


def test_empty_environment_names_all_that_is_missing() -> None:
    environment = change(torch=None, torch_cuda=None, k2=None, k2_torch=None, lhotse=None, packages={})
    broken = {text.split()[1] for text in not_ok(environment) if text.startswith("broken")}
    assert broken == {"torch", "k2", "lhotse", "kenlm", *REQUIRED}


def test_gpu_that_torch_has_no_kernels_for_is_broken() -> None:
    gpu = Gpu("H100", 80 * 2**30, (9, 0), supported=False)
    finding = find(change(gpus=(gpu,)), "gpu")
    assert finding.state == "broken"
    assert "CUDA_VISIBLE_DEVICES" in finding.todo
    assert find(change(gpus=(dataclasses.replace(gpu, supported=True),)), "gpu").state == "ok"


def test_driver_without_a_gpu_in_torch_is_a_warning() -> None:
    assert not_ok(change(driver=True)) == ["warn gpu"]


@pytest.mark.parametrize(
    ("architectures", "capability", "runs"),
    [
        (["sm_70", "sm_86"], (8, 6), True),
        (["sm_70", "sm_86"], (8, 0), False),
        (["sm_37", "sm_86"], (9, 0), False),
        (["sm_86", "compute_86"], (9, 0), True),
        (["sm_90a", "sm_120"], (12, 0), True),
    ],
)
def test_kernels_run_on_gpus_of_their_kind(architectures: List[str], capability: Any, runs: bool) -> None:
    assert runs_on(architectures, capability) is runs


def test_little_memory_and_disk_are_warnings() -> None:
    assert not_ok(change(memory=2**30, free_disk=2**30)) == ["warn memory", "warn disk"]


def test_report_is_aligned_and_ends_with_the_verdict() -> None:
    lines = report_lines([Finding("ok", "torch", "1"), Finding("broken", "k2", "missing", "one\ntwo")])
    assert lines == [
        "ok      torch  1",
        "broken  k2     missing",
        "               to do: one",
        "                      two",
        "broken: k2",
    ]


def test_facts_of_this_very_environment(tmp_path: Path) -> None:
    import torch

    environment = gather_environment(tmp_path, None)
    assert environment.torch == torch.__version__
    assert environment.torch_error is None
    assert environment.numpy_error is None
    assert environment.cores >= 1
    assert environment.packages["numpy"] is not None
    assert find(environment, "torch").state == "ok"
    assert find(environment, "lhotse").state == "ok"


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

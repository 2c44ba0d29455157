"""Settings of the processor."""

import os
from pathlib import Path

import pytest

from asrkit.pipeline.machine import prepare_processor

AMD = "vendor_id : AuthenticAMD\nflags : fpu sse avx avx2 bmi2\n"


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        (AMD, "5"),
        (AMD.replace("AuthenticAMD", "GenuineIntel"), None),
        (AMD.replace("avx2", "avx512"), None),
    ],
)
def test_mkl_variable_is_set_only_on_amd_with_avx2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, description: str, expected: str
) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "30000")
    monkeypatch.setenv("MKL_DEBUG_CPU_TYPE", "")
    monkeypatch.delenv("MKL_DEBUG_CPU_TYPE")
    (tmp_path / "cpuinfo").write_text(description)
    prepare_processor(tmp_path / "cpuinfo")
    assert os.environ.get("MKL_DEBUG_CPU_TYPE") == expected
    monkeypatch.setenv("MKL_DEBUG_CPU_TYPE", "4")
    prepare_processor(tmp_path / "cpuinfo")
    assert os.environ["MKL_DEBUG_CPU_TYPE"] == "4"
    prepare_processor(tmp_path / "absent")

"""What all tests share: real speech where it is given, and the processor's settings."""

import importlib.util
import os
from pathlib import Path
from typing import Callable

import pytest

from asrkit.pipeline.machine import prepare_processor

prepare_processor()  # before any test imports torch

EXTRAS = (
    *("silero_vad", "onnxruntime", "onnx", "text_to_num", "cn2an", "starlette", "uvicorn", "wyoming"),
    *("phonetisaurus", "scipy", "webrtc_noise_gain", "nara_wpe", "sherpa_onnx", "openai", "httpx"),
)


def pytest_sessionstart() -> None:
    """With ASRKIT_EXTRAS=required, fail if a package is missing whose tests would be skipped without it."""
    if os.environ.get("ASRKIT_EXTRAS") == "required":
        missing = [name for name in EXTRAS if importlib.util.find_spec(name) is None]
        if missing:
            pytest.exit(f"ASRKIT_EXTRAS=required, and not installed: {', '.join(missing)}; make extras", 1)


@pytest.fixture(scope="session")
def corpora() -> Callable[[str], Path]:
    """The folder of a corpus of real speech: corpora("an4"), below $ASRKIT_CORPORA."""

    def locate(name: str) -> Path:
        root = os.environ.get("ASRKIT_CORPORA")
        if not root:
            pytest.skip("ASRKIT_CORPORA isn't set: no real speech to test on")
        folder = Path(root) / name
        if not folder.is_dir():
            pytest.fail(f"ASRKIT_CORPORA is set, but {folder} is missing")
        return folder

    return locate

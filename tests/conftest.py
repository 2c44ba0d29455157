"""What all tests share: real speech where it is given, and the processor's settings."""

import os
from pathlib import Path
from typing import Callable

import pytest

from asrkit.pipeline.machine import prepare_processor

prepare_processor()  # before any test imports torch


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

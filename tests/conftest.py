"""What all tests share: real speech and a trained model if given, and the processor's settings."""

import importlib
import os
from pathlib import Path
from typing import Callable, List

import pytest

from asrkit.pipeline.machine import prepare_processor

prepare_processor()  # before any test imports torch
if "PYTEST_XDIST_WORKER" in os.environ:  # the processes are the parallelism
    os.environ.setdefault("OMP_NUM_THREADS", "1")
if os.environ.get("ASRKIT_ALL_PACKAGES"):  # as .ci/run sets it: a package that is missing is an error
    pytest.importorskip = lambda name, **_: importlib.import_module(name)


def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    """The files that take longest come first: begun last, one process would end with them alone."""
    first = {
        item.path for item in items if item.get_closest_marker("recipe") or item.get_closest_marker("long")
    }
    items.sort(key=lambda item: item.path not in first)


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


@pytest.fixture(scope="session")
def an4_experiment() -> Path:
    """A finished experiment of recipes/an4, however short its training: $ASRKIT_AN4_EXPERIMENT."""
    exp = os.environ.get("ASRKIT_AN4_EXPERIMENT")
    if not exp:
        pytest.skip("ASRKIT_AN4_EXPERIMENT isn't set: no trained model of real speech to test with")
    return Path(exp)

"""The toy recipe, for tests of runs."""

from tests.pipeline.conftest import finished, finished_folder, toy

__all__ = ["finished", "finished_folder", "toy"]

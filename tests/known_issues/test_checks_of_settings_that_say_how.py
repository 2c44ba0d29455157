"""Settings that don't change results weren't checked before a run: --device cuda failed after training."""

import pytest
import torch

from tests.known_issues.conftest import Finished


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused_at_once(yesno: Finished) -> None:
    output = yesno.run("--device", "cuda", settings=["train.epochs=3"], status=1)
    assert "error: " in output and "GPU" in output
    assert "stage 6 (train): " not in output

"""Settings that no run can use passed --dry-run and failed hours later."""

import pytest

from tests.known_issues.conftest import Finished

IMPOSSIBLE = {
    "model.attention_heads=5": "model.attention_dim is 48, with 5 heads",
    "model.stage_channels=[8, 8]": "model.stage_channels has 2 entries",
    "model.stem_kernel=4": "model.stem_kernel is 4",
    "features.speed_factors=[0.9]": "features.speed_factors is [0.9]",
    "features.frame_length=0.001": "features.frame_length 0.001 is below",
    "features.sampling_rate=16": "features.sampling_rate is 16\n  expected: 1000 Hz or more",
    "features.frame_length=25": "features.frame_length is 25, and frame_shift 0.01",
    "train.precision=float16": "train.precision is float16",
    "augment.noise={directory: x, snr: [30, 10]}": "augment.noise: snr is [30, 10], expected the lower one",
    "lm.order=9": "lm.order is 9",
    "corpus.dev=train": "train is corpus.train, and corpus.dev",
    "corpus.tests=[test, dev]": "dev is corpus.dev and one of corpus.tests",
    "corpus.max_duration=0.01": "corpus.min_duration is 0.1",
}


@pytest.mark.parametrize("setting", IMPOSSIBLE)
def test_they_are_refused_before_any_stage_runs(yesno: Finished, setting: str) -> None:
    import torch

    if setting == "train.precision=float16" and torch.cuda.is_available():
        pytest.skip("a GPU can train in float16")
    output = yesno.run("--dry-run", settings=[setting], status=1)
    assert f"error: {IMPOSSIBLE[setting]}" in output
    assert "Traceback" not in output

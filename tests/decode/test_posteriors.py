import dataclasses
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
import torch

from asrkit.decode import posteriors
from asrkit.decode.posteriors import compute_posteriors, read_posteriors
from tests.model.test_acoustic import make_model


@dataclasses.dataclass
class Cut:
    id: str
    frames: int

    @property
    def duration(self) -> float:
        return self.frames / 100

    def load_features(self) -> np.ndarray:
        return np.random.default_rng(self.frames).normal(size=(self.frames, 20)).astype(np.float32)


@pytest.mark.parametrize("with_encoded", [False, True])
def test_the_encoders_output_is_stored_where_it_is_asked_for(
    tmp_path: Path, with_encoded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In this process: torch's threads, which earlier tests have started, don't survive a fork.
    monkeypatch.setattr(posteriors, "make_shards", lambda files, work, *others: work(0))
    model, cuts = make_model(), [Cut("a/1", 40), Cut("b", 61), Cut("encoded/c", 8)]
    (file,) = compute_posteriors(
        model,
        cuts,
        tmp_path,
        shard_utterances=3,
        batch_duration=9.0,
        jobs=1,
        model_made_of="",
        with_encoded=with_encoded,
    )
    stored = read_posteriors(file)
    assert list(stored.log_probs) == ["b", "a/1", "encoded/c"]
    assert list(stored.encoded) == (list(stored.log_probs) if with_encoded else [])
    for cut in cuts:
        features = torch.from_numpy(cut.load_features())
        encoded, log_probs, _ = model.encode(features[None], torch.tensor([cut.frames]))
        torch.testing.assert_close(stored.log_probs[cut.id], log_probs[0], atol=0.01, rtol=0)
        if with_encoded:
            torch.testing.assert_close(stored.encoded[cut.id], encoded[0], atol=2e-3, rtol=0)


def test_half_precision_rounds_products_and_is_another_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origins: List[Any] = []
    monkeypatch.setattr(
        posteriors, "make_shards", lambda files, work, *others: origins.append((others[2], work(0)))
    )
    model, cuts = make_model(), [Cut("a", 400)]
    sizes: Dict[str, Any] = {"shard_utterances": 3, "batch_duration": 9.0, "jobs": 1, "model_made_of": ""}
    stored = []
    for precision in ("float32", "bfloat16"):
        (file,) = compute_posteriors(model, cuts, tmp_path, precision=precision, **sizes)
        stored.append(read_posteriors(file).log_probs["a"])
    assert origins[0] != origins[1]
    torch.testing.assert_close(stored[0], stored[1], atol=0.2, rtol=0)
    assert float((stored[0] - stored[1]).abs().max()) > 0.002  # beyond what shards round

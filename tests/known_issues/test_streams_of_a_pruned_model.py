"""A pruned model of an experiment for streams couldn't stream, so `asrkit serve` failed with it."""

import pytest
import torch

from asrkit.deploy.exported import ExportedStream
from asrkit.model.pruning import prune
from asrkit.model.streaming import StreamingModel
from tests.model.test_acoustic import make_model
from tests.model.test_streaming import CAUSAL, stream, whole

CHUNK = 5


@pytest.mark.parametrize("keep", [0.5, 1.0])
@torch.no_grad()
def test_they_give_what_the_whole_utterance_gives(keep: float) -> None:
    model = prune(make_model(**CAUSAL), keep)
    features = torch.randn(101, model.bins)
    expected = whole(model, features, CHUNK)
    found = stream(StreamingModel(model, CHUNK), features)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_exported_for_sherpa_too() -> None:
    streaming = StreamingModel(prune(make_model(**CAUSAL), 0.5), CHUNK)
    exported = ExportedStream(streaming)
    features = torch.randn(1, streaming.window, streaming.model.bins)
    first = exported.first_states(1)
    log_probs, *states = exported(features, *first)
    assert [state.shape for state in states] == [state.shape for state in first]
    expected, _, _ = streaming(features, torch.tensor([streaming.window]), *streaming.start())
    torch.testing.assert_close(log_probs, expected)
    about, width = exported.metadata(), first[0].shape[2]  # sherpa-onnx makes the states of these
    assert int(about["num_heads"].split(",")[0]) * int(about["query_head_dims"].split(",")[0]) == width

"""A stream gives what the whole utterance gives with the mask of its chunks."""

from typing import Any, Dict

import pytest
import torch
from torch import Tensor

from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel, chunk_mask
from asrkit.model.streaming import StreamingModel
from tests.model.test_acoustic import make_model

CAUSAL = {"convolution_causal": True, "left_context": 6}


def stream(model: StreamingModel, features: Tensor) -> Tensor:
    """Log-probabilities (frame, unit) of features (time, bin)."""
    state, found, at = model.start(), [], 0
    while at < len(features):
        part = features[at : at + model.window]
        padded = torch.nn.functional.pad(part, (0, 0, 0, model.window - len(part)), value=7.0)
        log_probs, counts, state = model(padded[None], torch.tensor([len(part)]), *state)
        found.append(log_probs[0, : int(counts)])
        at += model.shift
    return torch.cat(found)


def whole(model: AcousticModel, features: Tensor, chunk: int) -> Tensor:
    lengths = torch.tensor([len(features)])
    return model.encode(model.normalise(features[None], lengths), lengths, chunk)[1][0]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"encoder": "attention"},
        {"encoder": "convolution"},
        {"front": "resnet-bottleneck"},
        {"stem_kernel": 7, "stem_stride": (4, 2)},
        {"attention_blocks": 0},
    ],
    ids=str,
)
@torch.no_grad()
def test_chunks_give_what_the_whole_utterance_gives(settings: Dict[str, Any]) -> None:
    model = make_model(**CAUSAL, **settings)
    model.feature_mean.normal_()
    for chunk in (1, 2, 5, 8, 25):
        for frames in (1, 3, 4, 37, 100, 101, 103):
            features = torch.randn(frames, model.bins)
            expected = whole(model, features, chunk)
            found = stream(StreamingModel(model, chunk), features)
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_streams_of_a_batch_do_not_depend_on_each_other() -> None:
    model = make_model(**CAUSAL)
    streaming = StreamingModel(model, 4)
    first, second = torch.randn(90, model.bins), torch.randn(70, model.bins)
    (_, _, begun), late = _step(streaming, first, 0, streaming.start()), streaming.start()
    together = [torch.cat(pair) for pair in zip(begun, late)]
    features = torch.stack([first[streaming.shift :][: streaming.window], second[: streaming.window]])
    log_probs, _, _ = streaming(features, torch.tensor([streaming.window] * 2), *together)
    torch.testing.assert_close(log_probs[0], whole(model, first, 4)[4:8], atol=1e-4, rtol=0)
    torch.testing.assert_close(log_probs[1], whole(model, second, 4)[:4], atol=1e-4, rtol=0)


def _step(model: StreamingModel, features: Tensor, at: int, state: Any) -> Any:
    return model(features[None, at : at + model.window], torch.tensor([model.window]), *state)


@torch.no_grad()
def test_a_mask_as_long_as_the_utterance_changes_nothing() -> None:
    model = make_model(**CAUSAL)
    features, lengths = torch.randn(2, 61, model.bins), torch.tensor([61, 33])
    masked, unmasked = model.encode(features, lengths, 100)[1], model.encode(features, lengths)[1]
    torch.testing.assert_close(masked[0], unmasked[0])
    torch.testing.assert_close(masked[1, :9], unmasked[1, :9])
    assert masked.isfinite().all()  # padding has keys to attend to in chunks without speech
    assert model.encode(features, lengths, 2)[1].isfinite().all()


def test_a_chunk_sees_itself_and_the_frames_before_it() -> None:
    rows = ["".join(".#"[int(seen)] for seen in row) for row in chunk_mask(6, 2, 2, torch.device("cpu"))]
    assert rows == ["##....", "##....", "####..", "####..", "..####", "..####"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"convolution_causal": False}, "convolution_causal is false"),
        ({"positions": "relative"}, "positions is relative"),
        ({"squeeze_reduction": 2}, "squeeze_reduction is 2"),
        ({"utterance_mean": True}, "utterance_mean is true"),
    ],
)
def test_a_model_that_needs_whole_utterances_is_refused(settings: Dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        StreamingModel(make_model(**{**CAUSAL, **settings}), 4)

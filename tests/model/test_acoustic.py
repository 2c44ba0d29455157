from pathlib import Path
from typing import Any, Dict

import msgspec
import pytest
import torch

from asrkit.config import ModelConfig
from asrkit.errors import UserError
from asrkit.model import attention
from asrkit.model.acoustic import AcousticModel, greedy_ctc, load_model, output_frames, save_model
from asrkit.model.padding import MaskedBatchNorm, Padding, rectify

SMALL = ModelConfig(
    stem_channels=4,
    stage_blocks=(1, 2),
    stage_channels=(4, 8),
    stage_time_strides=(1, 2),
    stage_frequency_strides=(2, 2),
    attention_blocks=2,
    attention_dim=16,
    attention_heads=2,
    feedforward_dim=32,
)


def make_model(**settings: Any) -> AcousticModel:
    torch.manual_seed(0)
    model = AcousticModel(msgspec.structs.replace(SMALL, **settings), bins=20, units=7)
    for module in model.modules():  # running statistics and biases for which a missing mask shows
        if isinstance(module, MaskedBatchNorm):
            module.running_mean.normal_()
            module.bias.data.normal_()
    return model.eval()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"front": "resnet-bottleneck"},
        {"squeeze_reduction": 2},
        {"stem_kernel": 7},
        {"stochastic_depth": 0.5},
        {"residual": False},
        {"encoder": "convolution"},
        {"encoder": "attention"},
        {"encoder": "attention", "positions": "relative"},
    ],
    ids=str,
)
def test_posteriors_do_not_depend_on_the_batch(settings: Dict[str, Any]) -> None:
    model = make_model(**settings)
    lengths = torch.tensor([61, 37, 8, 4])  # the last one has a single output frame
    features = torch.randn(4, 61, 20)  # padding is noise, which must not matter
    together, frames = model(features, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone, count = model(features[row : row + 1, :length], lengths[row : row + 1])
        assert int(frames[row]) == int(count) == output_frames(SMALL, length)
        torch.testing.assert_close(together[row : row + 1, :count], alone, atol=1e-4, rtol=0)


def test_training_statistics_and_gradients_leave_padding_out() -> None:
    """Same as torch's batch normalisation on the frames outside padding."""
    torch.manual_seed(0)
    padding = Padding(torch.tensor([7, 4]), 7)
    x = torch.randn(2, 3, 7, 5)
    ours, theirs = MaskedBatchNorm(3), torch.nn.BatchNorm1d(3)
    ours.weight.data.normal_()
    theirs.load_state_dict(ours.state_dict())
    weights = torch.randn(2, 3, 7, 5)

    mine = x.clone().contiguous(memory_format=torch.channels_last).requires_grad_()
    y = rectify(ours(mine.clone(memory_format=torch.preserve_format), padding), padding)
    (y * weights).sum().backward()

    other = x.clone().requires_grad_()
    inside = padding.inside()
    z = torch.relu(theirs(other.permute(0, 2, 3, 1)[inside].reshape(-1, 3)))
    (z * weights.permute(0, 2, 3, 1)[inside].reshape(-1, 3)).sum().backward()

    for a, b in (
        (mine.grad, other.grad),
        (ours.weight.grad, theirs.weight.grad),
        (ours.bias.grad, theirs.bias.grad),
        (ours.running_mean, theirs.running_mean),
        (ours.running_var, theirs.running_var),
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    assert float(y[1, :, 4:].abs().sum()) == 0.0


def test_fused_and_plain_attention_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(torch.nn.functional, "scaled_dot_product_attention"):
        pytest.skip("this torch has no fused attention to compare with")
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 2, 9, 8)
    inside = (torch.arange(9)[None] < torch.tensor([9, 5])[:, None])[:, None, None]
    fused = attention.attend(query, key, value, inside, 0.0)
    monkeypatch.delattr(torch.nn.functional, "scaled_dot_product_attention")
    plain = attention.attend(query, key, value, inside, 0.0)
    torch.testing.assert_close(fused, plain, atol=1e-5, rtol=0)


def test_a_saved_model_gives_the_same_posteriors(tmp_path: Path) -> None:
    model = make_model()
    model.feature_mean.fill_(0.5)
    save_model(tmp_path / "model.safetensors", model, {"units": "abc"})
    loaded, made_of = load_model(tmp_path / "model.safetensors")
    assert made_of == {"units": "abc"}
    features = torch.randn(1, 30, 20)
    lengths = torch.tensor([30])
    before, _ = model(model.normalise(features, lengths), lengths)
    after, _ = loaded(loaded.normalise(features, lengths), lengths)
    assert torch.equal(before, after)


def test_with_the_utterances_mean_level_and_channel_and_padding_change_nothing() -> None:
    model = make_model(utterance_mean=True)
    features, channel = torch.randn(2, 30, 20), torch.randn(20)
    lengths = torch.tensor([30, 17])
    batch = model.normalise(features, lengths)
    for row, other, count in zip(features, batch, lengths):
        torch.testing.assert_close(model.normalisation(row[:count] + channel), other[:count])


def test_a_truncated_model_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_model(file, make_model(), {})
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"model\.safetensors"):
        load_model(file)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stage_channels": (4, 8, 16)}, "model.stage_channels has 3 entries"),
        ({"attention_dim": 18, "attention_heads": 4}, "model.attention_dim is 18, with 4 heads"),
        ({"stem_stride": (2,)}, "model.stem_stride"),
    ],
)
def test_settings_that_do_not_fit_each_other_are_refused(change: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        AcousticModel(msgspec.structs.replace(SMALL, **change), bins=20, units=7)


def test_greedy_removes_repeats_and_blanks() -> None:
    best = torch.tensor([[0, 3, 3, 0, 3, 5, 5, 1]])
    log_probs = torch.nn.functional.one_hot(best, 6).float()
    assert greedy_ctc(log_probs, [7]) == [[3, 3, 5]]


def test_intermediate_outputs_exist_in_training_only() -> None:
    config = msgspec.structs.replace(SMALL, intermediate_blocks=(1,), dropout=0.0)
    torch.manual_seed(0)
    model = AcousticModel(config, bins=20, units=7)
    features, lengths = torch.randn(2, 30, 20), torch.tensor([30, 20])
    _, outputs, _ = model.train().forward_depths(features, lengths)
    assert [output.shape for output in outputs] == [outputs[0].shape] * 2
    assert not torch.allclose(outputs[0], outputs[1])
    outputs[0].sum().backward()
    assert model.blocks[0].expand.weight.grad is not None
    assert model.blocks[1].expand.weight.grad is None
    assert len(model.eval().forward_depths(features, lengths)[1]) == 1


def test_the_last_block_is_no_intermediate_block() -> None:
    with pytest.raises(UserError, match="intermediate_blocks"):
        AcousticModel(msgspec.structs.replace(SMALL, intermediate_blocks=(2,)), bins=20, units=7)

import math
from typing import Any

import pytest
import torch

from asrkit.config import ModelConfig
from asrkit.model import attention
from asrkit.model.attention import Dropout, RelativeSelfAttention, SelfAttention, align_distances, rotate
from asrkit.model.encoder import AttentionBlock


@pytest.mark.parametrize("p", [0.05, 0.5])
def test_drop_rate_and_mean(p: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(1000, 1001)
    y = Dropout(p)(x)
    for offset in range(8):  # eight elements share a random number
        assert float((y.flatten()[offset::8] == 0).float().mean()) == pytest.approx(p, abs=0.005)
    assert float(y.mean()) == pytest.approx(1.0, abs=0.01)


def test_dropped_elements_get_no_gradient() -> None:
    x = torch.randn(50, 40, requires_grad=True)
    y = Dropout(0.3)(x)
    y.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad * x.detach(), y.detach())


def test_dropout_depends_on_the_seed() -> None:
    dropout, x, drawn = Dropout(0.3), torch.ones(100), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(dropout(x))
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_nothing_is_dropped_in_evaluation() -> None:
    x = torch.randn(20)
    assert torch.equal(Dropout(0.5).eval()(x), x)


def test_rotary_positions_make_scores_depend_on_distance_alone() -> None:
    torch.manual_seed(0)
    query, key = torch.randn(2, 1, 1, 1, 8)
    angles = SelfAttention(8, heads=1, dropout=0.0).positions(20, torch.device("cpu"))

    def score(at_query: int, at_key: int) -> float:
        q, k = rotate(query, angles[:, at_query]), rotate(key, angles[:, at_key])
        return float((q * k).sum())

    assert score(3, 7) == pytest.approx(score(12, 16), abs=1e-5)
    assert score(3, 7) != pytest.approx(score(3, 9), abs=1e-3)


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_distances_are_aligned_with_keys(frames: int) -> None:
    distances = torch.arange(frames, -frames, -1).expand(2, 3, frames, -1)
    frame = torch.arange(frames)
    assert torch.equal(align_distances(distances)[1, 2], frame[:, None] - frame[None])


def test_relative_positions_match_the_formula_of_dai(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against loops over heads, queries and keys, the last two of which are padding."""
    torch.manual_seed(0)
    dim, heads, frames, real = 12, 2, 5, 3
    module = RelativeSelfAttention(dim, heads, dropout=0.0)
    module.content_bias.data.normal_()
    module.distance_bias.data.normal_()
    x = torch.randn(1, frames, dim)
    inside = (torch.arange(frames) < real)[None, None, None]
    found = module(x, inside, module.positions(frames, torch.device("cpu")))

    packed = module.query_key_value(x[0]).chunk(3, dim=-1)
    query, key, value = (part.view(frames, heads, -1) for part in packed)
    u, v = module.content_bias.view(heads, -1), module.distance_bias.view(heads, -1)
    rates = torch.tensor([10000.0 ** (-2 * i / dim) for i in range(dim // 2)])
    mixed = torch.zeros(frames, heads, dim // heads)
    for head in range(heads):
        for i in range(frames):
            scores = torch.zeros(real)
            for j in range(real):
                r = module.distance(torch.cat([((i - j) * rates).sin(), ((i - j) * rates).cos()]))
                of_distance = (query[i, head] + v[head]) @ r.view(heads, -1)[head]
                of_content = (query[i, head] + u[head]) @ key[j, head]
                scores[j] = (of_content + of_distance) / math.sqrt(dim // heads)
            mixed[i, head] = scores.softmax(dim=0) @ value[:real, head]
    torch.testing.assert_close(found[0], module.output(mixed.flatten(1)), atol=1e-5, rtol=1e-5)
    if hasattr(torch.nn.functional, "scaled_dot_product_attention"):
        monkeypatch.delattr(attention.F, "scaled_dot_product_attention")
        plain = module(x, inside, module.positions(frames, torch.device("cpu")))
        torch.testing.assert_close(found, plain, atol=1e-5, rtol=0)


@pytest.mark.parametrize("positions", ["rotary", "relative"])
def test_a_block_at_one_frame_is_that_of_all_frames(positions: Any) -> None:
    torch.manual_seed(1)
    config = ModelConfig(attention_dim=16, attention_heads=2, feedforward_dim=8, positions=positions)
    block = AttentionBlock(config).eval()
    x, lengths, places = torch.randn(3, 7, 16), torch.tensor([7, 4, 2]), torch.tensor([6, 0, 1])
    inside = (torch.arange(7) < lengths[:, None])[:, None, None]
    encoded = block.positions(7, x.device)
    expected = block(x, inside, encoded)[torch.arange(3), places]
    torch.testing.assert_close(block.forward_at(x, places, inside, encoded), expected)

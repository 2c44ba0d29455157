import math

import pytest
import torch

from asrkit.train.loss import consistency_loss, ctc_loss, frames_needed


def test_loss_sums_over_all_alignments() -> None:
    # Two frames, units blank, a: "a" is reached by a a, a -, - a.
    log_probs = torch.tensor([[[0.6, 0.4], [0.5, 0.5]]]).log()
    loss = ctc_loss(log_probs, torch.tensor([2]), [[1]])
    assert float(loss) == pytest.approx(-math.log(0.4 * 0.5 + 0.4 * 0.5 + 0.6 * 0.5), abs=1e-5)


def test_loss_of_a_batch_is_the_sum_and_ignores_padding() -> None:
    torch.manual_seed(0)
    log_probs = torch.randn(2, 9, 5).log_softmax(-1)
    frames = torch.tensor([9, 6])
    together = ctc_loss(log_probs, frames, [[1, 2, 2], [3]])
    apart = ctc_loss(log_probs[:1], frames[:1], [[1, 2, 2]]) + ctc_loss(log_probs[1:, :6], frames[1:], [[3]])
    torch.testing.assert_close(together, apart)


def test_repeated_tokens_need_a_blank_between() -> None:
    assert frames_needed([1, 2, 3]) == 3
    assert frames_needed([1, 1, 2, 2]) == 6


def test_equal_views_have_zero_loss_and_padding_is_ignored() -> None:
    torch.manual_seed(0)
    view = torch.randn(2, 6, 4).log_softmax(dim=-1)
    frames = torch.tensor([6, 3, 6, 3])
    assert float(consistency_loss(torch.cat([view, view]), frames)) == pytest.approx(0.0, abs=1e-6)
    other = view.clone()
    other[1, 3:] = torch.randn(3, 4).log_softmax(dim=-1)  # beyond the second utterance's end
    assert float(consistency_loss(torch.cat([view, other]), frames)) == pytest.approx(0.0, abs=1e-6)


def test_the_gradient_pulls_both_views_together() -> None:
    scores = torch.tensor([[[2.0, 0.0]], [[0.0, 2.0]]], requires_grad=True)  # two views of one frame
    loss = consistency_loss(scores.log_softmax(dim=-1), torch.tensor([1, 1]))
    loss.backward()
    p = torch.tensor([2.0, 0.0]).softmax(dim=0)
    assert float(loss.detach()) == pytest.approx(float(2 * (p[0] - p[1]) * 2.0), rel=1e-5)
    assert scores.grad is not None
    assert scores.grad[0, 0, 0] > 0 > scores.grad[0, 0, 1]
    assert torch.allclose(scores.grad[0], -scores.grad[1])

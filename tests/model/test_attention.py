import pytest
import torch

from asrkit.model.attention import Dropout


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

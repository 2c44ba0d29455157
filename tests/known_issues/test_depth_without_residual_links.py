"""Without residual connections, stochastic depth set the features of whole utterances to zero."""

from asrkit.config import ModelConfig
from asrkit.config.checks import model_conflicts


def test_it_is_refused() -> None:
    (conflict,) = model_conflicts(ModelConfig(residual=False, stochastic_depth=0.3))
    assert conflict.found == "model.residual is false, and model.stochastic_depth 0.3"
    assert conflict.todo == "--set model.stochastic_depth=0"


def test_either_alone_is_not() -> None:
    assert not list(model_conflicts(ModelConfig(residual=False)))
    assert not list(model_conflicts(ModelConfig(stochastic_depth=0.3)))

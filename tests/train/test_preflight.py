import copy
import functools
from pathlib import Path

import msgspec
import pytest
import torch
from torch import nn

from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.train.loop import Training
from asrkit.train.optimizer import make_optimizer
from asrkit.train.preflight import check_compilation, compile_parts, estimate_minutes, units_without_examples
from tests.train.tiny import CONFIG, MODEL, UNITS, make_examples


def test_units_without_examples_are_listed() -> None:
    examples = make_examples(3, 0)
    only_a = [example for example in examples if example.target is not None]
    for example in only_a:
        assert example.target is not None
        example.target[:] = [1 for _ in example.target]
    assert units_without_examples(only_a, UNITS) == ["B"]
    assert units_without_examples(make_examples(24, 0), UNITS) == []


def test_the_estimate_changes_nothing_of_the_run(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = AcousticModel(MODEL, bins=20, units=3)
    examples = make_examples(24, 0)
    training = Training(model, make_optimizer(model, CONFIG), CONFIG, UNITS, examples, [], tmp_path)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert estimate_minutes(training) > 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not training.optimizer.state_dict()["state"]
    assert list(tmp_path.iterdir()) == []


COMPILES = hasattr(nn.Module, "compile")


@pytest.mark.skipif(COMPILES, reason="this torch compiles")
def test_torch_without_compile_is_refused() -> None:
    with pytest.raises(UserError, match=r"train.compile is true, and torch 1\.13"):
        check_compilation()


@pytest.mark.skipif(not COMPILES, reason="this torch doesn't compile")
def test_a_compiled_model_has_the_same_outputs_gradients_and_names(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = functools.partialmethod(nn.Module.compile, backend="aot_eager")  # compiles no C++
    monkeypatch.setattr(nn.Module, "compile", fast)
    torch.manual_seed(0)
    model = AcousticModel(msgspec.structs.replace(MODEL, dropout=0.0), bins=20, units=3).train()
    compiled = copy.deepcopy(model)
    compile_parts(compiled)
    assert list(compiled.state_dict()) == list(model.state_dict())
    for lengths in ([50, 41], [70, 61, 33], [40]):
        features, random = torch.randn(len(lengths), max(lengths), 20), torch.randn(3)
        for each in (model, compiled):
            log_probs, frames = each(features, torch.tensor(lengths))
            inside = torch.arange(log_probs.shape[1])[None] < frames[:, None]
            (log_probs[inside] * random).sum().backward()
        torch.testing.assert_close(dict(compiled.named_buffers()), dict(model.named_buffers()))
    for (name, one), (_, other) in zip(compiled.named_parameters(), model.named_parameters()):
        torch.testing.assert_close(one.grad, other.grad, msg=name)

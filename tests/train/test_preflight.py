import torch

from asrkit.model.acoustic import AcousticModel
from asrkit.train.preflight import estimate_minutes, units_without_examples
from tests.train.test_resume import CONFIG, MODEL, UNITS, make_examples


def test_units_that_never_occur_are_named() -> None:
    examples = make_examples(3, 0)
    only_a = [example for example in examples if example.target is not None]
    for example in only_a:
        assert example.target is not None
        example.target[:] = [1 for _ in example.target]
    assert units_without_examples(only_a, UNITS) == ["B"]
    assert units_without_examples(make_examples(24, 0), UNITS) == []


def test_the_estimate_leaves_the_model_alone() -> None:
    torch.manual_seed(0)
    model = AcousticModel(MODEL, bins=20, units=3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert estimate_minutes(model, make_examples(24, 0), CONFIG, processes=1) > 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())

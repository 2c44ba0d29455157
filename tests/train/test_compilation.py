import copy

import pytest
import torch
from torch import nn

from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.train.compilation import compile_parts
from tests.train.tiny import MODEL

COMPILES = hasattr(nn.Module, "compile")


@pytest.mark.skipif(COMPILES, reason="this torch compiles")
def test_a_torch_that_does_not_compile_is_named() -> None:
    with pytest.raises(UserError, match=r"train.compile is true, and torch 1\.13"):
        compile_parts(AcousticModel(MODEL, bins=20, units=3))


@pytest.mark.skipif(not COMPILES, reason="this torch doesn't compile")
def test_a_compiled_model_computes_the_same_and_keeps_its_names() -> None:
    torch.manual_seed(0)
    model = AcousticModel(MODEL, bins=20, units=3).eval()
    compiled = copy.deepcopy(model)
    compile_parts(compiled)
    assert list(compiled.state_dict()) == list(model.state_dict())
    for frames in (50, 70):
        features, lengths = torch.randn(2, frames, 20), torch.tensor([frames, frames - 9])
        torch.testing.assert_close(compiled(features, lengths)[0], model(features, lengths)[0])

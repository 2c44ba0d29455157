"""A neural language model was made as large as its file's metadata claimed, before any shape was compared."""

import resource
from pathlib import Path
from typing import Any, Dict

import pytest

from asrkit.config import NeuralLmConfig
from asrkit.errors import UserError
from asrkit.lm import neural
from asrkit.storage.tensors import load_tensors, save_tensors


@pytest.mark.parametrize(
    ("change", "vocabulary"),
    [
        ({"layers": 10_000_000}, None),
        ({"dim": 1_000_000}, None),
        ({"layers": None}, None),
        ({"layers": 0}, None),
        ({"dim": "8"}, None),
        ({}, ["a"] * 1_000_000),
        ({}, "<unk>"),
        ({}, [1, 2, 3, 4, 5]),
    ],
)
def test_a_model_is_not_made_of_claims(tmp_path: Path, change: Dict[str, Any], vocabulary: Any) -> None:
    file = tmp_path / "neural.safetensors"
    neural.train_neural(NeuralLmConfig(layers=1, dim=8, epochs=1), ["a b"], ["a"], file)
    neural.make_neural_scorer(file)([["a"]])
    tensors, about = load_tensors(file)
    about = {"neural": {**about["neural"], **change}, "vocabulary": vocabulary or about["vocabulary"]}
    save_tensors(file, {name: tensor.clone() for name, tensor in tensors.items()}, about)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match="does not hold a language model") as refusal:
        neural.make_neural_scorer(file)
    assert "--stage lm" in refusal.value.todo
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB

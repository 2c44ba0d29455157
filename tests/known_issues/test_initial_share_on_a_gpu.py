"""average.initial_share failed on a GPU: tensors of a file, on the CPU, were assigned to those on the GPU."""

from pathlib import Path

import pytest

pytest.importorskip("lhotse")

import torch

from asrkit.model.acoustic import AcousticModel, save_model
from asrkit.storage.files import write_text
from asrkit.storage.fingerprint import hash_file
from asrkit.train.initialisation import mix_initial
from tests.train.tiny import MODEL


def test_the_initial_model_is_averaged_on_the_device_of_the_model(tmp_path: Path) -> None:
    table = tmp_path / "units" / "units.txt"
    write_text(table, "".join(f"{symbol} {row}\n" for row, symbol in enumerate(["<blk>", "B", "A"])))
    made_of = {"units": hash_file(table)}
    save_model(tmp_path / "average" / "model.safetensors", AcousticModel(MODEL, 20, 3), made_of)
    model = AcousticModel(MODEL, 20, 3).to("meta")
    assert mix_initial(model, ["<blk>", "A", "C"], tmp_path, 0.25) == len(model.state_dict())
    assert model.output.weight.device == torch.device("meta")

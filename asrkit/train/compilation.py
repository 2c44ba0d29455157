"""torch.compile for the parts of the model that do the work."""

import torch
from torch import nn

from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel


def check_compilation() -> None:
    """Raise UserError if this torch can't compile modules in place."""
    if not hasattr(nn.Module, "compile"):
        raise UserError(
            f"train.compile is true, and torch {torch.__version__} has no nn.Module.compile",
            expected="torch 2.2 or newer",
            where="train.compile",
            todo="--set train.compile=false, or a newer torch with the k2 that fits it (asrkit doctor)",
        )


def compile_parts(model: AcousticModel) -> None:
    """Compile the residual front and each attention block where they are: names of weights don't change.

    Lengths differ from batch to batch, so sizes are symbols. Raises UserError if this torch can't.
    """
    check_compilation()
    for part in (model.front, *model.blocks):
        part.compile(dynamic=True)

"""Checkpoints: all that training needs to go on, bit for bit, in safetensors."""

import dataclasses
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

import torch
from torch import Tensor

from asrkit.errors import UserError
from asrkit.storage.tensors import load_tensors, read_metadata, save_tensors


@dataclasses.dataclass
class Position:
    """Where training stands; `batch` counts the finished steps of the epoch."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    skipped: int = 0  # steps whose gradient wasn't finite
    epoch_loss: float = 0.0  # summed over the epoch's finished steps
    epoch_blanks: float = 0.0  # probability of blank, summed over frames
    epoch_frames: int = 0
    epoch_utterances: int = 0  # in steps that were not skipped
    epoch_norm: float = 0.0  # the largest gradient norm
    log: List[Dict[str, Any]] = dataclasses.field(default_factory=list)  # a row a finished epoch

    def start_epoch(self) -> None:
        """Count the epoch as done, and clear what is summed over one."""
        self.epoch += 1
        self.batch = self.epoch_frames = self.epoch_utterances = 0
        self.epoch_loss = self.epoch_blanks = self.epoch_norm = 0.0


def save_resume_point(
    directory: Path,
    position: Position,
    modules: Mapping[str, torch.nn.Module],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write resume-<step>.safetensors; the one before it is kept in case this one gets damaged."""
    tensors = {
        f"{prefix}.{name}": tensor
        for prefix, module in modules.items()
        for name, tensor in module.state_dict().items()
    }
    state = optimizer.state_dict()["state"]
    for index, values in state.items():
        for name, value in values.items():
            tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
    file = directory / f"resume-{position.step:08d}.safetensors"
    save_tensors(file, tensors, {"position": dataclasses.asdict(position)})
    for old in sorted(directory.glob("resume-*.safetensors"))[:-2]:
        old.unlink()


def load_resume_point(
    directory: Path, modules: Mapping[str, torch.nn.Module], optimizer: torch.optim.Optimizer
) -> Optional[Position]:
    """Put the newest whole resume point into the modules and the optimiser; None where there is none."""
    for file in sorted(directory.glob("resume-*.safetensors"), reverse=True):
        try:
            tensors, metadata = load_tensors(file)
            position = Position(**metadata["position"])
        except (UserError, KeyError, TypeError) as error:
            print(f"train: {file.name} is damaged and passed over ({str(error).splitlines()[0]})")
            continue
        for prefix, module in modules.items():
            module.load_state_dict(_below(tensors, f"{prefix}."))
        state: Dict[int, Dict[str, Tensor]] = {}
        for key, tensor in _below(tensors, "optimizer.").items():
            index, _, name = key.partition(".")
            state.setdefault(int(index), {})[name] = tensor
        optimizer.load_state_dict(
            {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
        )
        return position
    return None


def save_epoch(file: Path, model: torch.nn.Module, row: Dict[str, Any]) -> None:
    """Write the weights after an epoch, with its dev figures."""
    save_tensors(file, dict(model.state_dict()), {"dev": row})


def list_epochs(directory: Path) -> List[Tuple[Path, Dict[str, Any]]]:
    """Kept epochs, oldest first, with their dev figures."""
    return [(file, read_metadata(file)["dev"]) for file in sorted(directory.glob("epoch-*.safetensors"))]


def rank_by_dev(epochs: List[Tuple[Path, Dict[str, Any]]]) -> List[Tuple[Path, Dict[str, Any]]]:
    """Lowest dev error first; equal errors by loss, then the later epoch."""
    return sorted(epochs, key=lambda item: (item[1]["errors"], item[1]["loss"], -item[1]["epoch"]))


def prune_epochs(directory: Path, keep_best: int, keep_last: int) -> None:
    """Remove epochs that are neither among the best nor among the last."""
    epochs = list_epochs(directory)
    kept = {file for file, _ in rank_by_dev(epochs)[:keep_best]} | {file for file, _ in epochs[-keep_last:]}
    for file, _ in epochs:
        if file not in kept:
            file.unlink()


def _below(tensors: Dict[str, Tensor], prefix: str) -> Dict[str, Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}

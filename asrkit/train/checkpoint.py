"""Checkpoints: all that training needs to go on, bit for bit, in safetensors."""

import dataclasses
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

import torch
from torch import Tensor

from asrkit.errors import UserError
from asrkit.storage.tensors import load_tensors, read_metadata, save_tensors

RESUME = "resume-*.safetensors"
GOOD = "good.safetensors"  # the best epoch so far, or the start: what training goes back to if it diverges


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
    loss_scale: float = 2.0**16  # of float16; see asrkit.train.precision
    steps_at_scale: int = 0
    recent_losses: List[float] = dataclasses.field(default_factory=list)  # a frame, of the last steps
    best_loss: Optional[float] = None  # lowest median of recent_losses so far
    returns: List[str] = dataclasses.field(default_factory=list)  # why training went back, each time
    log: List[Dict[str, Any]] = dataclasses.field(default_factory=list)  # a row a finished epoch

    def start_epoch(self) -> None:
        """Count the epoch as done, and clear what is summed over one."""
        self.epoch += 1
        self.batch = self.epoch_frames = self.epoch_utterances = 0
        self.epoch_loss = self.epoch_blanks = self.epoch_norm = 0.0

    @property
    def rate_factor(self) -> float:
        """Of the learning rate: each return halves it."""
        return float(0.5 ** len(self.returns))


def save_point(
    file: Path,
    position: Position,
    modules: Mapping[str, torch.nn.Module],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write all that training needs to go on from `position`."""
    tensors = {
        f"{prefix}.{name}": tensor
        for prefix, module in modules.items()
        for name, tensor in module.state_dict().items()
    }
    state = optimizer.state_dict()["state"]
    for index, values in state.items():
        for name, value in values.items():
            tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
    save_tensors(file, tensors, {"position": dataclasses.asdict(position)})


def resume_file(directory: Path, position: Position) -> Path:
    """The resume point of a position."""
    return directory / f"resume-{position.step:08d}.safetensors"


def prune_resume_points(directory: Path) -> None:
    """Remove all but the newest resume point and the one before it, kept in case the newest gets damaged."""
    for old in sorted(directory.glob(RESUME))[:-2]:
        old.unlink()


def drop_later(directory: Path, position: Position) -> None:
    """Remove the epochs and the resume points of what came after `position`, which must have one."""
    for file, row in list_epochs(directory):
        if row["epoch"] > position.epoch:
            file.unlink()
    for file in sorted(directory.glob(RESUME)):  # the newest last: until then a killed run comes here again
        if file > resume_file(directory, position):
            file.unlink()


def load_point(
    directory: Path,
    modules: Mapping[str, torch.nn.Module],
    optimizer: torch.optim.Optimizer,
    names: str,
    first: bool,
) -> Optional[Position]:
    """Put the newest whole point of such a name into the modules and the optimiser; None: there is none.

    Of several processes the `first` says which points are damaged.
    """
    for file in sorted(directory.glob(names), reverse=True):
        try:
            tensors, metadata = load_tensors(file)
            position = Position(**metadata["position"])
        except (UserError, KeyError, TypeError) as error:
            if first:
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
    return sorted(epochs, key=lambda item: _dev_rank(item[1]))


def is_best(log: List[Dict[str, Any]]) -> bool:
    """Whether the last epoch of a log is the best on dev."""
    return min(log, key=_dev_rank) is log[-1]


def _dev_rank(row: Dict[str, Any]) -> Tuple[int, float, int]:
    return row["errors"], row["loss"], -row["epoch"]


def prune_epochs(directory: Path, keep_best: int, keep_last: int) -> None:
    """Remove epochs that are neither among the best nor among the last."""
    epochs = list_epochs(directory)
    kept = {file for file, _ in rank_by_dev(epochs)[:keep_best]} | {file for file, _ in epochs[-keep_last:]}
    for file, _ in epochs:
        if file not in kept:
            file.unlink()


def _below(tensors: Dict[str, Tensor], prefix: str) -> Dict[str, Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}

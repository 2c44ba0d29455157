"""Checkpoints: all that training needs to go on, bit for bit, in safetensors."""

import dataclasses
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import msgspec
import torch
from torch import Tensor

from asrkit.errors import UserError
from asrkit.storage.files import remove
from asrkit.storage.tensors import load_tensors, read_metadata, save_tensors

RESUME = "resume-*.safetensors"
EPOCHS = "epoch-*.safetensors"
GOOD = "good.safetensors"  # the best epoch so far, or the start: rolled back to if training diverges


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
    kept: List[int] = dataclasses.field(default_factory=list)  # epochs whose weights are kept, oldest first
    parts: int = 1  # batches per step: as many as processes times accumulation when training began
    hardware: str = ""  # that took the last step, as World describes it

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
    made_of: str = "",
) -> None:
    """Write all that training needs to go on from `position`; `made_of` is the training's fingerprint."""
    tensors = {
        f"{prefix}.{name}": tensor
        for prefix, module in modules.items()
        for name, tensor in module.state_dict().items()
    }
    state = optimizer.state_dict()["state"]
    for index, values in state.items():
        for name, value in values.items():
            tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
    save_tensors(file, tensors, {"made_of": made_of, "position": dataclasses.asdict(position)})


def resume_file(directory: Path, position: Position) -> Path:
    """The resume point of a position."""
    return directory / f"resume-{position.step:08d}.safetensors"


def epoch_file(directory: Path, epoch: int) -> Path:
    """The weights after an epoch, the first of which is 1."""
    return directory / f"epoch-{epoch:04d}.safetensors"


def prune(directory: Path, position: Position) -> None:
    """Remove what `position` doesn't need: epochs, later resume points, and earlier ones but for one.

    A later one is damaged or was rolled back from; the earlier one is kept in case the newest gets damaged.
    """
    newest = resume_file(directory, position)
    points = sorted(directory.glob(RESUME))
    earlier = [file for file in points if file < newest]
    # The newest last: until then a killed run comes here again
    for file in [*earlier[:-1], *(file for file in points if file > newest)]:
        remove(file)
    kept = [epoch_file(directory, epoch) for epoch in position.kept]
    for file in directory.glob(EPOCHS):
        if file not in kept:
            remove(file)


def load_point(
    directory: Path,
    modules: Mapping[str, torch.nn.Module],
    optimizer: torch.optim.Optimizer,
    files: Sequence[Path],
    first: bool,
    made_of: str = "",
    with_epochs: bool = True,
) -> Optional[Position]:
    """Put the first whole point of `files` into the modules and the optimiser; None: there is none.

    Whole: of the training `made_of` and, if `with_epochs`, with all its epochs. Of several processes the
    `first` says which points are passed over.
    """
    for file in files:
        try:
            tensors, metadata = load_tensors(file, made_of)
            position = msgspec.convert(metadata["position"], Position)
            for epoch in position.kept if with_epochs else []:
                _check_epoch(epoch_file(directory, epoch), made_of, position.log[epoch - 1])
            _load(tensors, modules, optimizer)
            return position
        except (UserError, IndexError, KeyError, ValueError) as error:
            if first:
                print(f"train: {file.name} is damaged and passed over ({str(error).splitlines()[0]})")
    return None


def _check_epoch(file: Path, made_of: str, row: Mapping[str, Any]) -> None:
    """Raise UserError or ValueError unless a file holds the weights of an epoch of the log."""
    dev = read_metadata(file, made_of)["dev"]
    if any(row.get(name) != value for name, value in dev.items()):
        raise ValueError(f"{file.name} holds the weights of another epoch")


def _load(
    tensors: Dict[str, Tensor], modules: Mapping[str, torch.nn.Module], optimizer: torch.optim.Optimizer
) -> None:
    """Raise ValueError before anything is changed, so that a training can still begin."""
    wanted = {
        f"{prefix}.{name}": tensor.shape
        for prefix, module in modules.items()
        for name, tensor in module.state_dict().items()
    }
    found = {name: tensor.shape for name, tensor in tensors.items() if not name.startswith("optimizer.")}
    if found != wanted:
        raise ValueError("its tensors aren't those of the model")
    state: Dict[int, Dict[str, Tensor]] = {}
    for key, tensor in _below(tensors, "optimizer.").items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = tensor
    for prefix, module in modules.items():
        module.load_state_dict(_below(tensors, f"{prefix}."))
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def list_points(directory: Path) -> List[Path]:
    """Points to resume from, the newest first."""
    return [*sorted(directory.glob(RESUME), reverse=True), *directory.glob(GOOD)]


def save_epoch(file: Path, model: torch.nn.Module, row: Dict[str, Any], made_of: str = "") -> None:
    """Write the weights after an epoch, with its dev figures."""
    save_tensors(file, dict(model.state_dict()), {"made_of": made_of, "dev": row})


def list_epochs(directory: Path) -> List[Tuple[Path, Dict[str, Any]]]:
    """Kept epochs, oldest first, with their dev figures; UserError for a damaged one, or of two trainings."""
    files = sorted(directory.glob(EPOCHS))
    found = [(file, read_metadata(file)) for file in files]
    for file, metadata in found:
        same = metadata.get("made_of") == found[-1][1].get("made_of")
        if not same or file != epoch_file(directory, metadata.get("dev", {}).get("epoch", 0)):
            raise UserError(
                f"{file.name} isn't of the training of {files[-1].name}, or of another epoch",
                expected="epochs of one training",
                where=str(directory),
                todo="run.sh, without --stage, trains again",
            )
    return [(file, metadata["dev"]) for file, metadata in found]


def rank_by_dev(epochs: List[Tuple[Path, Dict[str, Any]]]) -> List[Tuple[Path, Dict[str, Any]]]:
    """Lowest dev error first; equal errors by loss, then the later epoch."""
    return sorted(epochs, key=lambda item: _dev_rank(item[1]))


def is_best(log: List[Dict[str, Any]]) -> bool:
    """Whether the last epoch of a log is the best on dev."""
    return min(log, key=_dev_rank) is log[-1]


def _dev_rank(row: Dict[str, Any]) -> Tuple[int, float, int]:
    return row["errors"], row["loss"], -row["epoch"]


def choose_epochs(log: Sequence[Dict[str, Any]], keep_best: int, keep_last: int) -> List[int]:
    """Of the epochs in a log, numbers of those that are among the best or among the last, oldest first."""
    chosen = [*sorted(log, key=_dev_rank)[:keep_best], *log[-keep_last:]]
    return sorted({row["epoch"] for row in chosen})


def _below(tensors: Dict[str, Tensor], prefix: str) -> Dict[str, Tensor]:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}

"""Checkpoints in safetensors files, from which training resumes (on a CPU bit for bit).

- resume-<step>: model, EMA, optimiser and TrainState; the newest, and one older in case that gets damaged
- epoch-<number>: weights after an epoch with its dev results; those that can be averaged
- good: as resume, of the best epoch so far or of the start; the target of a rollback
"""

import collections
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


@dataclasses.dataclass
class TrainState:
    """How far training has come, and what it has accumulated on the way."""

    epoch: int = 0  # finished epochs
    batch: int = 0  # finished steps of the current epoch
    step: int = 0
    skipped: int = 0  # steps with a gradient that wasn't finite
    skipped_lately: List[int] = dataclasses.field(default_factory=list)  # those within train.skip_window
    epoch_loss: float = 0.0  # summed over the epoch's finished steps
    epoch_blanks: float = 0.0  # blank probability, summed over frames
    epoch_frames: int = 0
    epoch_utterances: int = 0  # in steps that were not skipped
    epoch_norm: float = 0.0  # largest gradient norm
    loss_scale: float = 2.0**16  # of float16, see asrkit.train.precision
    steps_at_scale: int = 0
    recent_losses: List[float] = dataclasses.field(default_factory=list)  # per frame, of the last steps
    best_loss: Optional[float] = None  # lowest median of recent_losses so far
    rollbacks: List[str] = dataclasses.field(default_factory=list)  # the reason of each
    log: List[Dict[str, Any]] = dataclasses.field(default_factory=list)  # one row per finished epoch
    kept: List[int] = dataclasses.field(default_factory=list)  # epochs with a checkpoint, oldest first
    batches_per_step: int = 1  # world size times gradient accumulation, as when training started
    hardware: str = ""  # of the last step, see World.describe

    def start_epoch(self) -> None:
        """Count the epoch as finished, and reset the sums over it."""
        self.epoch += 1
        self.batch = self.epoch_frames = self.epoch_utterances = 0
        self.epoch_loss = self.epoch_blanks = self.epoch_norm = 0.0

    @property
    def rate_factor(self) -> float:
        """Factor of the learning rate: every rollback halves it."""
        return float(0.5 ** len(self.rollbacks))


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of a training in a directory. Only rank 0 writes and logs."""

    directory: Path
    modules: Mapping[str, torch.nn.Module]  # the models to save, by a prefix of the tensors' names
    optimizer: torch.optim.Optimizer
    made_of: str = ""  # fingerprint of the training; other files are ignored
    is_main: bool = True

    @property
    def good(self) -> Path:
        """The target of a rollback."""
        return self.directory / "good.safetensors"

    def epoch_file(self, epoch: int) -> Path:
        """The weights after an epoch, counted from 1."""
        return self.directory / f"epoch-{epoch:04d}.safetensors"

    def resume_file(self, state: TrainState) -> Path:
        """The checkpoint of a training state."""
        return self.directory / f"resume-{state.step:08d}.safetensors"

    def list_resumable(self) -> List[Path]:
        """Checkpoints to resume from, newest first."""
        return [*sorted(self.directory.glob(RESUME), reverse=True), *self.directory.glob(self.good.name)]

    def save(self, state: TrainState, file: Optional[Path] = None) -> None:
        """Write everything that training needs to resume, to resume_file by default."""
        if self.is_main:
            tensors = self._model_tensors()
            for index, values in self.optimizer.state_dict()["state"].items():
                for name, value in values.items():
                    tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
            about = {"made_of": self.made_of, "state": dataclasses.asdict(state)}
            save_tensors(file or self.resume_file(state), tensors, about)

    def load(self, files: Sequence[Path], with_epochs: bool = True) -> Optional[TrainState]:
        """Restore the first intact checkpoint of `files` into the modules and the optimiser; None: no such.

        With `with_epochs`, the epoch checkpoints that it lists must be intact too.
        """
        for file in files:
            try:
                tensors, about = load_tensors(file, self.made_of)
                state = msgspec.convert(about["state"], TrainState)
                for epoch in state.kept if with_epochs else []:
                    stored = read_metadata(self.epoch_file(epoch), self.made_of)["dev"]
                    if any(state.log[epoch - 1].get(name) != value for name, value in stored.items()):
                        raise ValueError(f"{self.epoch_file(epoch).name} is of another epoch")
                self._restore(tensors)
                return state
            except (UserError, IndexError, KeyError, ValueError) as error:
                if self.is_main:
                    print(f"train: ignoring damaged checkpoint {file.name} ({str(error).splitlines()[0]})")
        return None

    def _model_tensors(self) -> Dict[str, Tensor]:
        return {
            f"{prefix}.{name}": tensor
            for prefix, module in self.modules.items()
            for name, tensor in module.state_dict().items()
        }

    def _restore(self, tensors: Dict[str, Tensor]) -> None:
        """Raises ValueError before anything is changed: training can still start from scratch."""
        own, found = self._model_tensors(), dict(tensors)
        state: Dict[int, Dict[str, Tensor]] = collections.defaultdict(dict)
        for key in [key for key in found if key.startswith("optimizer.")]:
            _, index, name = key.split(".", 2)
            state[int(index)][name] = found.pop(key)
        if {key: of.shape for key, of in found.items()} != {key: of.shape for key, of in own.items()}:
            raise ValueError("its tensors are not those of the model")
        with torch.no_grad():
            for key, tensor in own.items():
                tensor.copy_(found[key])
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": dict(state), "param_groups": groups})

    def prune(self, state: TrainState) -> None:
        """Remove what `state` doesn't need: other epochs, later checkpoints (damaged, or rolled back from),
        and all earlier ones but the last."""
        if self.is_main:
            newest, resumable = self.resume_file(state), sorted(self.directory.glob(RESUME))
            earlier = [file for file in resumable if file < newest]
            kept = [self.epoch_file(epoch) for epoch in state.kept]
            # The later ones last: if this is interrupted, the next run comes here again
            for file in [*earlier[:-1], *(file for file in resumable if file > newest)]:
                remove(file)
            for file in set(self.directory.glob(EPOCHS)).difference(kept):
                remove(file)


def save_epoch(file: Path, model: torch.nn.Module, row: Dict[str, Any], made_of: str = "") -> None:
    """Write the weights after an epoch, with its dev results."""
    save_tensors(file, dict(model.state_dict()), {"made_of": made_of, "dev": row})


def list_epochs(directory: Path) -> List[Tuple[Path, Dict[str, Any]]]:
    """Epoch checkpoints, oldest first, with their dev results.

    Raises UserError for a damaged one, and if they are of different trainings.
    """
    files = sorted(directory.glob(EPOCHS))
    found = [(file, read_metadata(file)) for file in files]
    for file, about in found:
        same = about.get("made_of") == found[-1][1].get("made_of")
        if not same or file.name != f"epoch-{about.get('dev', {}).get('epoch', 0):04d}.safetensors":
            raise UserError(
                f"{file.name} is of another training than {files[-1].name}, or of another epoch",
                expected="epochs of one training",
                where=str(directory),
                todo="run.sh, without --stage, retrains",
            )
    return [(file, about["dev"]) for file, about in found]


def dev_rank(row: Dict[str, Any]) -> Tuple[int, float, int]:
    """Sort key for dev results, best first: by errors, then by loss, then the later epoch."""
    return row["errors"], row["loss"], -row["epoch"]


def choose_epochs(log: Sequence[Dict[str, Any]], keep_best: int, keep_last: int) -> List[int]:
    """Numbers of the epochs in a log that are among the best or the last, oldest first."""
    chosen = [*sorted(log, key=dev_rank)[:keep_best], *log[-keep_last:]]
    return sorted({row["epoch"] for row in chosen})

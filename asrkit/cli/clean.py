"""asrkit clean: remove unused trainings."""

import contextlib
from pathlib import Path
from typing import List, Optional, Tuple

import click
import msgspec

from asrkit.errors import UserError
from asrkit.pipeline.experiment import open_experiment
from asrkit.pipeline.lock import hold_lock
from asrkit.pipeline.record import Record
from asrkit.pipeline.status import align, date, duration, size
from asrkit.pipeline.workspace import current_training, trainings
from asrkit.storage.files import UNREADABLE, remove

HEADER = ["", "training", "started", "duration", "size", "epochs", "best on dev"]


class _Epoch(msgspec.Struct):
    """The fields of log.jsonl that are shown."""

    epoch: int
    errors: int
    words: int
    loss: Optional[float]


@click.command("clean")
@click.argument("exp", type=click.Path(path_type=Path))
@click.option("--remove", "names", multiple=True, metavar="NAME", help="Training.  [default: all unused]")
@click.option("--yes", is_flag=True, help="Don't ask for confirmation.")
def command(exp: Path, names: Tuple[str, ...], yes: bool) -> None:
    """List the trainings of EXP with sizes and results, and remove unused ones; nothing else removes any."""
    experiment = open_experiment(exp)
    used = current_training(experiment)
    known = trainings(experiment)
    click.echo("\n".join(align([HEADER, *(_row(folder, record, used) for folder, record in known)])))
    unknown = [name for name in names if name not in {folder.name for folder, _ in known}]
    if unknown or used in names:
        found = f"{unknown[0]} is no training of this experiment" if unknown else f"{used} is in use"
        raise UserError(found, "the name of an unused training", "--remove", "take one from the list above")
    spare = [folder for folder, _ in known if folder.resolve().name != used]
    chosen = [folder for folder in spare if folder.name in names or not names]
    if not chosen:
        click.echo("nothing to remove")
        return
    freed = size(sum(_bytes(folder) for folder in chosen))
    if not yes and not _agrees(f"remove {', '.join(folder.name for folder in chosen)} ({freed})?"):
        click.echo("nothing removed")
        return
    with hold_lock(experiment.directory, ["asrkit", "clean", str(exp)]):
        if current_training(experiment) in {folder.name for folder in chosen}:
            raise UserError("a training has come into use since", todo="run the same command again")
        for folder in chosen:
            _remove(folder)
    click.echo(f"removed {len(chosen)}, {freed}")


def _agrees(question: str) -> bool:
    try:
        return click.confirm(question)
    except click.Abort:  # no terminal to ask
        click.echo()
        return False


def _row(folder: Path, record: Optional[Record], used: Optional[str]) -> List[str]:
    epochs: List[_Epoch] = []
    with contextlib.suppress(*UNREADABLE):
        epochs = msgspec.json.Decoder(_Epoch).decode_lines((folder / "log.jsonl").read_bytes())
    best = min(epochs, key=lambda row: (row.errors, row.loss or 0.0), default=None)
    return [
        "used" if folder.name == used else "",
        folder.name,
        date(record.started) if record else "",
        duration(record.seconds) if record else "not finished",
        size(_bytes(folder)),
        str(len(epochs)),
        f"{best.errors}/{best.words} greedy in epoch {best.epoch}" if best else "",
    ]


def _remove(folder: Path) -> None:
    try:
        remove(folder)
    except OSError as error:
        found, where = f"can't remove {folder}: {error.strerror}", str(error.filename or folder)
        todo = "fix the permissions, then run the same command"
        raise UserError(found, "a removable folder", where, todo) from None


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())

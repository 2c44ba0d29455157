"""asrkit clean: remove trainings that are no longer wanted."""

import json
import shutil
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import click

from asrkit.errors import UserError
from asrkit.pipeline.experiment import open_experiment
from asrkit.pipeline.lock import hold_lock
from asrkit.pipeline.record import Record
from asrkit.pipeline.status import align, date, duration, size
from asrkit.pipeline.workspace import current_training, trainings

HEADER = ["", "training", "began", "how long", "size", "epochs", "best on dev"]


@click.command("clean")
@click.argument("exp", type=click.Path(path_type=Path))
@click.option("--remove", "names", multiple=True, metavar="NAME", help="Remove this one; may be repeated.")
@click.option("--yes", is_flag=True, help="Don't ask.")
def command(exp: Path, names: Tuple[str, ...], yes: bool) -> None:
    """List the trainings of EXP with sizes and results, and remove those that aren't in use.

    Without --remove these are all but the one in use. Nothing else in asrkit removes a training.
    """
    experiment = open_experiment(exp)
    used = current_training(experiment.directory)
    known = trainings(experiment)
    click.echo("\n".join(align([HEADER, *(_row(folder, record, used) for folder, record in known)])))
    unknown = [name for name in names if name not in {folder.name for folder, _ in known}]
    if unknown or used in names:
        raise UserError(
            f"{unknown[0]} is no training of this experiment" if unknown else f"{used} is in use",
            expected="the name of a training that isn't in use",
            where="--remove",
            todo="take one from the list above",
        )
    chosen = [folder for folder, _ in known if folder.name in names or (not names and folder.name != used)]
    if not chosen:
        click.echo("nothing to remove")
        return
    freed = size(sum(_bytes(folder) for folder in chosen))
    if not yes and not _agrees(f"remove {', '.join(folder.name for folder in chosen)} ({freed})?"):
        click.echo("nothing removed")
        return
    with hold_lock(experiment.directory, ["asrkit", "clean", str(exp)]):
        for folder in chosen:
            shutil.rmtree(folder)
    click.echo(f"removed {len(chosen)}, {freed}")


def _agrees(question: str) -> bool:
    try:
        return click.confirm(question)
    except click.Abort:  # no terminal to ask
        click.echo()
        return False


def _row(folder: Path, record: Optional[Record], used: Optional[str]) -> List[str]:
    epochs = _epochs(folder)
    best = min(epochs, key=lambda row: (row["errors"], row["loss"]), default=None)
    return [
        "used" if folder.name == used else "",
        folder.name,
        date(record.started) if record else "",
        duration(record.seconds) if record else "not finished",
        size(_bytes(folder)),
        str(len(epochs)),
        f"{best['errors']}/{best['words']} greedy in epoch {best['epoch']}" if best else "",
    ]


def _epochs(folder: Path) -> List[Dict[str, Any]]:
    try:
        return [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]
    except (OSError, ValueError):
        return []


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())

"""asrkit show: one HTML page of a finished experiment, with a browser of its utterances."""

import math
from pathlib import Path
from typing import List, Optional, Tuple

import click

from asrkit.cli.options import FILE
from asrkit.errors import UserError
from asrkit.pipeline.experiment import open_experiment
from asrkit.pipeline.finished import refuse_changed_results
from asrkit.show.data import LIMIT, SEED
from asrkit.show.page import show
from asrkit.show.systems import labels_of
from asrkit.stages.table import stage_named


@click.command("show")
@click.argument("exp", type=click.Path(path_type=Path))
@click.option("--output", type=FILE, help="The page.  [default: EXP/show.html]")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=LIMIT,
    show_default=True,
    help="Utterances to browse; of more, those with the most errors, with the rarest words, and random ones.",
)
@click.option("--set-name", "sets", multiple=True, help="A set to browse.  [default: every test set]")
@click.option("--seed", type=int, default=SEED, show_default=True, help="Of the random utterances.")
@click.option(
    "--beams", help="Search beams to try on dev, e.g. 4,8,12,20; k2 searches the stored posteriors."
)
def command(
    exp: Path, output: Optional[Path], limit: int, sets: Tuple[str, ...], seed: int, beams: Optional[str]
) -> None:
    """Write a page of EXP's results, curves and errors, with a browser of its utterances.

    The page is one file that needs no network: it holds the audio and all that is shown.
    """
    experiment = open_experiment(exp)
    refuse_changed_results([stage_named("score")], experiment.directory)
    labelled = {labels_of([exp])[0]: experiment}
    show(output or exp / "show.html", labelled, limit=limit, sets=sets, seed=seed, beams=_numbers(beams))


def _numbers(beams: Optional[str]) -> List[float]:
    try:
        found = [float(each) for each in beams.split(",")] if beams else []
    except ValueError:
        found = [0.0]
    if not all(0 < each < math.inf for each in found):
        raise UserError(f"--beams {beams}", "numbers above 0", "--beams", "for example --beams 4,8,12,20")
    return found

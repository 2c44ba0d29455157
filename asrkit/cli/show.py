"""asrkit show: one HTML page of a finished experiment, with a browser of its utterances."""

from pathlib import Path
from typing import List, Optional, Tuple

import click

from asrkit.errors import UserError
from asrkit.pipeline.experiment import open_experiment
from asrkit.pipeline.finished import refuse_changed_results
from asrkit.show.data import LIMIT, SEED, collect, labels_of
from asrkit.show.page import write_page
from asrkit.stages.table import stage_named


@click.command("show")
@click.argument("exp", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), help="The page.  [default: EXP/show.html]")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=LIMIT,
    show_default=True,
    help="Utterances to browse; of more, those with the most errors, with the rarest words, and random ones.",
)
@click.option("--set-name", "sets", multiple=True, help="A set to browse.  [default: every test set]")
@click.option("--seed", type=int, default=SEED, show_default=True, help="Of the random utterances.")
@click.option("--beams", metavar="N,N,...", help="Also search dev with these search beams: errors and speed.")
def command(
    exp: Path, output: Optional[Path], limit: int, sets: Tuple[str, ...], seed: int, beams: Optional[str]
) -> None:
    """Write a page of EXP's results, curves and errors, with a browser of its utterances.

    The page is one file that needs no network: it holds the audio and all that is shown.
    """
    experiment = open_experiment(exp)
    refuse_changed_results([stage_named("score")], experiment.directory)
    page = collect({labels_of([exp])[0]: experiment}, limit, sets, seed, _numbers(beams))
    for note in page.main["notes"]:
        print(f"show: {note}")
    file = output or exp / "show.html"
    size = write_page(file, page)
    shown = page.main["sampling"]
    print(f"{file}: {shown['shown']} of {shown['all']} utterances, {size / 1e6:.1f} MB")


def _numbers(beams: Optional[str]) -> List[float]:
    try:
        numbers = [float(each) for each in (beams or "").split(",") if each]
        if any(not 0 < number < 1000 for number in numbers):
            raise ValueError
    except ValueError:
        raise UserError(f"--beams {beams}", "beams above 0, such as 4,8,12,20", "the command line") from None
    return numbers

"""asrkit new-recipe: write a recipe for a table, Kaldi data directories, CutSets or Common Voice."""

from pathlib import Path
from typing import Optional, Tuple

import click

from asrkit.onboarding.new_recipe import make_recipe
from asrkit.pipeline.machine import count_cores

FOLDER = click.Path(path_type=Path)


@click.command("new-recipe")
@click.argument("name")
@click.option("--from", "place", required=True, type=FOLDER, metavar="SOURCE", help="The corpus.")
@click.option("--init-from", type=FOLDER, metavar="EXP", help="Fine-tune the model of this experiment.")
@click.option("--recipes", type=FOLDER, default=Path("recipes"), show_default=True, metavar="DIR")
@click.option("--allow-pipes", is_flag=True, help="Run piped commands in wav.scp or a CutSet.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Set one setting.")
@click.option("--nj", type=click.IntRange(min=1), help="Number of threads.  [default: all cores]")
def command(
    name: str,
    place: Path,
    init_from: Optional[Path],
    recipes: Path,
    allow_pipes: bool,
    assignments: Tuple[str, ...],
    nj: Optional[int],
) -> None:
    """Write recipes/NAME for a corpus, with initial settings that fit its size, text and sampling rate.

    SOURCE is one of: a table NAME.tsv with columns path, text, speaker and optionally split; a Kaldi data
    directory or a folder of them; a lhotse CutSet NAME.jsonl.gz; the folder of a Common Voice language.
    Missing dev and test sets are carved out of train, speaker-disjoint.
    """
    for line in make_recipe(name, place, recipes, allow_pipes, assignments, nj or count_cores(), init_from):
        print(line)

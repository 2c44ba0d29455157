"""asrkit new-recipe: a recipe for a table, Kaldi data directories, CutSets or a download of Common Voice."""

from pathlib import Path
from typing import Optional, Tuple

import click

from asrkit.onboarding.new_recipe import make_recipe
from asrkit.pipeline.machine import count_cores

FOLDER = click.Path(path_type=Path)


@click.command("new-recipe")
@click.argument("name")
@click.option("--from", "place", required=True, type=FOLDER, metavar="SOURCE", help="The corpus.")
@click.option("--recipes", type=FOLDER, default=Path("recipes"), show_default=True, metavar="DIR")
@click.option("--allow-pipes", is_flag=True, help="Run the commands in wav.scp or a CutSet.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Set one setting.")
@click.option("--nj", type=click.IntRange(min=1), help="Processes at once.  [default: the cores]")
def command(
    name: str,
    place: Path,
    recipes: Path,
    allow_pipes: bool,
    assignments: Tuple[str, ...],
    nj: Optional[int],
) -> None:
    """Write recipes/NAME for a corpus, with settings suggested from what it holds.

    SOURCE is a table NAME.tsv with columns path, text, speaker and perhaps split; a Kaldi data
    directory, or a folder of them; a lhotse CutSet, NAME.jsonl.gz; or the folder of a language of
    Common Voice. Dev and test sets that it lacks are cut out of training, by speaker.
    """
    for line in make_recipe(name, place, recipes, allow_pipes, assignments, nj or count_cores()):
        print(line)

"""asrkit plan: estimate the disk and time that a recipe takes."""

from pathlib import Path
from typing import Optional, Tuple

import click

from asrkit.cli.options import FiniteRange
from asrkit.config import load_config
from asrkit.onboarding.estimate import estimate_lines
from asrkit.pipeline.experiment import REPOSITORY

FOLDER = click.Path(path_type=Path)
RECORDS = Path("recipes/an4/records")  # of the project's folder


@click.command("plan")
@click.option("--recipe", required=True, type=FOLDER, metavar="DIR", help="Folder with recipe.yaml.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change one setting.")
@click.option(
    "--measured", type=FOLDER, metavar="DIR", help=f"Records of a finished run.  [default: {RECORDS}]"
)
@click.option("--throughput", type=FiniteRange(0, min_open=True), help="Training speed of your hardware.")
def command(
    recipe: Path, assignments: Tuple[str, ...], measured: Optional[Path], throughput: Optional[float]
) -> None:
    """Print the disk space of features, and the hours of feature extraction, training and decoding.

    The hours are for the hardware that --measured was recorded on. For other hardware, pass the speed that
    training prints there (seconds of audio per second).
    """
    config = load_config(recipe / "recipe.yaml", None, assignments)
    for line in estimate_lines(config, recipe / "expect.json", measured or REPOSITORY / RECORDS, throughput):
        print(line)

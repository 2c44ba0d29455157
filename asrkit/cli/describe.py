"""asrkit describe: print the acoustic model of a recipe, stage by stage."""

import math
from pathlib import Path
from typing import Optional, Tuple

import click

from asrkit.config import load_config

FOLDER = click.Path(path_type=Path)


@click.command("describe")
@click.option("--recipe", required=True, type=FOLDER, metavar="DIR", help="Folder with recipe.yaml.")
@click.option("--config", type=FOLDER, metavar="FILE", help="YAML file that overrides recipe.yaml.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Override one setting.")
@click.option(
    "--units",
    type=click.IntRange(min=2),
    default=500,
    show_default=True,
    help="Number of units that the model predicts, with the blank.",
)
def command(recipe: Path, config: Optional[Path], assignments: Tuple[str, ...], units: int) -> None:
    """Print the model: shapes, parameters, multiply-adds per second of audio, receptive field."""
    from asrkit.model.acoustic import AcousticModel, subsampling
    from asrkit.model.description import SECONDS, describe_model

    settings = load_config(recipe / "recipe.yaml", config, assignments)
    model = AcousticModel(settings.model, settings.features.bins, units)
    parts = describe_model(model, settings.features.frame_shift)
    row = "{:<10} {:>12} {:>9} {:>12} {:>14} {:>15}"
    print(row.format("stage", "output", "frame ms", "parameters", "mult-adds/s", "receptive ms"))
    for part in parts:
        receptive = "all" if math.isinf(part.receptive_milliseconds) else f"{part.receptive_milliseconds:g}"
        costs = (f"{part.parameters:,}", f"{part.multiply_adds:,}", receptive)
        print(row.format(part.name, part.output, f"{part.frame_milliseconds:g}", *costs))
    work = sum(part.multiply_adds for part in parts)
    print(
        f"total: {model.parameter_count():,} parameters, {work:,} multiply-adds per second of audio "
        f"(utterance of {SECONDS:g} s), subsampling factor {subsampling(settings.model)}, {units} units"
    )

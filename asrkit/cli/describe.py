"""asrkit describe: the acoustic model of a recipe, stage by stage."""

from pathlib import Path
from typing import List, Optional, Tuple

import click

from asrkit.config import load_config

FOLDER = click.Path(path_type=Path)


@click.command("describe")
@click.option("--recipe", required=True, type=FOLDER, metavar="DIR", help="Folder with recipe.yaml.")
@click.option("--config", type=FOLDER, metavar="FILE", help="YAML file laid over recipe.yaml.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change one setting.")
@click.option("--units", default=500, show_default=True, help="Units that the model predicts.")
def command(recipe: Path, config: Optional[Path], assignments: Tuple[str, ...], units: int) -> None:
    """Print the model: shapes, parameters, multiply-adds a second of audio, receptive field."""
    from asrkit.model.acoustic import AcousticModel
    from asrkit.model.description import SECONDS, Part, describe_model

    settings = load_config(recipe / "recipe.yaml", config, assignments)
    model = AcousticModel(settings.model, settings.features.bins, units)
    parts: List[Part] = describe_model(model, settings.features.frame_shift)
    row = "{:<10} {:>12} {:>9} {:>12} {:>14} {:>12}"
    print(row.format("part", "output", "frame ms", "parameters", "mult-adds/s", "sees ms"))
    for part in parts:
        sees = "all" if part.receptive_milliseconds == float("inf") else f"{part.receptive_milliseconds:g}"
        numbers = (f"{part.parameters:,}", f"{part.multiply_adds:,}", sees)
        print(row.format(part.name, part.output, f"{part.frame_milliseconds:g}", *numbers))
    work = sum(part.multiply_adds for part in parts)
    output = next(part for part in parts if part.name == "output")
    subsampling = round(output.frame_milliseconds / (1000 * settings.features.frame_shift))
    print(
        f"all: {model.parameter_count():,} parameters, {work:,} multiply-adds a second of audio "
        f"(an utterance of {SECONDS:g} s), subsampling {subsampling}, {units} units"
    )

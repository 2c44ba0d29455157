"""asrkit plan: disk, memory and hours that a recipe will take, from counts and measurements."""

from pathlib import Path
from typing import Optional, Tuple

import click

from asrkit.config import load_config
from asrkit.onboarding.estimate import GPU_SHARE, Target, plan_lines

FOLDER = click.Path(path_type=Path)
POSITIVE, SHARE = click.FloatRange(0, min_open=True), click.FloatRange(0, 1, min_open=True)


@click.command("plan")
@click.option("--recipe", required=True, type=FOLDER, metavar="DIR", help="Folder with recipe.yaml.")
@click.option("--config", type=FOLDER, metavar="FILE", help="YAML file laid over recipe.yaml.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change one setting.")
@click.option("--units", default=500, show_default=True, help="Units that the model predicts.")
@click.option("--exp", type=FOLDER, metavar="DIR", help="Take hours from its manifests, not expect.json.")
@click.option(
    "--measured", type=FOLDER, metavar="DIR", default=Path("recipes/an4/records"), show_default=True
)
@click.option("--throughput", type=POSITIVE, help="Audio seconds trained a second, as measured; of one GPU.")
@click.option("--gpus", type=click.IntRange(min=1), help="Train on so many GPUs.")
@click.option("--gpu-rate", type=POSITIVE, help="TFLOP/s of a GPU.  [default: an A100's 312; float32: 19.5]")
@click.option("--gpu-share", type=SHARE, help=f"Reached of --gpu-rate.  [default: {GPU_SHARE}, a guess]")
def command(
    recipe: Path,
    config: Optional[Path],
    assignments: Tuple[str, ...],
    units: int,
    exp: Optional[Path],
    measured: Path,
    throughput: Optional[float],
    gpus: Optional[int],
    gpu_rate: Optional[float],
    gpu_share: Optional[float],
) -> None:
    """Print what the stages of a recipe will take on the hardware that --measured was recorded on.

    --measured is a finished experiment, or the records of one: results.json, cost.json, recipe.yaml. Stages
    are taken to need time in proportion to hours of audio, and training in proportion to multiply-adds too.
    For other hardware give the speed that training prints there with --throughput. Without it, the speed of
    --gpus is extrapolated from the model's multiply-adds. N GPUs are taken to be N times as fast as one.
    """
    settings = load_config(recipe / "recipe.yaml", config, assignments)
    target = Target(throughput, gpus, gpu_rate, gpu_share)
    for line in plan_lines(settings, recipe / "expect.json", units, exp, measured, target):
        print(line)

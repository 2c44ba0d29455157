"""asrkit robustness: error rates of a trained model in noise, rooms and poor channels."""

from pathlib import Path
from typing import Optional, Tuple

import click

from asrkit.pipeline.machine import count_cores

FOLDER = click.Path(path_type=Path)


@click.command("robustness")
@click.option("--exp", required=True, type=FOLDER, metavar="DIR", help="A finished experiment.")
@click.option("--set-name", help="A set.  [default: the first test set, else dev]")
@click.option("--method", help="greedy, 1best, ...  [default: 1best if there is a graph]")
@click.option(
    "--noise", type=FOLDER, metavar="DIR", help="Recordings of noise; a subfolder is a kind of noise."
)
@click.option("--rooms", type=FOLDER, metavar="DIR", help="Room impulse responses.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Random seed.")
@click.option(
    "--step",
    "steps",
    multiple=True,
    metavar="YAML",
    help="As of signal.steps, before the model's own: '{kind: denoise, by: webrtc}'.",
)
@click.option("--output", type=FOLDER, metavar="DIR", help="[default: EXP/robustness]")
@click.option("--nj", type=click.IntRange(min=1), help="Processes.  [default: the cores]")
def command(
    exp: Path,
    set_name: Optional[str],
    method: Optional[str],
    noise: Optional[Path],
    rooms: Optional[Path],
    seed: int,
    steps: Tuple[str, ...],
    output: Optional[Path],
    nj: Optional[int],
) -> None:
    """Decode a set under fixed, seeded conditions: noise, babble, hum, rooms, telephone, MP3, clipping.

    Writes a table and a picture of WER against signal-to-noise ratio to EXP/robustness. Nothing is tuned.
    Stages score and show, run after it, add both to RESULTS.md and to the page.
    """
    from asrkit.config.load import parse_steps
    from asrkit.pipeline.experiment import open_experiment
    from asrkit.pipeline.finished import refuse_changed_model
    from asrkit.recognise.opening import choose_method, choose_set
    from asrkit.recognise.robustness import RobustnessOptions, measure_robustness
    from asrkit.score.robustness import FOLDER, table_of_one, write_measurement
    from asrkit.storage.files import require_writable

    experiment = open_experiment(exp, nj or count_cores())
    refuse_changed_model(experiment)
    chosen = choose_method(method, experiment.config.decode.methods, "--method")
    options = RobustnessOptions(
        split=choose_set(set_name, experiment),
        method=chosen,
        noise=noise,
        rooms=rooms,
        seed=seed,
        steps=parse_steps(steps, "--step"),
    )
    directory = output or experiment.directory / FOLDER
    require_writable(directory, "--output")
    measured = measure_robustness(experiment, options)
    print("\n".join(table_of_one(measured)))
    for file in write_measurement(directory, options.split, measured):
        print(file)

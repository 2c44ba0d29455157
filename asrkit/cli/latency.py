"""asrkit latency: error rates of streams by chunk size, beside whole utterances."""

from pathlib import Path
from typing import Optional, Tuple

import click

from asrkit.cli.options import FiniteRange
from asrkit.pipeline.machine import count_cores

FOLDER = click.Path(path_type=Path)


@click.command("latency")
@click.option("--exp", required=True, type=FOLDER, metavar="DIR", help="An experiment with train.chunk.")
@click.option("--set-name", help="A set.  [default: the first test set, else dev]")
@click.option("--method", help="greedy, 1best, ...  [default: 1best if there is a graph]")
@click.option(
    "--chunk",
    "chunks",
    multiple=True,
    type=FiniteRange(min=0.01),
    default=(0.16, 0.32, 0.64, 1.28),
    show_default=True,
    help="Seconds; may be given several times.",
)
@click.option("--nj", type=click.IntRange(min=1), help="Processes.  [default: the cores]")
def command(
    exp: Path, set_name: Optional[str], method: Optional[str], chunks: Tuple[float, ...], nj: Optional[int]
) -> None:
    """Recognise a set as streams: latency, emission delay, error rate and speed by chunk size.

    Writes a table to EXP/latency. The weights chosen on dev for whole utterances are used.
    """
    from asrkit.pipeline.experiment import open_experiment
    from asrkit.pipeline.finished import refuse_changed_model
    from asrkit.recognise.latency import FOLDER, measure_latency, write_latency
    from asrkit.recognise.opening import choose_method, choose_set, refuse_whole_utterances
    from asrkit.score.streams import table_of
    from asrkit.storage.files import require_writable

    experiment = open_experiment(exp, nj or count_cores())
    refuse_whole_utterances(experiment)
    refuse_changed_model(experiment)
    chosen = choose_method(method, experiment.config.decode.methods, "--method")
    split = choose_set(set_name, experiment)
    require_writable(experiment.directory / FOLDER, "--exp")
    rows = measure_latency(experiment, split, chosen, chunks)
    print("\n".join(table_of(rows)))
    print(write_latency(experiment.directory / FOLDER, split, chosen, rows))

"""asrkit corpus report: what the manifests of an experiment hold, as JSON and as a page with players."""

import concurrent.futures
from pathlib import Path
from typing import Any, List, Optional, Tuple

import click

from asrkit.corpus.manifests import read_cuts
from asrkit.corpus.report import Measured, make_report
from asrkit.corpus.report_page import render_page
from asrkit.corpus.splits import sets_of
from asrkit.errors import UserError
from asrkit.pipeline.cost import count_cores
from asrkit.pipeline.experiment import Experiment, open_experiment
from asrkit.pipeline.progress import Progress
from asrkit.storage.files import read_json, write_json, write_text

FOLDER = click.Path(path_type=Path)


@click.group("corpus")
def command() -> None:
    """Look at a corpus."""


@command.command("report")
@click.option("--exp", required=True, type=FOLDER, metavar="DIR", help="An experiment whose stage 1 has run.")
@click.option("--nj", type=click.IntRange(min=1), help="Threads at once.  [default: the cores]")
def report(exp: Path, nj: Optional[int]) -> None:
    """Write EXP/corpus/report.json and report.html: amounts, levels, symbols, and what doesn't look right."""
    experiment = open_experiment(exp, nj or count_cores())
    utterances = _measure_all(experiment)
    found = make_report(utterances, read_json(experiment.manifests / "statistics.json"))
    folder = experiment.directory / "corpus"
    write_json(folder / "report.json", found)
    write_text(folder / "report.html", render_page(experiment.config.name, found, utterances, folder))
    for kind, rows in found["suspects"].items():
        click.echo(f"{kind}: {len(rows)} utterances, for example {rows[0]['id']} ({rows[0]['detail']})")
    click.echo(f"wrote {folder / 'report.html'}")


def _measure_all(experiment: Experiment) -> List[Measured]:
    names = sets_of(experiment.config.corpus)
    cuts = [(split, cut) for split in names for cut in read_cuts(experiment.manifests, split)]
    utterances = []
    with (
        concurrent.futures.ThreadPoolExecutor(experiment.jobs) as pool,
        Progress("measuring", len(cuts), "utterances") as bar,
    ):
        for one in pool.map(_measure, cuts):
            utterances.append(one)
            bar.advance(one.seconds)
    return utterances


def _measure(of: Tuple[str, Any]) -> Measured:
    from asrkit.corpus.audio import AudioProblem
    from asrkit.signal.audio import read_samples
    from asrkit.signal.level import measure_level

    split, cut = of
    (supervision,) = cut.supervisions
    file, rate = cut.recording.sources[0].source, cut.sampling_rate
    try:
        level = measure_level(read_samples(Path(file), round(cut.start * rate), cut.num_samples), rate)
    except AudioProblem as problem:
        raise UserError(
            f"{cut.id}: {problem}",
            expected="the audio that stage 1 read",
            where=file,
            todo="put it back, or run stage 1 again",
        ) from None
    return Measured(
        id=cut.id,
        split=split,
        speaker=supervision.speaker,
        text=supervision.text,
        audio=file,
        start=cut.start,
        seconds=cut.duration,
        sampling_rate=rate,
        decibels=level.decibels,
        clipped=level.clipped,
        silence=level.silence,
    )

"""asrkit corpus report: what the manifests of an experiment hold, as JSON and as a page with players."""

import concurrent.futures
import dataclasses
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import click

from asrkit.corpus.manifests import read_cuts
from asrkit.corpus.report import Measured, make_report
from asrkit.corpus.report_page import render_page
from asrkit.corpus.splits import sets_of
from asrkit.errors import UserError
from asrkit.pipeline.cost import count_cores
from asrkit.pipeline.experiment import Experiment, open_experiment
from asrkit.pipeline.finished import refuse_changed
from asrkit.pipeline.progress import Progress
from asrkit.pipeline.runner import cache_of
from asrkit.stages.table import stage_named
from asrkit.storage.files import read_json, write_json, write_text
from asrkit.storage.fingerprint import hash_file

FOLDER = click.Path(path_type=Path)
WORST = "How many texts least like what the model hears are listed; 0: none is scored."


@click.group("corpus")
def command() -> None:
    """Look at a corpus."""


@command.command("report")
@click.option("--exp", required=True, type=FOLDER, metavar="DIR", help="An experiment with manifests.")
@click.option("--nj", type=click.IntRange(min=1), help="Threads at once.  [default: the cores]")
@click.option("--worst", type=click.IntRange(min=0), default=20, show_default=True, help=WORST)
def report(exp: Path, nj: Optional[int], worst: int) -> None:
    """Write EXP/corpus/report.json and report.html: amounts, levels, symbols, and what doesn't look right.

    After stage average each text is also scored against what the model hears in its audio.
    """
    experiment = open_experiment(exp, nj or count_cores())
    refuse_changed(stage_named("manifests"), experiment, cache_of(experiment), reads=())
    utterances = _measure_all(experiment)
    alignments = _score_texts(experiment, utterances)[:worst] if worst else []
    found = make_report(utterances, read_json(experiment.manifests / "statistics.json"), alignments)
    folder = experiment.directory / "corpus"
    write_json(folder / "report.json", found)
    write_text(folder / "report.html", render_page(experiment.config.name, found, utterances, folder))
    for kind, rows in found["suspects"].items():
        print(f"{kind}: {len(rows)} utterances, for example {rows[0]['id']} ({rows[0]['detail']})")
    for row in alignments[:1]:
        print(f"least like what the model hears: {row['id']}: {row['text']}; heard: {row['heard']}")
    print(f"wrote {folder / 'report.html'}")


def _score_texts(experiment: Experiment, utterances: List[Measured]) -> List[Dict[str, Any]]:
    """Every utterance that has features with its alignment, the worst first; none before there is a model."""
    import torch

    from asrkit.decode.alignment import score_alignments
    from asrkit.model.acoustic import load_model
    from asrkit.signal.features import load_cuts
    from asrkit.text.units import load_units

    file = experiment.averaged / "model.safetensors"
    if not file.exists():
        print("no model yet: after stage average the report scores each text against what it hears")
        return []
    torch.set_num_threads(1)
    for name in ("features", "units", "average"):
        refuse_changed(stage_named(name), experiment, cache_of(experiment), reads=())
    model, made_of = load_model(file)
    if made_of.get("units") != hash_file(experiment.units / "units.txt"):
        raise UserError("the model was made for other units", where=str(file), todo="run.sh --stage train")
    measured, cuts = {one.id: one for one in utterances}, []
    for cut in (cut for split in sets_of(experiment.config.corpus) for cut in load_cuts(experiment, split)):
        if cut.id in measured:  # copies at other speeds aren't
            cut.supervisions[0].text = measured[cut.id].text  # corrected since, perhaps
            cuts.append(cut)
    seconds = experiment.config.decode.batch_duration
    found = score_alignments(model, load_units(experiment.units), cuts, seconds, experiment.jobs)
    print(f"{len(found)} of {len(utterances)} utterances have features, and their texts are scored")
    rows = [
        {"id": id, "split": measured[id].split, "text": measured[id].text, **dataclasses.asdict(alignment)}
        for id, alignment in found.items()
    ]
    return sorted(rows, key=lambda row: (row["score"] is not None, row["score"] or 0.0, row["id"]))


def _measure_all(experiment: Experiment) -> List[Measured]:
    names = sets_of(experiment.config.corpus)
    cuts = [(split, cut) for split in names for cut in read_cuts(experiment, split)]
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
            expected="the audio that stage manifests read",
            where=file,
            todo="put it back, or run stage manifests again",
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

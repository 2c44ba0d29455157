"""asrkit corpus report: statistics and suspicious utterances of an experiment's corpus."""

from pathlib import Path
from typing import Optional

import click

from asrkit.onboarding.report import make_report, measure_corpus, score_texts
from asrkit.onboarding.report_page import render_page
from asrkit.pipeline.experiment import open_experiment
from asrkit.pipeline.finished import refuse_changed
from asrkit.pipeline.machine import count_cores
from asrkit.pipeline.runner import cache_of
from asrkit.stages.table import stage_named
from asrkit.storage.files import read_json, write_json, write_text

FOLDER = click.Path(path_type=Path)
WORST = "List this many transcripts that disagree most with the model; 0: score none."


@click.group("corpus")
def command() -> None:
    """Inspect a corpus."""


@command.command("report")
@click.option("--exp", required=True, type=FOLDER, metavar="DIR", help="Experiment with manifests.")
@click.option("--nj", type=click.IntRange(min=1), help="Number of threads.  [default: all cores]")
@click.option("--worst", type=click.IntRange(min=0), default=20, show_default=True, help=WORST)
def report(exp: Path, nj: Optional[int], worst: int) -> None:
    """Write EXP/corpus/report.json and report.html: durations, levels, characters, suspicious utterances.

    After stage average, transcripts are also scored by forced alignment with the model.
    """
    experiment = open_experiment(exp, nj or count_cores())
    refuse_changed(stage_named("manifests"), experiment, cache_of(experiment), reads=())
    utterances = measure_corpus(experiment)
    alignments = []
    if worst and not (experiment.folder("average") / "model.safetensors").exists():
        print("no model yet: after stage average, the report also scores each transcript with it")
    elif worst:
        for name in ("features", "units", "average"):
            refuse_changed(stage_named(name), experiment, cache_of(experiment), reads=())
        scored = score_texts(experiment, utterances)
        print(f"scored the {len(scored)} of {len(utterances)} utterances that have features")
        alignments = scored[:worst]
    found = make_report(utterances, read_json(experiment.folder("manifests") / "statistics.json"), alignments)
    folder = experiment.directory / "corpus"
    write_json(folder / "report.json", found)
    write_text(folder / "report.html", render_page(experiment.config.name, found, utterances, folder))
    for kind, rows in found["suspects"].items():
        print(f"{kind}: {len(rows)} utterances, for example {rows[0]['id']} ({rows[0]['detail']})")
    for row in alignments[:1]:
        print(f"worst transcript: {row['id']}: {row['text']}; recognised: {row['heard']}")
    print(f"wrote {folder / 'report.html'}")

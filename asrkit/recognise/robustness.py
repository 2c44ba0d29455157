"""Error rate of a trained model under degraded conditions, with a table and a picture."""

import dataclasses
import functools
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch

from asrkit.corpus.manifests import read_cuts
from asrkit.errors import AudioProblem
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.parallel import run_parallel
from asrkit.pipeline.progress import Progress
from asrkit.recognise.recognizer import Recognizer
from asrkit.recognise.segmentation import SegmentOptions
from asrkit.score.records import RATES
from asrkit.score.splits import evaluate_transcripts
from asrkit.score.transcripts import Transcript, load_transcripts
from asrkit.signal.audio import read_samples, resample
from asrkit.signal.conditions import Condition, make_conditions
from asrkit.signal.degradation import Speech
from asrkit.storage.files import whole_file, write_json, write_text

FOLDER = "robustness"  # below EXP
Row = Dict[str, Any]


@dataclasses.dataclass(frozen=True)
class RobustnessOptions:
    """What is measured."""

    split: str
    method: str
    noise: Optional[Path] = None
    rooms: Optional[Path] = None
    seed: int = 1


def measure_robustness(experiment: Experiment, options: RobustnessOptions) -> List[Row]:
    """Decode a set under each condition; a row per condition, with counts and interval, in score.unit.

    Utterances that stages rejected, and those that a condition makes unusable, count with all their words as
    deletions, as in stage score. Raises UserError for a set or method that was not decoded.
    """
    transcripts = load_transcripts(experiment, options.split, options.method)[0]
    cuts = list(read_cuts(experiment, options.split))
    rate = experiment.config.features.sampling_rate
    by_id = {cut.id: cut for cut in cuts}
    speakers = {cut.id: cut.supervisions[0].speaker for cut in cuts}
    speech = Speech(list(by_id), speakers.__getitem__, lambda id: _read(by_id[id], rate))
    conditions = make_conditions(rate, options.noise, options.rooms, speech)
    open_once = functools.lru_cache(maxsize=1)(Recognizer.open)  # one per process

    def work(index: int) -> Row:
        torch.set_num_threads(1)  # processes are the parallelism, and threads don't survive a fork
        recognizer, condition = open_once(experiment.directory, options.method), conditions[index]
        words = {cut.id: _recognise(cut, condition, recognizer, options.seed) for cut in cuts}
        return _row(experiment, condition, transcripts, words)

    rows: Dict[int, Row] = {}
    with Progress("robustness", len(conditions), "conditions") as bar:

        def done(index: int, row: Row) -> None:
            rows[index] = row
            bar.advance(sum(cut.duration for cut in cuts))

        run_parallel(work, len(conditions), experiment.jobs, done)
    return [rows[index] for index in range(len(conditions))]


def _recognise(cut: Any, condition: Condition, recognizer: Recognizer, seed: int) -> Optional[List[str]]:
    """The words of a degraded utterance; None if it can't be used."""
    rate = recognizer.sampling_rate
    try:
        degraded = condition(_read(cut, rate), seed, cut.id)
        return recognizer.transcribe((degraded, rate), SegmentOptions(whole=True)).text.split()
    except AudioProblem:
        return None


def _read(cut: Any, new_rate: int) -> np.ndarray:
    """Samples (sample,) at `new_rate` Hz; raises AudioProblem."""
    file, rate = Path(cut.recording.sources[0].source), cut.sampling_rate
    return resample(read_samples(file, round(cut.start * rate), cut.num_samples), rate, new_rate)


def _row(
    experiment: Experiment,
    condition: Condition,
    transcripts: Sequence[Transcript],
    words: Mapping[str, Optional[List[str]]],
) -> Row:
    heard = [
        dataclasses.replace(each, hypothesis=words.get(each.id) or [], timed=None) for each in transcripts
    ]
    (evaluation,) = evaluate_transcripts(experiment, heard, [experiment.config.score.unit])
    return {
        "condition": condition.name,
        "kind": condition.kind,
        "snr": condition.snr,
        "unit": evaluation.unit,
        "errors": evaluation.total.errors,
        "reference": evaluation.total.reference,
        "rate": evaluation.total.rate,
        "interval": evaluation.interval,
        "unusable": sum(found is None for found in words.values()),
    }


def write_robustness(directory: Path, options: RobustnessOptions, rows: Sequence[Row]) -> Tuple[Path, Path]:
    """Write SET.json, SET.md and SET.svg; returns the last two."""
    about = {"set": options.split, "method": options.method, "seed": options.seed}
    write_json(directory / f"{options.split}.json", {**about, "rows": list(rows)})
    table, picture = directory / f"{options.split}.md", directory / f"{options.split}.svg"
    write_text(table, "\n".join(table_of(rows)) + "\n")
    _draw(picture, options.split, rows)
    return table, picture


def table_of(rows: Sequence[Row]) -> List[str]:
    """A table in Markdown: errors of each condition with interval, and relative to those in clean speech."""
    clean = next((row["errors"] for row in rows if row["kind"] == "clean"), 0)
    rate = RATES[rows[0]["unit"]]
    lines = [
        f"| condition | errors | {rate} [interval] | errors / clean | unusable |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        low, high = row["interval"]
        ratio = f"{row['errors'] / clean:.1f}" if clean else ""
        lines.append(
            f"| {row['condition']} | {row['errors']}/{row['reference']} "
            f"| {row['rate']:.2f} % [{low:.2f}, {high:.2f}] | {ratio} | {row['unusable']} |"
        )
    return lines


def _draw(file: Path, split: str, rows: Sequence[Row]) -> None:
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot(
        xlabel="signal-to-noise ratio, dB", ylabel=f"{RATES[rows[0]['unit']]} of {split}, %"
    )
    for kind in dict.fromkeys(row["kind"] for row in rows if row["snr"] is not None):
        of_kind = sorted((row["snr"], row["rate"]) for row in rows if row["kind"] == kind)
        axes.plot(*zip(*of_kind), marker="o", markersize=3, label=kind)
    for row in rows:
        if row["kind"] == "clean":
            axes.axhline(row["rate"], color="black", linewidth=0.8, label="clean")
    axes.set_ylim(bottom=0)
    axes.invert_xaxis()
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    with matplotlib.rc_context({"svg.hashsalt": "asrkit"}), whole_file(file) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})

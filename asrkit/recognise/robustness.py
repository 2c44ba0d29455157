"""Word error rate of a trained model under degraded conditions, with a table and a picture."""

import dataclasses
import functools
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import soundfile
import torch

from asrkit.corpus.manifests import read_cuts
from asrkit.errors import AudioProblem, UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.parallel import run_parallel
from asrkit.pipeline.progress import Progress
from asrkit.recognise.recognizer import Recognizer
from asrkit.recognise.segmentation import SegmentOptions
from asrkit.score.alignment import align, count
from asrkit.score.evaluation import bootstrap_interval
from asrkit.signal.audio import resample
from asrkit.signal.conditions import Condition, make_conditions
from asrkit.storage.files import whole_file, write_json, write_text

FOLDER = "robustness"  # below EXP
Row = Dict[str, Any]


@dataclasses.dataclass(frozen=True)
class RobustnessOptions:
    """What is measured."""

    split: str
    method: Optional[str] = None
    noise: Optional[Path] = None
    rooms: Optional[Path] = None
    seed: int = 1


def measure_robustness(experiment: Experiment, options: RobustnessOptions) -> List[Row]:
    """Decode a set under each condition; a row per condition, with counts and interval.

    An utterance that a condition makes unusable counts with all its words as deletions.
    """
    cuts = list(read_cuts(experiment, options.split))
    if not cuts:
        raise UserError(f"no utterances in {options.split}", "a set of the recipe", "--set-name")
    speech = [Path(cut.recording.sources[0].source) for cut in cuts]
    conditions = make_conditions(options.noise, options.rooms, speech)
    open_once = functools.lru_cache(maxsize=1)(Recognizer.open)  # one per process

    def work(index: int) -> Row:
        torch.set_num_threads(1)  # processes are the parallelism, and threads don't survive a fork
        recognizer = open_once(experiment.directory, options.method)
        return _measure(
            conditions[index], cuts, recognizer, options.seed, experiment.config.score.bootstrap_samples
        )

    rows: Dict[int, Row] = {}
    with Progress("robustness", len(conditions), "conditions") as bar:

        def done(index: int, row: Row) -> None:
            rows[index] = row
            bar.advance(sum(cut.duration for cut in cuts))

        run_parallel(work, len(conditions), experiment.jobs, done)
    return [rows[index] for index in range(len(conditions))]


def _measure(condition: Condition, cuts: Sequence[Any], recognizer: Recognizer, seed: int, draws: int) -> Row:
    errors: List[int] = []
    lengths: List[int] = []
    for cut in cuts:
        samples, rate = soundfile.read(
            cut.recording.sources[0].source,
            start=round(cut.start * cut.sampling_rate),
            frames=cut.num_samples,
            dtype="float32",
        )
        reference = cut.supervisions[0].text.split()
        words: List[str] = []
        try:
            degraded = condition(
                resample(samples, rate, recognizer.sampling_rate), recognizer.sampling_rate, seed, cut.id
            )
            words = recognizer.transcribe(
                (degraded, recognizer.sampling_rate), SegmentOptions(whole=True)
            ).text.split()
        except AudioProblem:
            pass
        errors.append(count(align(reference, words)).errors)
        lengths.append(len(reference))
    return {
        "condition": condition.name,
        "kind": condition.kind,
        "snr": condition.snr,
        "errors": sum(errors),
        "words": sum(lengths),
        "rate": 100 * sum(errors) / sum(lengths),
        "interval": bootstrap_interval(errors, lengths, draws),
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
    lines = ["| condition | errors | WER [95 % interval] | errors / clean |", "| --- | --- | --- | --- |"]
    for row in rows:
        low, high = row["interval"]
        ratio = f"{row['errors'] / clean:.1f}" if clean else ""
        lines.append(
            f"| {row['condition']} | {row['errors']}/{row['words']} "
            f"| {row['rate']:.2f} % [{low:.2f}, {high:.2f}] | {ratio} |"
        )
    return lines


def _draw(file: Path, split: str, rows: Sequence[Row]) -> None:
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot(xlabel="signal-to-noise ratio, dB", ylabel=f"WER of {split}, %")
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

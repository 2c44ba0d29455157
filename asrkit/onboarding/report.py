"""Corpus report: durations, levels and characters per split, and utterances that look wrong."""

import collections
import concurrent.futures
import dataclasses
import statistics
import unicodedata
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from asrkit.corpus.audio import AudioProblem
from asrkit.corpus.manifests import read_cuts
from asrkit.corpus.splits import sets_of
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.progress import Progress
from asrkit.storage.fingerprint import hash_file

# Modified z-score, 0.6745 (x - median) / MAD, above which a value is an outlier (Iglewicz and Hoaglin, 1993)
OUTLIER = 3.5
CLIPPED = 0.001  # fraction of samples
QUIET = -45.0  # dBFS
SILENT = 0.7  # fraction of time
PERCENTILES = (0, 5, 50, 95, 100)


@dataclasses.dataclass(frozen=True)
class Measured:
    """Measurements of one utterance."""

    id: str
    split: str
    speaker: str
    text: str
    audio: str  # file
    start: float  # seconds into the file
    seconds: float
    sampling_rate: int  # Hz
    decibels: float  # RMS level in dBFS
    clipped: float  # fraction of samples
    silence: float  # fraction of time

    @property
    def speaking_rate(self) -> float:
        """Characters per second of non-silence."""
        return len(self.text.replace(" ", "")) / max(0.05, self.seconds * (1 - self.silence))


# Plotted and summarised per split, with units
QUANTITIES: Dict[str, Callable[[Measured], float]] = {
    "duration (s)": lambda one: one.seconds,
    "words per minute": lambda one: 60 * len(one.text.split()) / one.seconds,
    "level (dBFS)": lambda one: one.decibels,
    "silence (% of time)": lambda one: 100 * one.silence,
}


def measure_corpus(experiment: Experiment) -> List[Measured]:
    """Measure every utterance of the manifests; raises UserError if its audio can't be read."""
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
    from asrkit.signal.audio import read_samples
    from asrkit.signal.level import measure_level

    split, cut = of
    (supervision,) = cut.supervisions
    file, rate = cut.recording.sources[0].source, cut.sampling_rate
    try:
        level = measure_level(read_samples(Path(file), round(cut.start * rate), cut.num_samples), rate)
    except AudioProblem as problem:
        todo = "restore the file, or run stage manifests again"
        raise UserError(f"{cut.id}: {problem}", "the audio that stage manifests read", file, todo) from None
    place = {"audio": file, "start": cut.start, "seconds": cut.duration, "sampling_rate": rate}
    spoken = {"speaker": supervision.speaker, "text": supervision.text}
    return Measured(cut.id, split, **spoken, **place, **dataclasses.asdict(level))


def score_texts(experiment: Experiment, utterances: Sequence[Measured]) -> List[Dict[str, Any]]:
    """Score the transcript of every utterance with features by forced alignment; worst first."""
    import torch

    from asrkit.decode.alignment import score_alignments
    from asrkit.model.acoustic import load_model
    from asrkit.signal.features import load_cuts
    from asrkit.text.units import load_units

    file = experiment.folder("average") / "model.safetensors"
    torch.set_num_threads(1)
    model, made_of = load_model(file)
    if made_of.get("units") != hash_file(experiment.folder("units") / "units.txt"):
        raise UserError("the model was trained with other units", "", str(file), "run.sh --stage train")
    measured, cuts = {one.id: one for one in utterances}, []
    for cut in (cut for split in sets_of(experiment.config.corpus) for cut in load_cuts(experiment, split)):
        if cut.id in measured:  # not speed-perturbed
            cut.supervisions[0].text = measured[cut.id].text  # may have been corrected since
            cuts.append(cut)
    seconds = experiment.config.decode.batch_duration
    found = score_alignments(model, load_units(experiment.folder("units")), cuts, seconds, experiment.jobs)
    rows = [
        {"id": id, "split": measured[id].split, "text": measured[id].text, **dataclasses.asdict(alignment)}
        for id, alignment in found.items()
    ]
    return sorted(rows, key=lambda row: (row["score"] is not None, row["score"] or 0.0, row["id"]))


def make_report(
    utterances: Sequence[Measured], of_manifests: Mapping[str, Any], alignments: Sequence[Mapping[str, Any]]
) -> Dict[str, Any]:
    """The report as JSON.

    `of_manifests`: statistics.json of stage manifests, with counts and overlaps.
    `alignments`: id, split, text, heard, score, reason of the transcripts that fit the model worst.
    """
    splits = {
        name: {**counts, **_describe_split([one for one in utterances if one.split == name])}
        for name, counts in of_manifests["splits"].items()
    }
    return {
        "splits": splits,
        "overlaps": of_manifests["overlaps"],
        "symbols": _count_symbols(utterances),
        "suspects": find_suspects(utterances),
        "alignments": list(alignments),
    }


def find_suspects(utterances: Sequence[Measured]) -> Dict[str, List[Dict[str, Any]]]:
    """Suspicious utterances by kind of problem, worst first."""
    found: Dict[str, List[Tuple[float, str, Dict[str, Any]]]] = collections.defaultdict(list)
    for one, score in zip(utterances, _outlier_scores([one.speaking_rate for one in utterances])):
        rate = f"{one.speaking_rate:.1f} characters per second of speech"
        for kind, wrong, badness, detail in (
            ("too much text for the audio", score > OUTLIER, score, rate),
            ("too little text for the audio", score < -OUTLIER, -score, rate),
            ("clipping", one.clipped > CLIPPED, one.clipped, f"{100 * one.clipped:.2f} % of samples"),
            ("quiet", one.decibels < QUIET, -one.decibels, f"{one.decibels:.1f} dBFS"),
            ("mostly silence", one.silence > SILENT, one.silence, f"{100 * one.silence:.0f} % of the time"),
        ):
            if wrong:
                found[kind].append((-badness, one.id, {"id": one.id, "split": one.split, "detail": detail}))
    return {
        kind: [row for *_, row in sorted(rows, key=lambda row: row[:2])]
        for kind, rows in sorted(found.items())
    }


def _outlier_scores(rates: Sequence[float]) -> List[float]:
    """Modified z-scores of the logarithms; 0 if the MAD is 0."""
    if not rates:
        return []
    logs = [float(np.log(max(rate, 1e-3))) for rate in rates]
    middle = statistics.median(logs)
    spread = statistics.median(abs(value - middle) for value in logs)
    return [0.6745 * (value - middle) / spread if spread else 0.0 for value in logs]


def _describe_split(utterances: Sequence[Measured]) -> Dict[str, Any]:
    speakers: Dict[str, float] = collections.defaultdict(float)
    for one in utterances:
        speakers[one.speaker] += one.seconds
    percentiles = {
        name: np.percentile([of(one) for one in utterances], PERCENTILES).round(3).tolist()
        for name, of in QUANTITIES.items()
        if utterances
    }
    return {
        "hours": round(sum(speakers.values()) / 3600, 4),
        "sampling_rates": dict(collections.Counter(str(one.sampling_rate) for one in utterances)),
        "seconds_of_speakers": {name: round(speakers[name], 1) for name in sorted(speakers)},
        "percentiles": {name: dict(zip(map(str, PERCENTILES), of)) for name, of in percentiles.items()},
    }


def _count_symbols(utterances: Sequence[Measured]) -> List[Dict[str, Any]]:
    """Every character of the texts, rarest first, with its Unicode name and an example utterance."""
    counts = collections.Counter(symbol for one in utterances for symbol in one.text if symbol != " ")
    examples = {symbol: one.id for one in reversed(utterances) for symbol in one.text}
    rows = []
    for symbol, count in sorted(counts.items(), key=lambda pair: (pair[1], pair[0])):
        name = unicodedata.name(symbol, f"U+{ord(symbol):04X}")
        rows.append({"symbol": symbol, "name": name, "count": count, "example": examples[symbol]})
    return rows

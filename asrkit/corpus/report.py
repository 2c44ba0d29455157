"""What a corpus holds, utterance by utterance: amounts, levels, and what doesn't look right."""

import collections
import dataclasses
import statistics
import unicodedata
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

import numpy as np

# Modified z-score, 0.6745 (x - median) / MAD, beyond which a value is an outlier (Iglewicz and Hoaglin, 1993)
OUTLIER = 3.5
CLIPPED = 0.001  # share of samples
QUIET = -45.0  # decibels against full scale
SILENT = 0.7  # share of time
PERCENTILES = (0, 5, 50, 95, 100)


@dataclasses.dataclass(frozen=True)
class Measured:
    """One utterance."""

    id: str
    split: str
    speaker: str
    text: str
    audio: str  # file
    start: float  # seconds into the file
    seconds: float
    sampling_rate: int  # Hz
    decibels: float  # root mean square, against full scale
    clipped: float  # share of samples
    silence: float  # share of time

    @property
    def words_a_minute(self) -> float:
        """Over all of the utterance, silence included."""
        return 60 * len(self.text.split()) / self.seconds

    @property
    def speaking_rate(self) -> float:
        """Characters a second of what isn't silence."""
        return len(self.text.replace(" ", "")) / max(0.05, self.seconds * (1 - self.silence))


# What is drawn and counted of an utterance, with its unit
QUANTITIES: Dict[str, Callable[[Measured], float]] = {
    "duration (s)": lambda one: one.seconds,
    "words a minute": lambda one: one.words_a_minute,
    "level (dB of full scale)": lambda one: one.decibels,
    "silence (% of time)": lambda one: 100 * one.silence,
}


def make_report(
    utterances: Sequence[Measured], of_manifests: Mapping[str, Any], alignments: Sequence[Mapping[str, Any]]
) -> Dict[str, Any]:
    """The report as JSON; `of_manifests` is statistics.json of stage manifests, with counts and overlaps, and
    `alignments` lists id, split, text, heard, score, reason of the texts least like what a model hears."""
    splits: Dict[str, List[Measured]] = {name: [] for name in of_manifests["splits"]}
    for one in utterances:
        splits[one.split].append(one)
    return {
        "splits": {
            name: {**of_manifests["splits"][name], **_describe_split(of)} for name, of in splits.items()
        },
        "overlaps": of_manifests["overlaps"],
        "symbols": _count_symbols(utterances),
        "suspects": find_suspects(utterances),
        "alignments": list(alignments),
    }


def find_suspects(utterances: Sequence[Measured]) -> Dict[str, List[Dict[str, Any]]]:
    """By kind of fault the utterances that may have it, the worst first."""
    found: Dict[str, List[Tuple[float, Dict[str, Any]]]] = collections.defaultdict(list)

    def add(kind: str, one: Measured, badness: float, detail: str) -> None:
        found[kind].append((badness, {"id": one.id, "split": one.split, "detail": detail}))

    for one, score in zip(utterances, _outlier_scores([one.speaking_rate for one in utterances])):
        if abs(score) > OUTLIER:
            kind = "too much text for the sound" if score > 0 else "too little text for the sound"
            add(kind, one, abs(score), f"{one.speaking_rate:.1f} characters a second of sound")
        if one.clipped > CLIPPED:
            add("clipping", one, one.clipped, f"{100 * one.clipped:.2f} % of samples")
        if one.decibels < QUIET:
            add("quiet", one, -one.decibels, f"{one.decibels:.1f} dB of full scale")
        if one.silence > SILENT:
            add("mostly silence", one, one.silence, f"{100 * one.silence:.0f} % of the time")
    return {
        kind: [row for _, row in sorted(rows, key=lambda pair: (-pair[0], pair[1]["id"]))]
        for kind, rows in sorted(found.items())
    }


def _outlier_scores(rates: Sequence[float]) -> List[float]:
    """Modified z-scores of the rates' logarithms; 0 where half of them are the same."""
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
    return {
        "hours": round(sum(speakers.values()) / 3600, 4),
        "sampling_rates": dict(collections.Counter(str(one.sampling_rate) for one in utterances)),
        "seconds_of_speakers": {name: round(speakers[name], 1) for name in sorted(speakers)},
        "percentiles": {
            name: {
                str(percent): round(float(np.percentile([of(one) for one in utterances], percent)), 3)
                for percent in PERCENTILES
            }
            for name, of in QUANTITIES.items()
            if utterances
        },
    }


def _count_symbols(utterances: Sequence[Measured]) -> List[Dict[str, Any]]:
    """Every character of the texts, the rarest first, with its name and an utterance that has it."""
    counts = collections.Counter(symbol for one in utterances for symbol in one.text if symbol != " ")
    examples: Dict[str, str] = {}
    for one in utterances:
        for symbol in one.text:
            examples.setdefault(symbol, one.id)
    return [
        {
            "symbol": symbol,
            "name": unicodedata.name(symbol, f"U+{ord(symbol):04X}"),
            "count": count,
            "example": examples[symbol],
        }
        for symbol, count in sorted(counts.items(), key=lambda pair: (pair[1], pair[0]))
    ]

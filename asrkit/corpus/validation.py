"""Which utterances can be used, and why the others can't."""

import collections
import concurrent.futures
import dataclasses
import math
import unicodedata
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Sequence, Tuple, Union

from asrkit.config.recipe import CorpusConfig
from asrkit.corpus.audio import AudioFacts, AudioProblem, inspect_audio
from asrkit.corpus.rejection import Rejection
from asrkit.corpus.text import check_text, invisible_characters
from asrkit.corpus.utterance import Utterance
from asrkit.errors import escape
from asrkit.pipeline.progress import Progress

Inspection = Union[AudioFacts, AudioProblem]
Inspect = Callable[[Path, float], AudioFacts]  # a file and the most seconds; raises AudioProblem

FILES_AT_ONCE = 10_000  # wait for a thread
MAX_RECORDING = 24 * 3600.0  # seconds of a recording with several utterances
MAX_OVERSHOOT = 0.5  # seconds that a segment's end may lie after that of its audio, as in Kaldi


@dataclasses.dataclass(frozen=True)
class ValidUtterance:
    """An utterance that can be used, with its place in the audio in samples."""

    utterance: Utterance
    text: str  # by the rule of asrkit/corpus/text.py
    audio: AudioFacts
    first_sample: int
    samples: int

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.samples / self.audio.sampling_rate


def validate(
    utterances: Sequence[Utterance], config: CorpusConfig, jobs: int, inspect: Inspect = inspect_audio
) -> Tuple[List[ValidUtterance], List[Rejection]]:
    """Split utterances into usable and rejected ones, in their order; inspects each audio file once."""
    limits: Dict[Path, float] = {}  # seconds of each file
    for utterance in utterances:
        whole = utterance.start is None and utterance.duration is None
        limit = config.max_duration if whole else MAX_RECORDING
        limits[utterance.audio] = max(limit, limits.get(utterance.audio, 0.0))
    inspections = dict(zip(limits, _inspect_all(limits, jobs, inspect)))
    rates = _usual_rates(utterances, inspections)
    valid: List[ValidUtterance] = []
    rejected: List[Rejection] = []
    seen: Dict[str, Utterance] = {}
    for utterance in utterances:
        try:
            if utterance.id in seen:
                first = seen[utterance.id]
                raise AudioProblem("duplicate id", f"kept {first.audio}, not {utterance.audio}")
            seen[utterance.id] = utterance
            _check_names(utterance)
            inspection = inspections[utterance.audio]
            if isinstance(inspection, AudioProblem):
                raise inspection
            _check_rate(inspection.sampling_rate, rates[utterance.split], utterance.split, config)
            valid.append(_check(utterance, inspection, config))
        except AudioProblem as problem:
            rejected.append(reject(utterance, problem, config))
    removed = collections.Counter(
        character for one in valid for character in invisible_characters(one.utterance.text)
    )
    for character, count in sorted(removed.items()):
        print(f"the invisible character {character} is removed; texts that have it: {count}")
    return valid, rejected


def reject(utterance: Utterance, problem: AudioProblem, config: CorpusConfig) -> Rejection:
    """The rejection, with the text where that is sound, so that scoring can count its words."""
    try:
        text = check_text(utterance.text, config)
    except AudioProblem:
        text = ""
    return Rejection(utterance.id, utterance.split, problem.kind, problem.detail, utterance.speaker, text)


def _check_rate(rate: int, usual: int, split: str, config: CorpusConfig) -> None:
    if config.min_sampling_rate is None and rate != usual:
        found = f"found {rate} Hz, expected {usual} Hz as the rest of {split}"
        raise AudioProblem("other sampling rate", found)
    if config.min_sampling_rate is not None and rate < config.min_sampling_rate:
        found = f"found {rate} Hz, corpus.min_sampling_rate is {config.min_sampling_rate}"
        raise AudioProblem("other sampling rate", found)


def _check(utterance: Utterance, audio: AudioFacts, config: CorpusConfig) -> ValidUtterance:
    text = check_text(utterance.text, config)
    first, samples = _place(utterance, audio)
    seconds = samples / audio.sampling_rate
    if seconds < config.min_duration:
        raise AudioProblem("too short", f"{seconds:.3f} s, corpus.min_duration is {config.min_duration:g} s")
    if seconds > config.max_duration:
        raise AudioProblem("too long", f"{seconds:.3f} s, corpus.max_duration is {config.max_duration:g} s")
    return ValidUtterance(utterance, text, audio, first, samples)


def _place(utterance: Utterance, audio: AudioFacts) -> Tuple[int, int]:
    """First sample and number of samples; raises AudioProblem unless they lie inside the audio."""
    start, rate = utterance.start or 0.0, audio.sampling_rate
    duration = audio.samples / rate - start if utterance.duration is None else utterance.duration
    if math.isfinite(start) and math.isfinite(duration):
        first, samples = round(start * rate), round(duration * rate)
        if 0 <= first + samples - audio.samples < MAX_OVERSHOOT * rate:  # times are often rounded
            samples = audio.samples - first
        if first >= 0 and samples > 0 and first + samples <= audio.samples:
            return first, samples
    found = f"{start:.3f} s to {start + duration:.3f} s of audio of {audio.samples / rate:.3f} s"
    raise AudioProblem("segment outside its audio", found)


def _check_names(utterance: Utterance) -> None:
    id, speaker = utterance.id, utterance.speaker
    if not id or not id.isprintable() or " " in id:
        raise AudioProblem("unusable id", f"found {id!a}, expected printable characters without spaces")
    if any(unicodedata.category(each) in ("Cc", "Cs") for each in speaker):
        raise AudioProblem(
            "unusable speaker", f"found {speaker!a}, expected a name without control characters"
        )


def _check_path(file: Path) -> None:
    """Manifests are JSON in UTF-8, so they can't name a file that isn't."""
    try:
        str(file).encode("utf-8")
    except UnicodeEncodeError:
        raise AudioProblem("file name that isn't UTF-8", escape(str(file))) from None


def _inspect_all(limits: Mapping[Path, float], jobs: int, inspect: Inspect) -> List[Inspection]:
    def facts_or_problem(file: Path) -> Inspection:
        try:
            _check_path(file)
            return inspect(file, limits[file])
        except AudioProblem as problem:
            return problem

    # Threads suffice: libsndfile, NumPy and hashing let go of the interpreter lock.
    files = list(limits)
    found: List[Inspection] = []
    with (
        concurrent.futures.ThreadPoolExecutor(max(1, jobs)) as pool,
        Progress("reading audio", len(limits), "files") as bar,
    ):
        for first in range(0, len(files), FILES_AT_ONCE):
            for inspection in pool.map(facts_or_problem, files[first : first + FILES_AT_ONCE]):
                found.append(inspection)
                if isinstance(inspection, AudioFacts):
                    bar.advance(inspection.samples / inspection.sampling_rate)
                else:
                    bar.advance()
    return found


def _usual_rates(utterances: Sequence[Utterance], inspections: Mapping[Path, Inspection]) -> Dict[str, int]:
    """The most common sampling rate of each split; of two equally common ones the higher."""
    counts: Dict[str, Dict[int, int]] = collections.defaultdict(lambda: collections.defaultdict(int))
    for utterance in utterances:
        inspection = inspections[utterance.audio]
        if isinstance(inspection, AudioFacts):
            counts[utterance.split][inspection.sampling_rate] += 1
    return {split: max(of, key=lambda rate: (of[rate], rate)) for split, of in counts.items()}

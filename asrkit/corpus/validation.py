"""Validate every utterance: id, speaker, audio, sampling rate, text, segment and duration."""

import collections
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
from asrkit.pipeline.cluster import LOCAL
from asrkit.pipeline.parallel import run_parallel
from asrkit.pipeline.progress import Progress

Inspection = Union[AudioFacts, AudioProblem]
Inspect = Callable[[Path, float], AudioFacts]  # of a file, up to so many seconds; raises AudioProblem

FILES_OF_PART = 200  # that a process inspects before it reports
MAX_RECORDING = 24 * 3600.0  # seconds of a recording with several utterances
MAX_OVERSHOOT = 0.5  # seconds by which a segment may exceed its recording, as in Kaldi


@dataclasses.dataclass(frozen=True)
class ValidUtterance:
    """A usable utterance."""

    utterance: Utterance
    text: str  # normalised, see asrkit/corpus/text.py
    audio: AudioFacts
    first_sample: int
    samples: int

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.samples / self.audio.sampling_rate


def validate(
    utterances: Sequence[Utterance],
    config: CorpusConfig,
    jobs: int,
    inspect: Inspect = inspect_audio,
    cluster: str = LOCAL,
) -> Tuple[List[ValidUtterance], List[Rejection]]:
    """Split utterances into valid and rejected ones, in order; each audio file is read once."""
    limits: Dict[Path, float] = {}  # seconds per file
    for utterance in utterances:
        whole = utterance.start is None and utterance.duration is None
        limit = config.max_duration if whole else MAX_RECORDING
        limits[utterance.audio] = max(limit, limits.get(utterance.audio, 0.0))
    inspections = dict(zip(limits, _inspect_all(limits, jobs, inspect, cluster)))
    rates = _majority_rates(utterances, inspections)
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
            valid.append(_check(utterance, inspection, rates[utterance.split], config))
        except AudioProblem as problem:
            rejected.append(reject(utterance, problem, config))
    removed = collections.Counter(
        character for one in valid for character in invisible_characters(one.utterance.text)
    )
    for character, count in sorted(removed.items()):
        print(f"removed the invisible character {character} from {count} texts")
    return valid, rejected


def reject(utterance: Utterance, problem: AudioProblem, config: CorpusConfig) -> Rejection:
    """The rejection, with the text if that is valid, so that scoring can count its words."""
    try:
        text = check_text(utterance.text, config)
    except AudioProblem:
        text = ""
    id, split, speaker = utterance.id, utterance.split, utterance.speaker
    groups, snr = utterance.groups, utterance.snr
    return Rejection(id, split, problem.kind, problem.detail, speaker, text, groups, snr)


def _check_names(utterance: Utterance) -> None:
    id, speaker = utterance.id, utterance.speaker
    if not id or not id.isprintable() or " " in id:
        raise AudioProblem("unusable id", f"found {id!a}, expected printable characters without spaces")
    if any(unicodedata.category(each) in ("Cc", "Cs") for each in speaker):
        expected = "a name without control characters"
        raise AudioProblem("unusable speaker", f"found {speaker!a}, expected {expected}")


def _check(
    utterance: Utterance, audio: AudioFacts, majority_rate: int, config: CorpusConfig
) -> ValidUtterance:
    rate, least = audio.sampling_rate, config.min_sampling_rate
    if least is None and rate != majority_rate:
        found = f"found {rate} Hz, expected {majority_rate} Hz as in the rest of {utterance.split}"
        raise AudioProblem("other sampling rate", found)
    if least is not None and rate < least:
        raise AudioProblem("other sampling rate", f"found {rate} Hz, corpus.min_sampling_rate is {least}")
    text = check_text(utterance.text, config)
    text = utterance.text if text == utterance.text else text  # one string in memory, not two
    first, samples = _place(utterance, audio)
    seconds = samples / rate
    if seconds < config.min_duration:
        raise AudioProblem("too short", f"{seconds:.3f} s, corpus.min_duration is {config.min_duration:g} s")
    if seconds > config.max_duration:
        raise AudioProblem("too long", f"{seconds:.3f} s, corpus.max_duration is {config.max_duration:g} s")
    return ValidUtterance(utterance, text, audio, first, samples)


def _place(utterance: Utterance, audio: AudioFacts) -> Tuple[int, int]:
    """First sample and number of samples of a segment; raises AudioProblem if it is outside the audio."""
    start, rate = utterance.start or 0.0, audio.sampling_rate
    duration = audio.samples / rate - start if utterance.duration is None else utterance.duration
    if math.isfinite(start * rate) and math.isfinite(duration * rate):
        first, samples = round(start * rate), round(duration * rate)
        if 0 <= first + samples - audio.samples < MAX_OVERSHOOT * rate:  # times are often rounded
            samples = audio.samples - first
        if first >= 0 and samples > 0 and first + samples <= audio.samples:
            return first, samples
    found = f"{start:.3f} s to {start + duration:.3f} s of audio of {audio.samples / rate:.3f} s"
    raise AudioProblem("segment outside its audio", found)


def _inspect_all(limits: Mapping[Path, float], jobs: int, inspect: Inspect, cluster: str) -> List[Inspection]:
    def facts_or_problem(file: Path, limit: float) -> Inspection:
        try:
            str(file).encode("utf-8")  # manifests are JSON in UTF-8
            return inspect(file, limit)
        except UnicodeEncodeError:
            return AudioProblem("file name that isn't UTF-8", escape(str(file)))
        except AudioProblem as problem:
            return problem

    files = list(limits.items())
    parts = [files[first : first + FILES_OF_PART] for first in range(0, len(files), FILES_OF_PART)]
    found: List[List[Inspection]] = [[] for _ in parts]
    with Progress("reading audio", len(files), "files") as bar:

        def done(index: int, inspections: List[Inspection]) -> None:
            found[index] = inspections
            facts = [one for one in inspections if isinstance(one, AudioFacts)]
            bar.advance(sum(one.samples / one.sampling_rate for one in facts), len(inspections))

        run_parallel(lambda part: [facts_or_problem(*file) for file in part], parts, jobs, done, cluster)
    return [one for of_part in found for one in of_part]


def _majority_rates(
    utterances: Sequence[Utterance], inspections: Mapping[Path, Inspection]
) -> Dict[str, int]:
    """The most common sampling rate of each split, in a tie the higher one; 0 without readable audio."""
    counts: Dict[str, Dict[int, int]] = {utterance.split: {0: 0} for utterance in utterances}
    for utterance in utterances:
        inspection = inspections[utterance.audio]
        if isinstance(inspection, AudioFacts):
            rate = inspection.sampling_rate
            counts[utterance.split][rate] = counts[utterance.split].get(rate, 0) + 1
    return {split: max(of, key=lambda rate: (of[rate], rate)) for split, of in counts.items()}

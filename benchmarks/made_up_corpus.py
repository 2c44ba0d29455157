"""Synthetic utterances: as many as the corpus has, with realistic durations and texts."""

import hashlib
from pathlib import Path
from typing import Dict, List, Mapping, Sequence, Tuple

import numpy as np

from asrkit.config import CorpusConfig
from asrkit.corpus.audio import AudioFacts
from asrkit.corpus.splits import sets_of
from asrkit.corpus.statistics import read_versions
from asrkit.corpus.utterance import Utterance
from asrkit.errors import UserError

SAMPLING_RATE = 16000  # Hz
SHORTEST, LONGEST = 1.3, 35.0  # seconds, as in LibriSpeech
MEAN = 12.3  # seconds per utterance, where neither hours nor words are published
WORDS_A_SECOND = 2.7
UTTERANCES_OF_SPEAKER = 100  # where no speakers are published
WORDS, CHARACTERS = 80_000, 4_300  # of the vocabulary, by corpus.words
ONSETS, VOWELS, CODAS = "bdfghklmnprstvz", "aeiou", ("", "n", "r", "s")  # no two words are spelled alike


def published_counts(config: CorpusConfig, file: Path) -> Dict[str, Mapping[str, float]]:
    """Counts of each of the corpus's own sets, of the largest version in expect.json; UserError without."""
    own_sets = [own for of in sets_of(config).values() for own in of]
    versions = [version.splits for version in read_versions(file)]
    complete = [sets for sets in versions if all("utterances" in sets.get(own, {}) for own in own_sets)]
    if not complete:
        found, expected = "no published counts to rehearse with", f"utterances of {', '.join(own_sets)}"
        raise UserError(found, expected, str(file), "write expect.json as recipes/librispeech has it")
    largest = max(complete, key=lambda sets: sum(sets[own]["utterances"] for own in own_sets))
    return {own: largest[own] for own in own_sets}


def make_vocabulary(config: CorpusConfig, counts: Mapping[str, Mapping[str, float]]) -> List[str]:
    """Words, the most frequent first; no more than expect.json says that the poorest set has."""
    if config.words == "characters":
        return [chr(0x4E00 + index) for index in range(CHARACTERS)]
    syllables = [onset + vowel + coda for coda in CODAS for vowel in VOWELS for onset in ONSETS]
    size = int(min([WORDS, *(of["vocabulary"] for of in counts.values() if "vocabulary" in of)]))
    words = []
    for index in range(size):
        word, rest = "", index + 1
        while rest:
            rest, last = divmod(rest - 1, len(syllables))
            word = syllables[last] + word
        words.append(word)
    return words


def rehearsal_utterances(
    counts: Mapping[str, Mapping[str, float]],
    config: CorpusConfig,
    vocabulary: Sequence[str],
    share: float,
    seed: int,
    directory: Path,
) -> Tuple[List[Utterance], Dict[Path, AudioFacts]]:
    """A fraction of each set's utterances, with simulated audio statistics; deterministic for a seed.

    Durations add up to the published hours, words to the published words. Words have a Zipf distribution
    (Mandelbrot's, 1 / (rank + 2.7)).
    """
    utterances: List[Utterance] = []
    facts: Dict[Path, AudioFacts] = {}
    cumulative = np.cumsum(1.0 / (np.arange(len(vocabulary)) + 3.7))
    joint = "" if config.words == "characters" else " "
    for number, (own_set, of) in enumerate(counts.items()):
        random = np.random.default_rng([seed, number])
        count = max(1, round(of["utterances"] * share))
        samples = np.round(_durations(count, _mean_seconds(of), random) * SAMPLING_RATE).astype(np.int64)
        spoken = float(samples.sum()) / SAMPLING_RATE * WORDS_A_SECOND
        total = max(count, round(of["words"] * share if "words" in of else spoken))
        ends = np.cumsum(_words_of_utterances(samples, total))
        ranks = np.searchsorted(cumulative, random.random(int(ends[-1])) * cumulative[-1])
        speakers = _speakers(own_set, count, of, config, share)
        first = 0
        for index, (end, length) in enumerate(zip(ends.tolist(), samples.tolist())):
            speaker = speakers[index * len(speakers) // count]
            id = f"{own_set}-{index:06d}"
            audio = directory / own_set / f"{id}.flac"
            text = joint.join([vocabulary[rank] for rank in ranks[first:end].tolist()])
            utterances.append(Utterance(id, audio, text, speaker, own_set))
            content = hashlib.blake2b(id.encode(), digest_size=16).hexdigest()
            facts[audio] = AudioFacts(SAMPLING_RATE, length, content)
            first = end
    return utterances, facts


def _mean_seconds(of: Mapping[str, float]) -> float:
    if "hours" in of:
        return of["hours"] * 3600 / of["utterances"]
    return of["words"] / WORDS_A_SECOND / of["utterances"] if "words" in of else MEAN


def _durations(count: int, mean: float, random: np.random.Generator) -> np.ndarray:
    """Seconds of each utterance. Long ones were cut to about as long as allowed, short ones are as spoken."""
    near = random.random(count) < 0.65
    cut = np.where(near, random.normal(1.2, 0.1, count), random.uniform(0.15, 1.15, count))
    relative = cut if mean > 10 else random.gamma(2.2, 1 / 2.2, count)
    factor = mean
    for _ in range(20):  # the limits move the mean
        seconds = np.clip(relative * factor, min(SHORTEST, mean / 2), LONGEST)
        factor *= mean / float(seconds.mean())
    return seconds


def _words_of_utterances(samples: np.ndarray, total: int) -> np.ndarray:
    """Words of each utterance, `total` in all: in proportion to its duration, and one at least."""
    share = np.cumsum(samples) / samples.sum()
    extra = np.round(share * (total - len(samples))).astype(np.int64)
    return np.diff(extra, prepend=0) + 1


def _speakers(
    own_set: str, count: int, of: Mapping[str, float], config: CorpusConfig, share: float
) -> List[str]:
    """Those of corpus.dev_speakers are in the first set that training is joined of."""
    published = of.get("speakers", of["utterances"] / UTTERANCES_OF_SPEAKER)
    number = min(count, max(1, round(published * share)))
    names = [f"{own_set}-speaker{index}" for index in range(number)]
    known = config.dev_speakers if own_set == sets_of(config)[config.train][0] else ()
    return [*known, *names[len(known) :]] if number > len(known) else [*known, *names[:1]]

"""Hotwords: phrases, such as names, that are expected in the audio and that the recogniser should prefer.

Phrases are spotted in the log-probabilities of CTC and replace recognised words where they fit nearly as
well as those (Andrusenko et al. 2024, CTC word spotter). So they need not be in the language model or the
graph, and any method can be used. Here recognised words are in brackets, blanks are -, and a phrase may begin
and end where words do:

    frame         0  1  2  3  4  5  6  7
    recognised    -  S  U  M  -  IH T  -        [SUM] frames 1 to 3, [IT] 5 to 6
    phrase        -  S  M  Y  -  TH -  -        SMYTH, from frame 1 to 6: replaces both words

    log-probability of S M Y - TH -, minus that of S U M - IH T, plus weight * 4 tokens:   above 0
"""

import dataclasses
import itertools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from asrkit.config.symbols import BLANK
from asrkit.corpus.text import normalise_typed
from asrkit.errors import UserError
from asrkit.recognise.forced_alignment import align_spellings, with_gap
from asrkit.recognise.transcript import Word
from asrkit.text.lines import READ_ERRORS, stream_lines
from asrkit.text.units import Units

if TYPE_CHECKING:
    from torch import Tensor

WEIGHT = 1.0  # per token, in natural logarithms; higher ones insert more, see benchmarks/hotwords.py
WHERE = "hotwords"  # `where` of errors
MOST = 10_000  # phrases
LONGEST = 200  # characters of a phrase
MOST_PRONUNCIATIONS = 8  # of a phrase, over those of its words
LAYOUT = "a phrase per line, with its weight after a tab if it isn't the default"


@dataclasses.dataclass(frozen=True)
class Hotword:
    """A phrase in one of its pronunciations."""

    words: Tuple[str, ...]
    spelling: Tuple[Tuple[int, ...], ...]  # tokens of each word
    weight: float  # per token

    @property
    def tokens(self) -> Tuple[int, ...]:
        """Tokens of the whole phrase."""
        return tuple(itertools.chain(*self.spelling))


def read_hotwords(file: Path, weight: float = WEIGHT) -> Dict[str, float]:
    """Weights by phrase, from lines "phrase" and "phrase<tab>weight"; raises UserError."""
    if not math.isfinite(weight):
        raise UserError(
            f"the weight {weight}", "a finite number", "--hotwords-score", f"{WEIGHT:g}, for example"
        )
    phrases: Dict[str, float] = {}
    try:
        for number, line in enumerate(stream_lines(file, 4 * LONGEST), start=1):
            phrase, tab, value = line.rstrip("\r\n").partition("\t")
            if not phrase.strip():
                continue
            try:
                phrases[phrase] = float(value) if tab else weight
                if not math.isfinite(phrases[phrase]):
                    raise ValueError
            except ValueError:
                where, todo = f"{file}, line {number}", "write a number after the tab, or no tab"
                raise UserError(f"the weight {value!r}", LAYOUT, where, todo) from None
    except READ_ERRORS as error:
        raise UserError(f"can't read {file}: {error}", LAYOUT, "--hotwords", "check the name") from None
    return phrases


def make_hotwords(phrases: Mapping[str, float], units: Units) -> List[Hotword]:
    """The phrases in tokens, each in the first form that the model can spell: as it is, in upper, lower case.

    Raises UserError for phrases without words, too many, or words that the model has no tokens for.
    """
    hotwords: List[Hotword] = []
    unknown: List[str] = []
    for given, weight in phrases.items():
        phrase = normalise_typed(given)
        if len(phrase) > LONGEST or len(phrases) > MOST or not phrase.split():
            found = f"{len(phrases):,} hotwords, one of {len(phrase)} characters"
            raise UserError(found, f"up to {MOST:,} phrases of up to {LONGEST} characters", WHERE)
        spaced = " ".join("".join(phrase.split()))  # where each character is a word, as in Chinese
        written = (phrase, phrase.upper(), phrase.lower(), *(() if phrase.isascii() else (spaced,)))
        cases = [case for case in written if not units.unspelled_words(case)]
        if not cases:
            unknown += units.unspelled_words(phrase)
            continue
        words = tuple(cases[0].split())
        spellings = itertools.product(*(units.pronunciations(word) for word in words))
        for spelling in itertools.islice(spellings, MOST_PRONUNCIATIONS):
            hotwords.append(Hotword(words, spelling, weight))
    if unknown:
        expected, todo = "words whose letters occur in the training text", "leave them out"
        if not units.can_spell:
            expected = "words of its lexicon"
            todo += (
                "; or add them to units.lexicon and run run.sh; or, for BPE pieces, export the bundle again"
            )
        found = f"the model has no tokens for {', '.join(unknown[:5])}"
        raise UserError(found, expected, WHERE, todo)
    return hotwords


@dataclasses.dataclass(frozen=True)
class _Spotted:
    hotword: Hotword
    first: int  # index of a stretch: a recognised word or a gap
    last: int
    gain: float


def apply_hotwords(
    words: Sequence[Word],
    log_probs: "Tensor",
    hotwords: Sequence[Hotword],
    units: Units,
    step: float,
    offset: float = 0.0,
) -> List[Word]:
    """Recognised words with hotwords where they were spotted in log-probabilities (frame, token).

    `step`: seconds per frame; `offset`: seconds of the first one.
    """
    table = log_probs.numpy()
    if not hotwords or not len(table):
        return list(words)
    stretches = _stretches(words, len(table), step, offset)
    candidates = _spot(table, _base(table, words, units), hotwords, stretches, units.silence)
    chosen = _choose(candidates, len(stretches))
    found: List[Word] = []
    place = 0
    for spotted in [*chosen, None]:
        until = spotted.first if spotted is not None else len(stretches)
        found += [words[index] for _, _, index in stretches[place:until] if index is not None]
        if spotted is not None:
            covered = stretches[spotted.first : spotted.last + 1]
            old = [words[index] for _, _, index in covered if index is not None]
            is_same = tuple(word.word for word in old) == spotted.hotword.words
            found += old if is_same else _timed(spotted.hotword, table, covered, step, offset, units.silence)
            place = spotted.last + 1
    return found


def _base(table: np.ndarray, words: Sequence[Word], units: Units) -> Any:
    """Log-probability (frame,) of the recognised words; of the best tokens if they can't be aligned."""
    text = " ".join(word.word for word in words)
    best = table.max(axis=1)
    if units.unspelled_words(text):  # greedy may recognise words that aren't in the lexicon
        return best
    try:
        spellings = [units.pronunciations(word) for word in text.split()]
        aligned = align_spellings(table, spellings, units.silence)
    except UserError:  # too few frames
        return best
    scores, gap = with_gap(table, units.silence)
    labels = np.full(len(table), gap)
    for tokens, spans in aligned:
        labels[spans[0][0] : spans[-1][1]] = BLANK
        for token, (first, last) in zip(tokens, spans):
            labels[first : last + 1] = token
    return scores[np.arange(len(table)), labels]


def _stretches(
    words: Sequence[Word], frames: int, step: float, offset: float
) -> List[Tuple[int, int, Optional[int]]]:
    """First frame, frame after the last, and the word there or None for a gap; all frames in order."""
    found: List[Tuple[int, int, Optional[int]]] = []
    place = 0
    for index, word in enumerate(words):
        first = min(max(round((word.start - offset) / step), place), frames)
        end = min(max(round((word.end - offset) / step), first), frames)
        if first > place:
            found.append((place, first, None))
        found.append((first, end, index))  # without frames if the words before it have taken them
        place = end
    if place < frames:
        found.append((place, frames, None))
    return found


def _spot(
    table: np.ndarray,
    base: np.ndarray,
    hotwords: Sequence[Hotword],
    stretches: Sequence[Tuple[int, int, Optional[int]]],
    silence: Optional[int],
) -> List[_Spotted]:
    """Phrases with their best place for each end, if they gain: Viterbi search of all phrases at once."""
    table, gap = with_gap(table, silence)
    states = 2 * max(len(hotword.tokens) for hotword in hotwords) + 1
    labels = np.full((len(hotwords), states), BLANK)
    lengths = np.array([len(hotword.tokens) for hotword in hotwords])
    for row, hotword in zip(labels, hotwords):
        row[1 : 2 * len(hotword.tokens) : 2] = hotword.tokens
        row[2 * np.cumsum([0, *map(len, hotword.spelling)])] = gap
    skips = np.zeros(labels.shape, dtype=bool)  # a token may follow the one before it without a blank
    skips[:, 3::2] = labels[:, 3::2] != labels[:, 1:-2:2]
    bonus = np.array([hotword.weight for hotword in hotwords]) * lengths
    begins = {first: index for index, (first, end, _) in reversed(list(enumerate(stretches))) if end > first}
    ends = {end - 1: index for index, (first, end, _) in enumerate(stretches) if end > first}
    score = np.full(labels.shape, -np.inf)
    origin = np.zeros(labels.shape, dtype=np.int64)  # the stretch where the path began
    rows = np.arange(len(hotwords))
    spotted: List[_Spotted] = []
    for frame in range(len(table)):
        choices, origins = np.full((3, *labels.shape), -np.inf), np.zeros((3, *labels.shape), dtype=np.int64)
        for back in range(3):
            choices[back, :, back:] = score[:, : states - back]
            origins[back, :, back:] = origin[:, : states - back]
        choices[2][~skips] = -np.inf
        if frame in begins:
            choices[1, :, 0], origins[1, :, 0] = 0.0, begins[frame]
            fresh = choices[0:2, :, 1].max(axis=0) < 0.0
            choices[2, fresh, 1], origins[2, fresh, 1] = 0.0, begins[frame]
        best = choices.argmax(axis=0)
        score = np.take_along_axis(choices, best[None], 0)[0]
        origin = np.take_along_axis(origins, best[None], 0)[0]
        score = score + table[frame, labels] - base[frame]
        if frame in ends:
            for state in (2 * lengths - 1, 2 * lengths):
                gains = score[rows, state] + bonus
                for row in np.flatnonzero(gains > 0):
                    first = int(origin[row, state[row]])
                    spotted.append(_Spotted(hotwords[row], first, ends[frame], float(gains[row])))
    return spotted


def _choose(spotted: Sequence[_Spotted], count: int) -> List[_Spotted]:
    """Those that don't overlap and gain most together, in order (weighted interval scheduling)."""
    best: List[Tuple[float, List[_Spotted]]] = [(0.0, [])]  # for the first 0, 1, ... stretches
    for index in range(count):
        options = [best[index]]
        for each in spotted:
            if each.last == index:
                gain, before = best[each.first]
                options.append((gain + each.gain, [*before, each]))
        best.append(max(options, key=lambda option: option[0]))
    return best[-1][1]


def _timed(
    hotword: Hotword,
    table: np.ndarray,
    covered: Sequence[Tuple[int, int, Optional[int]]],
    step: float,
    offset: float,
    silence: Optional[int],
) -> List[Word]:
    """The phrase's words with times and confidences, aligned within the stretches that it covers."""
    first, end = covered[0][0], covered[-1][1]
    inside = table[first:end]
    aligned = align_spellings(inside, [[tokens] for tokens in hotword.spelling], silence)
    found: List[Word] = []
    for word, (tokens, spans) in zip(hotword.words, aligned):
        begin, until = spans[0][0], spans[-1][1] + 1
        peaks = [float(inside[a : b + 1, token].max()) for (a, b), token in zip(spans, tokens)]
        confidence = math.exp(sum(peaks) / len(peaks))
        found.append(Word(word, offset + (first + begin) * step, (until - begin) * step, confidence))
    return found

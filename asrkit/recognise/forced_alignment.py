"""Forced alignment of a text with its audio by CTC (Viterbi over the blank-extended tokens).

Three tokens in seven frames; the best path has a token or a blank (-) for each frame:

    frame   0 1 2 3 4 5 6
    path    - C C - A T T      ->      C: 1 to 2, A: 4 to 4, T: 5 to 6

A word may have several pronunciations, and silence before and after it; the best path chooses.

CTC models are sure of a token in few frames, mostly late in its sound, and the blanks around them belong to
words too. Blanks between two words are therefore shared by them, up to SHARE_AFTER and SHARE_BEFORE; what is
left is a pause. Where the recording is quiet beside an edge, the sound's own edge is taken (snap_to_pauses).
"""

import dataclasses
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from torch import Tensor

from asrkit.config.symbols import BLANK
from asrkit.corpus.text import normalise_typed
from asrkit.errors import UserError
from asrkit.recognise.transcript import Word
from asrkit.text.units import Units

LARGEST_TABLE = 1 << 31  # back pointers, a byte each
SHARE_BEFORE = 0.12  # seconds of blanks that a word takes at most, before its first token,
SHARE_AFTER = 0.08  # and after its last one
LOUDNESS_STEP = 0.01  # seconds
QUIET_DECIBELS = 35.0  # below the loud tenth of the recording
QUIET_SHARE = 0.3  # and at most this part of the way from its noise to that level: noise hides pauses
LEAST_DECIBELS = 10.0  # below it: sound without a pause has no quiet parts
SHORTEST_PAUSE = 0.08  # seconds; most closures of plosives are shorter
SHORTEST_WORD = 0.04  # seconds left by the pauses around it; if there is less, the word itself is quiet


class Aligned(NamedTuple):
    """A word on the best path, in the pronunciation that fits best."""

    tokens: List[int]
    spans: List[Tuple[int, int]]  # first and last frame of each token


def align_tokens(log_probs: np.ndarray, tokens: Sequence[int]) -> List[Tuple[int, int]]:
    """First and last frame of each token on the best path through log-probabilities (frame, token).

    Raises UserError for fewer frames than the tokens need: one each, and one between equal neighbours.
    """
    words = [[tokens]] if tokens else []
    return [span for word in align_spellings(log_probs, words) for span in word.spans]


def align_spellings(
    log_probs: np.ndarray, words: Sequence[Sequence[Sequence[int]]], silence: Optional[int] = None
) -> List[Aligned]:
    """Align words, given by all of their pronunciations, on the best path through `log_probs` (frame, token).

    A frame outside words is blank or the token `silence`, whichever is more probable. Raises UserError if
    there are fewer frames than the tokens need.
    """
    table, gap = with_gap(log_probs, silence)
    trellis = _Trellis(words, gap, silence)
    if len(table) < trellis.needed or len(table) * len(trellis.labels) > LARGEST_TABLE:
        expected, todo = "a recording of at most some minutes", "cut the recording"
        if len(table) < trellis.needed:
            expected = f"at least {trellis.needed} frames"
            todo = "check that the text belongs to this recording"
        tokens = sum(min(len(spelling) for spelling in word) for word in words)
        found = f"a text of {tokens} tokens for {len(table)} frames of audio"
        raise UserError(found, expected=expected, where="alignment", todo=todo)
    if not words:
        return []
    spans: Dict[int, List[int]] = {}  # first and last frame by state, in the order of time
    for frame, state in enumerate(trellis.best_path(table)):
        spans.setdefault(state, [frame, frame])[1] = frame
    aligned = [Aligned([], []) for _ in words]
    for state, (first, last) in spans.items():
        index = trellis.words[state]
        if index is not None:
            aligned[index].tokens.append(trellis.labels[state])
            aligned[index].spans.append((first, last))
    return aligned


def with_gap(log_probs: np.ndarray, silence: Optional[int]) -> Tuple[np.ndarray, int]:
    """Return log-probabilities (frame, token), and their column for frames outside words.

    Without a token `silence` that is the blank's; otherwise a column with the larger of both is added.
    """
    if silence is None:
        return log_probs, BLANK
    return np.column_stack([log_probs, log_probs[:, [BLANK, silence]].max(axis=1)]), log_probs.shape[1]


class _Trellis:
    """CTC states of words with their pronunciations, such as READ, which has two, and A.

    Each state has a self-loop. Gaps, and blanks between different tokens, can be skipped.

        gap - R - blank - IY - blank - D - gap - AH - gap
          `-- R - blank - EH - blank - D --´
    """

    def __init__(self, words: Sequence[Sequence[Sequence[int]]], gap: int, silence: Optional[int]) -> None:
        """`gap`: label outside words; next to a word that begins or ends with `silence`, blank is used."""
        self.labels: List[int] = []
        self.words: List[Optional[int]] = []  # index of the word; None for gaps and blanks
        self.sources: List[List[int]] = []  # states that lead to each one
        self.starts: List[int] = []
        ends: Dict[int, int] = {}  # last states of the previous word -> frames needed up to them
        sides: List[Sequence[Sequence[int]]] = [[], *words, []]
        for index, (before, word) in enumerate(zip(sides, sides[1:])):
            is_own = silence in [each[-1] for each in before] + [each[0] for each in word]
            around = self._add(BLANK if is_own else gap, list(ends))
            if index == len(words):
                break
            own: Dict[int, int] = {}
            for tokens in word:
                repeated = sum(a == b for a, b in zip(tokens, tokens[1:]))
                earlier = (count + (self.labels[end] == tokens[0]) for end, count in ends.items())
                last = self._spell(tokens, index, [around, *ends])
                own[last] = len(tokens) + repeated + min(earlier, default=0)
            ends = own
        self.ends = [len(self.labels) - 1, *ends]
        self.needed = min(ends.values(), default=0)  # frames

    def _add(self, label: int, sources: List[int], word: Optional[int] = None) -> int:
        state = len(self.labels)
        self.labels.append(label)
        self.words.append(word)
        self.sources.append([state, *sources])
        return state

    def _spell(self, tokens: Sequence[int], word: int, sources: List[int]) -> int:
        """Add a pronunciation, and return the state of its last token.

        `sources`: states of a gap and, after it, of tokens that may precede the pronunciation.
        """
        for place, token in enumerate(tokens):
            if place:
                last = len(self.labels) - 1
                sources = [self._add(BLANK, [last]), last]
            others = [state for state in sources[1:] if self.labels[state] != token]
            state = self._add(token, [sources[0], *others], word)
            if place == 0 and word == 0:
                self.starts.append(state)
        return len(self.labels) - 1

    def best_path(self, table: np.ndarray) -> List[int]:
        """State of each frame on the best path through log-probabilities (frame, label)."""
        states, labels = len(self.labels), np.array(self.labels)
        before = np.full((max(map(len, self.sources)), states), states)  # `states`: no source, score -inf
        for state, sources in enumerate(self.sources):
            before[: len(sources), state] = sources
        score = np.full(states + 1, -np.inf)
        begin = [0, *self.starts]
        score[begin] = table[0, labels[begin]]
        back = np.zeros((len(table), states), dtype=np.min_scalar_type(len(before)))  # rows of `before`
        for frame in range(1, len(table)):
            choices = score[before]
            back[frame] = choices.argmax(axis=0)
            score[:-1] = choices.max(axis=0) + table[frame, labels]
        state = self.ends[int(score[self.ends].argmax())]
        path = [state]
        for frame in range(len(table) - 1, 0, -1):
            state = int(before[back[frame, state], state])
            path.append(state)
        return path[::-1]


def align_words(log_probs: Tensor, units: Units, text: str, step: float) -> List[Word]:
    """Times of the words of a text; `step`: seconds per frame of log-probabilities (frame, token).

    A word's confidence is the geometric mean of its tokens' probabilities on the path. Raises UserError for a
    word that the model's tokens can't spell, or a text that is too long for the audio.
    """
    text = normalise_typed(text)
    words = text.split()
    unknown = units.unknown_words(text)
    if unknown:
        raise UserError(
            f"the model has no tokens for {', '.join(unknown[:5])}",
            expected="words of its lexicon, in its letter case",
            where="the text",
            todo="write them as the training text does",
        )
    table = log_probs.numpy()
    aligned = align_spellings(table, [units.pronunciations(word) for word in words], units.silence)
    frames = [(each.spans[0][0], each.spans[-1][1] + 1) for each in aligned]
    frames = [(0, 0), *frames, (len(table), len(table))]
    silent = np.zeros(len(table), dtype=bool)
    if units.silence is not None:  # such frames belong to no word
        silent = table[:, units.silence] > table[:, BLANK]
    found: List[Word] = []
    for word, each, (_, earlier), (first, last), (later, _) in zip(
        words, aligned, frames, frames[1:], frames[2:]
    ):
        earlier += int(np.flatnonzero(silent[earlier:first]).max(initial=-1)) + 1
        later = last + int(np.flatnonzero(silent[last:later]).min(initial=later - last))
        start, end = first * step, last * step
        start -= min(SHARE_BEFORE, (start - earlier * step) * SHARE_BEFORE / (SHARE_BEFORE + SHARE_AFTER))
        end += min(SHARE_AFTER, (later * step - end) * SHARE_AFTER / (SHARE_BEFORE + SHARE_AFTER))
        chosen = [table[a : b + 1, token].max() for token, (a, b) in zip(each.tokens, each.spans)]
        found.append(Word(word, max(start, 0.0), end - max(start, 0.0), float(np.exp(np.mean(chosen)))))
    return found


def snap_to_pauses(words: Sequence[Word], samples: np.ndarray, rate: int) -> List[Word]:
    """Words whose edges beside a pause in samples (sample,) of `rate` Hz are where the sound begins and ends.

    For each pair of neighbours, the longest quiet stretch between their middles is the pause between them. If
    pauses would leave nothing of a word, the word itself is quiet, and it keeps its times.

        frames       - - A A - - - - B B -           A: 1 to 5, B: 6 to 10 by CTC
        loudness     . # # # # . . . . # #           A: 1 to 5, B: 9 to 11
    """
    loudness, step = _loudness(samples, rate)
    if not words or not len(loudness):
        return list(words)
    loud, noise = np.quantile(loudness, (0.9, 0.05))
    limit = max(loud - QUIET_DECIBELS, noise + QUIET_SHARE * (loud - noise))
    quiet = loudness < min(limit, loud - LEAST_DECIBELS)
    pauses = np.flatnonzero(np.diff(quiet, prepend=False, append=False)).reshape(-1, 2) * step
    duration = len(samples) / rate  # the model's last frame may be longer
    own = [(min(word.start, duration), min(word.end, duration)) for word in words]
    middles = [word.start + word.duration / 2 for word in words]
    kept = [(middle, middle) for middle in middles]  # parts that pauses must not cover
    while True:
        edges = _edges_at_pauses(own, kept, pauses, len(loudness) * step, duration)
        hidden = [
            index
            for index, ((start, end), (first, last)) in enumerate(zip(edges, own))
            if end - start < min(SHORTEST_WORD, last - first) and kept[index] != own[index]
        ]
        if not hidden:
            break
        for index in hidden:
            kept[index] = own[index]
    return [
        dataclasses.replace(word, start=start, duration=end - start)
        for word, (start, end) in zip(words, edges)
    ]


def _edges_at_pauses(
    own: Sequence[Tuple[float, float]],
    kept: Sequence[Tuple[float, float]],
    pauses: np.ndarray,
    last: float,
    duration: float,
) -> List[List[float]]:
    """Edges [start, end] of words, moved to the longest of `pauses` (pause, [start, end]) between kept parts.

    `last`: where a pause at the end of the recording ends; `duration`: seconds of the recording.
    """
    edges = [list(each) for each in own]
    lows, highs = [0.0, *(end for _, end in kept)], [*(start for start, _ in kept), duration]
    for index, (low, high) in enumerate(zip(lows, highs)):
        inside = pauses.clip(low, high)
        start, end = max(inside.tolist(), key=lambda pause: pause[1] - pause[0], default=(low, low))
        is_at_edge = start == 0 or end == last  # of the recording
        if end == start or (end - start < SHORTEST_PAUSE and not is_at_edge):
            continue
        if index > 0:
            edges[index - 1][1] = start
        if index < len(own):
            edges[index][0] = end
    return edges


def _loudness(samples: np.ndarray, rate: int) -> Tuple[np.ndarray, float]:
    """Power in decibels (step,), and seconds per step: LOUDNESS_STEP rounded to a whole number of samples."""
    hop = max(1, round(LOUDNESS_STEP * rate))
    steps = samples[: len(samples) // hop * hop].reshape(-1, hop).astype(np.float64)
    power: np.ndarray = 10 * np.log10((steps**2).mean(axis=1) + 1e-10)
    return power, hop / rate


def to_textgrid(words: Sequence[Word], duration: float) -> str:
    """A TextGrid of Praat with one tier of words; pauses are empty intervals."""
    intervals: List[Tuple[float, float, str]] = []
    place = 0.0
    for word in words:
        if word.start > place:
            intervals.append((place, word.start, ""))
        intervals.append((max(place, word.start), word.end, word.word))
        place = word.end
    if place < duration:
        intervals.append((place, duration, ""))
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        *("xmin = 0", f"xmax = {duration:.3f}", "tiers? <exists>", "size = 1", "item []:"),
        *("    item [1]:", '        class = "IntervalTier"', '        name = "words"'),
        *("        xmin = 0", f"        xmax = {duration:.3f}"),
        f"        intervals: size = {len(intervals)}",
    ]
    for number, (start, end, text) in enumerate(intervals, 1):
        escaped = text.replace('"', '""')
        lines += [
            f"        intervals [{number}]:",
            f"            xmin = {start:.3f}",
            f"            xmax = {end:.3f}",
            f'            text = "{escaped}"',
        ]
    return "\n".join(lines) + "\n"

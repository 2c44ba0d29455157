"""Forced alignment of a text with its audio by CTC (Viterbi over the blank-extended tokens).

Three tokens in seven frames; the best path has a token or a blank (-) for each frame:

    frame   0 1 2 3 4 5 6
    path    - C C - A T T      ->      C: 1 to 2, A: 4 to 4, T: 5 to 6

CTC models are sure of a token in few frames, mostly late in its sound, and the blanks around them belong to
words too. Blanks between two words are therefore shared by them, up to SHARE_AFTER and SHARE_BEFORE; what is
left is a pause. Where the recording is quiet beside an edge, the sound's own edge is taken (snap_to_pauses).
"""

import dataclasses
from typing import List, Sequence, Tuple

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


def align_tokens(log_probs: np.ndarray, tokens: Sequence[int]) -> List[Tuple[int, int]]:
    """First and last frame of each token on the best path through log-probabilities (frame, token).

    Raises UserError for fewer frames than the tokens need: one each, and one between equal neighbours.
    """
    frames, needed = len(log_probs), len(tokens) + sum(a == b for a, b in zip(tokens, tokens[1:]))
    states = 2 * len(tokens) + 1
    if frames < needed or frames * states > LARGEST_TABLE:
        expected, todo = "a recording of at most some minutes", "cut the recording"
        if frames < needed:
            expected, todo = f"at least {needed} frames", "check that the text belongs to this recording"
        found = f"a text of {len(tokens)} tokens for {frames} frames of audio"
        raise UserError(found, expected=expected, where="alignment", todo=todo)
    if not tokens:
        return []
    labels = np.full(states, BLANK)
    labels[1::2] = tokens
    skips = np.zeros(states, dtype=bool)  # a token may follow the one before it without a blank
    skips[3::2] = labels[3::2] != labels[1:-2:2]
    score = np.full(states, -np.inf)
    score[:2] = log_probs[0, labels[:2]]
    back = np.zeros((frames, states), dtype=np.uint8)  # how many states before
    for frame in range(1, frames):
        choices = np.full((3, states), -np.inf)
        choices[0], choices[1, 1:], choices[2, 2:] = score, score[:-1], score[:-2]
        choices[2, ~skips] = -np.inf
        back[frame] = choices.argmax(axis=0)
        score = choices.max(axis=0) + log_probs[frame, labels]
    state = states - 1 if score[-1] >= score[-2] else states - 2
    spans = [(frames, -1)] * len(tokens)
    for frame in range(frames - 1, -1, -1):
        if state % 2:
            first, last = spans[state // 2]
            spans[state // 2] = (min(first, frame), max(last, frame))
        state -= int(back[frame, state])
    return spans


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
    per_word = [units.encode(word) for word in words]
    table = log_probs.numpy()
    tokens = [token for each in per_word for token in each]
    spans = align_tokens(table, tokens)
    found: List[Word] = []
    place, edges = 0, []
    for each in per_word:
        edges.append((spans[place][0] * step, (spans[place + len(each) - 1][1] + 1) * step))
        place += len(each)
    place = 0
    for index, (word, each) in enumerate(zip(words, per_word)):
        before = edges[index - 1][1] if index else 0.0
        after = edges[index + 1][0] if index + 1 < len(words) else len(table) * step
        start, end = edges[index]
        start -= min(SHARE_BEFORE, (start - before) * SHARE_BEFORE / (SHARE_BEFORE + SHARE_AFTER))
        end += min(SHARE_AFTER, (after - end) * SHARE_AFTER / (SHARE_BEFORE + SHARE_AFTER))
        chosen = [
            table[first : last + 1, token].max()
            for token, (first, last) in zip(each, spans[place : place + len(each)])
        ]
        place += len(each)
        found.append(Word(word, max(start, 0.0), end - max(start, 0.0), float(np.exp(np.mean(chosen)))))
    return found


def snap_to_pauses(words: Sequence[Word], samples: np.ndarray, rate: int) -> List[Word]:
    """Words whose edges beside a pause in samples (sample,) of `rate` Hz are where the sound begins and ends.

    For each pair of neighbours, the longest quiet stretch between their middles is the pause between them.

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
    middles = [0.0, *(word.start + word.duration / 2 for word in words), duration]
    edges = [[min(word.start, duration), min(word.end, duration)] for word in words]
    for index, (low, high) in enumerate(zip(middles, middles[1:])):
        inside = pauses.clip(low, high)
        start, end = max(inside.tolist(), key=lambda pause: pause[1] - pause[0], default=(low, low))
        is_at_edge = start == 0 or end == len(loudness) * step  # start or end of the recording
        if end == start or (end - start < SHORTEST_PAUSE and not is_at_edge):
            continue
        if index > 0:
            edges[index - 1][1] = start
        if index < len(words):
            edges[index][0] = end
    return [
        dataclasses.replace(word, start=start, duration=end - start)
        for word, (start, end) in zip(words, edges)
    ]


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

"""Times of the best path's words, and how sure the lattice is of each."""

import collections
import re
from typing import List, Mapping, Optional, Sequence, Tuple

import k2
import kaldialign
import numpy as np
from torch import Tensor

from asrkit.config.symbols import BLANK
from asrkit.decode.nbest import TimedWord
from asrkit.decode.paths import draw_paths, weigh_lattice, words_on_arcs

PATHS = 200  # drawn: a standard error of at most 0.035; on AN4 0.015, for k2 spaces the paths evenly
Pronunciations = Mapping[str, Sequence[Sequence[int]]]  # unit ids, by word


def time_words(
    lattice: k2.Fsa,
    symbols: Sequence[str],
    pronunciations: Pronunciations,
    point: np.ndarray,
    frames: Tensor,
    silence: Optional[int] = None,
) -> Tuple[TimedWord, ...]:
    """Words of the lattice's best path at one point (weight,), with their frames and confidences.

    `frames` (frame,) are those of the utterance that the lattice's frames stand for: they differ where
    blanks were skipped. `silence` is the unit of optional silence.
    """
    weighed = weigh_lattice(lattice, point[None])
    path = k2.shortest_path(weighed, use_double_scores=True)
    ids, _ = words_on_arcs(path)
    spans = word_spans(path.labels[:-1].tolist(), [symbols[index] for index in ids], pronunciations, silence)
    confidences = word_posteriors(weighed, ids.tolist())
    return tuple(
        TimedWord(int(frames[first]), int(frames[last]), confidence)
        for (first, last), confidence in zip(spans, confidences)
    )


def word_spans(
    path: Sequence[int], words: Sequence[str], pronunciations: Pronunciations, silence: Optional[int] = None
) -> Sequence[Tuple[int, int]]:
    """First and last frame of each of `words`, of a path that has a unit id or blank for every frame.

    The path may have `silence` around words. A word goes from the first frame of its first unit to the last
    one of its last: CTC knows no more.
    """
    # A regular expression over frames, each of which is a character: a unit is one or more of them.
    blanks = f"{re.escape(chr(BLANK))}*"
    groups = []
    for word in words:
        spellings = [
            blanks.join(f"{re.escape(chr(unit))}+" for unit in units) for units in pronunciations[word]
        ]
        groups.append(f"({'|'.join(spellings)})")
    between = blanks if silence is None else f"[{re.escape(chr(BLANK))}{re.escape(chr(silence))}]*"
    match = re.fullmatch(between.join(["", *groups, ""]), "".join(map(chr, path)))
    if match is None:
        raise ValueError(f"a path of other units than those of {' '.join(words)}")
    return [(start, end - 1) for start, end in (match.span(group + 1) for group in range(len(words)))]


def word_posteriors(lattice: k2.Fsa, words: Sequence[int]) -> List[float]:
    """Posterior of each of `words` (ids), those of the best path: the share of paths that say it there.

    The paths are drawn by the lattice's scores, and aligned by words as a hypothesis with its reference.
    Arc posteriors over time would need no sample, but a word's arc is at the first frame of its last unit,
    and which that is differs from path to path.
    """
    counts = [0] * len(words)
    for drawn, number in collections.Counter(draw_paths(lattice, PATHS)).items():
        pairs = kaldialign.align(words, drawn, 0)
        aligned = [other for word, other in pairs if word]  # 0: no word
        for index, (word, other) in enumerate(zip(words, aligned)):
            counts[index] += number * (word == other)
    return [count / PATHS for count in counts]

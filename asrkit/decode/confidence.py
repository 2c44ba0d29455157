"""Times and confidences of the words on a lattice's best path.

frame            0  1  2  3  4  5  6
best path        -  G  G  O  -  N  O       units of GO and NO, - is blank
word_spans       GO: frames 1 to 3; NO: 5 to 6
200 drawn paths  GO NO 150, GO 30, NO NO 20
confidence       GO: 180/200 = 0.9, NO: 170/200 = 0.85
"""

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
from asrkit.errors import UserError

PATHS = 200  # drawn: standard error at most 0.035; on AN4 0.015, since k2 spaces the paths evenly
Pronunciations = Mapping[str, Sequence[Sequence[int]]]  # unit ids, by word


def time_words(
    lattice: k2.Fsa,
    symbols: Sequence[str],
    pronunciations: Pronunciations,
    point: np.ndarray,
    frames: Tensor,
    silence: Optional[int] = None,
) -> Tuple[TimedWord, ...]:
    """Frames and confidences of the words on the lattice's best path at one point (weight,).

    `frames` (frame,) maps the lattice's frames to those of the utterance: they differ if blanks were skipped.
    `silence` is the unit of optional silence.
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
    """First and last frame of each of `words` on a path, which has one unit id or blank per frame.

    The path may have `silence` around words. A word goes from the first frame of its first unit to the last
    frame of its last: CTC gives no better boundaries. Raises UserError if the path has other words.
    """
    # A regular expression over frames, one character per frame: a unit is one or more of them.
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
        found = f"a path of other units than those of {' '.join(words)}"
        raise UserError(found, "a graph of the same lexicon", "the decoding graph", "make or export it again")
    return [(start, end - 1) for start, end in (match.span(group + 1) for group in range(len(words)))]


def word_posteriors(lattice: k2.Fsa, words: Sequence[int]) -> List[float]:
    """Posterior of each of `words` (ids of the best path): the fraction of paths with that word at its place.

    Paths are drawn by the lattice's scores and aligned with the best path word by word, as a hypothesis with
    its reference. Arc posteriors over time would need no sampling, but a word's arc is at the first frame of
    its last unit, which differs from path to path.
    """
    counts = [0] * len(words)
    for drawn, number in collections.Counter(draw_paths(lattice, PATHS)).items():
        pairs = kaldialign.align(words, drawn, 0)
        aligned = [other for word, other in pairs if word]  # 0: no word
        for index, (word, other) in enumerate(zip(words, aligned)):
            counts[index] += number * (word == other)
    return [count / PATHS for count in counts]

"""L: the lexicon as a tree of units."""

import dataclasses
from typing import Dict, List, Sequence, Tuple

import numpy as np

from asrkit.text.lexicon import Pronunciation


@dataclasses.dataclass(frozen=True)
class LexiconTree:
    """Pronunciations in the order of their unit ids, so that those below a node are neighbours.

    `nodes` has each pronunciation's nodes, one a unit, without the last unit: there its word ends.
    """

    word: np.ndarray  # (pronunciation,) int32, index into words.txt
    length: np.ndarray  # (pronunciation,) int32, units
    last: np.ndarray  # (pronunciation,) int32, the last unit
    nodes: np.ndarray  # (pronunciation, longest length - 1) int32; -1 behind the pronunciation's end
    unit: np.ndarray  # (node,) int32


def make_lexicon_tree(
    lexicon: Sequence[Pronunciation], unit_ids: Dict[str, int], word_ids: Dict[str, int]
) -> LexiconTree:
    """The tree of a lexicon; homophones and words that begin others need no disambiguation in it."""
    entries = sorted((tuple(map(unit_ids.__getitem__, units)), word_ids[word]) for word, units in lexicon)
    lengths = [len(units) for units, _ in entries]
    nodes = np.full((len(entries), max(lengths) - 1), -1, dtype=np.int32)
    found: Dict[Tuple[int, ...], int] = {}
    for row, (units, _) in enumerate(entries):
        for depth in range(len(units) - 1):
            nodes[row, depth] = found.setdefault(units[: depth + 1], len(found))
    columns: Tuple[List[int], ...] = (
        [word for _, word in entries],
        lengths,
        [units[-1] for units, _ in entries],
        [units[-1] for units in found],
    )
    word, length, last, unit = (np.array(column, dtype=np.int32) for column in columns)
    return LexiconTree(word, length, last, nodes, unit)

"""L: the lexicon as a tree of units."""

import dataclasses
from typing import Dict, List, Sequence, Tuple

import numpy as np

from asrkit.errors import UserError
from asrkit.text.lexicon import Pronunciation

LONGEST = 1000  # units of a pronunciation: the table of nodes is as wide


@dataclasses.dataclass(frozen=True)
class LexiconTree:
    """Pronunciations in the order of their unit ids, so that those below a node are neighbours.

    `nodes` has each pronunciation's nodes, one a unit, without the last unit: there its word ends.
    """

    word: np.ndarray  # (pronunciation,) int32, index into words.txt
    length: np.ndarray  # (pronunciation,) int32, units
    last: np.ndarray  # (pronunciation,) int32, the last unit
    score: np.ndarray  # (pronunciation,) float32, natural logarithm; 0 for a word's most probable one
    nodes: np.ndarray  # (pronunciation, longest length - 1) int32; -1 behind the pronunciation's end
    unit: np.ndarray  # (node,) int32


def make_lexicon_tree(
    lexicon: Sequence[Pronunciation], unit_ids: Dict[str, int], word_ids: Dict[str, int]
) -> LexiconTree:
    """The tree of a lexicon; homophones and words that begin others need no disambiguation in it.

    Probabilities are divided by that of the word's most probable pronunciation, as Kaldi does, so that a
    word doesn't lose to others for having several. Raises UserError for a word without a number, and for
    one of more than LONGEST units.
    """
    absent = {entry.word for entry in lexicon} - word_ids.keys()
    if absent:
        raise UserError(
            f"the lexicon has {min(absent)}, which words.txt lacks",
            expected="all words of lexicon.txt",
            where="units/words.txt",
            todo="run.sh --stage units",
        )
    highest: Dict[str, float] = {}
    for entry in lexicon:
        highest[entry.word] = max(entry.probability, highest.get(entry.word, 0.0))
    entries = sorted(
        (tuple(map(unit_ids.__getitem__, units)), word_ids[word], probability / highest[word])
        for word, units, probability in lexicon
    )
    lengths = [len(units) for units, _, _ in entries]
    if max(lengths) > LONGEST:
        longest = max(lexicon, key=lambda entry: len(entry.units))
        raise UserError(
            f"{longest.word[:60]} has a pronunciation of {max(lengths):,} units",
            expected=f"at most {LONGEST:,}: a graph has a state for each",
            where="units/lexicon.txt",
            todo="correct the word, or remove it: in the transcripts, lm.text, lm.arpa or units.lexicon",
        )
    nodes = np.full((len(entries), max(lengths) - 1), -1, dtype=np.int32)
    found: Dict[Tuple[int, ...], int] = {}
    for row, (units, _, _) in enumerate(entries):
        for depth in range(len(units) - 1):
            nodes[row, depth] = found.setdefault(units[: depth + 1], len(found))
    columns: Tuple[List[int], ...] = (
        [word for _, word, _ in entries],
        lengths,
        [units[-1] for units, _, _ in entries],
        [units[-1] for units in found],
    )
    word, length, last, unit = (np.array(column, dtype=np.int32) for column in columns)
    score = np.log([probability for _, _, probability in entries]).astype(np.float32)
    return LexiconTree(word, length, last, score, nodes, unit)

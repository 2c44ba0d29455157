"""L: the lexicon as a tree of units."""

import dataclasses
from typing import Dict, Sequence, Tuple

import numpy as np

from asrkit.errors import UserError
from asrkit.text.lexicon import Pronunciation

LONGEST = 1000  # units per pronunciation: the table of nodes is as wide


@dataclasses.dataclass(frozen=True)
class LexiconTree:
    """Pronunciations sorted by unit ids, so that those below a node are neighbours."""

    word: np.ndarray  # (pronunciation,) int32, index into words.txt
    length: np.ndarray  # (pronunciation,) int32, units
    last: np.ndarray  # (pronunciation,) int32, the last unit
    score: np.ndarray  # (pronunciation,) float32, natural logarithm; 0 for a word's most probable one
    nodes: np.ndarray  # (pronunciation, longest length - 1) int32, after each unit but the last; then -1
    unit: np.ndarray  # (node,) int32


def make_lexicon_tree(
    lexicon: Sequence[Pronunciation], unit_ids: Dict[str, int], word_ids: Dict[str, int]
) -> LexiconTree:
    """The tree of a lexicon; homophones and words that begin others need no disambiguation symbols.

    Probabilities are divided by that of the word's most probable pronunciation, as in Kaldi, so that words
    with several aren't penalised. Raises UserError for a word that words.txt lacks, and for a pronunciation
    of more than LONGEST units.
    """
    absent = {entry.word for entry in lexicon} - word_ids.keys()
    if absent:
        found = f"the lexicon has {min(absent)}, which words.txt lacks"
        raise UserError(found, "all words of lexicon.txt", "units/words.txt", "run.sh --stage units")
    longest = max(lexicon, key=lambda entry: len(entry.units))
    if len(longest.units) > LONGEST:
        found = f"{longest.word[:60]} has a pronunciation of {len(longest.units):,} units"
        expected = f"at most {LONGEST:,}: a graph has a state for each"
        todo = "fix or remove the word in the transcripts, lm.text, lm.arpa or units.lexicon"
        raise UserError(found, expected, "units/lexicon.txt", todo)
    highest: Dict[str, float] = {}
    for entry in lexicon:
        highest[entry.word] = max(entry.probability, highest.get(entry.word, 0.0))
    entries = sorted(
        (tuple(map(unit_ids.__getitem__, units)), word_ids[word], probability / highest[word])
        for word, units, probability in lexicon
    )
    nodes = np.full((len(entries), len(longest.units) - 1), -1, dtype=np.int32)
    numbers: Dict[Tuple[int, ...], int] = {}
    for row, (units, _, _) in enumerate(entries):
        for depth in range(len(units) - 1):
            nodes[row, depth] = numbers.setdefault(units[: depth + 1], len(numbers))
    rows = [(word, len(units), units[-1]) for units, word, _ in entries]
    word, length, last = np.array(rows, dtype=np.int32).T
    score = np.log([probability for _, _, probability in entries]).astype(np.float32)
    unit = np.array([units[-1] for units in numbers], dtype=np.int32)
    return LexiconTree(word, length, last, score, nodes, unit)

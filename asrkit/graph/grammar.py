"""G: an ARPA language model as states and arcs over words."""

import dataclasses
from pathlib import Path
from typing import List, Optional, Tuple

import numpy as np

from asrkit.config.symbols import END, NO_WORD, START, UNKNOWN
from asrkit.errors import UserError
from asrkit.graph.arcs import refuse_overflow
from asrkit.lm.arpa import read_arpa
from asrkit.lm.model import NgramIndex, NgramModel
from asrkit.text.units import read_symbols

NO_STATE = -1
END_MARK, START_MARK = -1, -2  # </s> and <s> among ids of words.txt


@dataclasses.dataclass(frozen=True)
class Grammar:
    """A back-off model: states are histories that a word follows, and state 0 is the start of a sentence.

    Scores are natural logarithms. `backoff` is NO_STATE for the empty history.
    """

    source: np.ndarray  # (arc,) int32, like the next two
    target: np.ndarray
    word: np.ndarray  # index into words.txt
    score: np.ndarray  # (arc,) float32
    final: np.ndarray  # (state,) float32, of </s>; -inf if no n-gram has it
    backoff: np.ndarray  # (state,) int32
    backoff_score: np.ndarray  # (state,) float32

    @property
    def states(self) -> int:
        """The number of states."""
        return len(self.final)


def make_grammar(
    arpa: Path, words_file: Path, unknown_word: Optional[str] = None, unknown_id: int = NO_WORD
) -> Grammar:
    """G from an ARPA file, without n-grams that contain words outside words.txt, such as <unk>.

    If the model lacks `unknown_word`, its <unk> becomes that word; with `unknown_id`, <unk> is kept under
    that id. Raises UserError if no n-gram is left.
    """
    model, symbols = read_arpa(arpa), read_symbols(words_file)
    ids = {symbol: index for index, symbol in enumerate(symbols)}
    if unknown_id != NO_WORD:
        ids[UNKNOWN] = unknown_id
    if unknown_word is not None and unknown_word not in model.vocabulary:
        ids[UNKNOWN] = ids[unknown_word]
    ids.update({START: START_MARK, END: END_MARK})
    words_of = np.array([ids.get(word, NO_WORD) for word in model.vocabulary], dtype=np.int32)
    context, suffix, last = _link(model, words_of)
    follows, ends = np.flatnonzero(last > NO_WORD), np.flatnonzero(last == END_MARK)
    if not (np.any(last[follows] != unknown_id) and len(ends)):
        lacked = "none of the words of the lexicon" if len(ends) else f"no {END}"
        expected = f"n-grams of the words in words.txt, and of {END}"
        where, todo = f"{arpa} and {words_file}", "make both from the same text: run.sh --stage units"
        raise UserError(f"the language model has {lacked}", expected, where, todo)
    score, backoff_score = (
        (np.log(10) * np.concatenate([[0.0], *parts])).astype(np.float32)
        for parts in zip(*((table.log_probability, table.log_backoff) for table in model.tables))
    )
    final = np.full(len(score), -np.inf, dtype=np.float32)
    final[context[ends]] = score[ends]
    start = words_of.tolist().index(START_MARK) + 1 if START in model.vocabulary else 0
    used = np.isfinite(final)
    used[context[follows]] = used[[0, start]] = True
    nearest, passed = _nearest_used(used, suffix, backoff_score, len(model.tables))

    states = np.flatnonzero(used)
    states = np.concatenate([[start], states[states != start]])
    number = np.full(len(used), NO_STATE, dtype=np.int32)
    number[states] = np.arange(len(states), dtype=np.int32)
    return Grammar(
        source=number[context[follows]],
        target=number[nearest[follows]],
        word=last[follows],
        score=score[follows] + passed[follows],
        final=final[states],
        backoff=np.where(states == 0, NO_STATE, number[nearest[suffix[states]]]).astype(np.int32),
        backoff_score=backoff_score[states] + passed[suffix[states]],
    )


def _link(model: NgramModel, words_of: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Context, longest suffix and last word of each n-gram, all (1 + n-grams,): the empty one comes first.

    An n-gram's place in these arrays is also that of the history that it makes. The last word is NO_WORD if
    any of its words is.
    """
    refuse_overflow("G", 1 + sum(model.counts))
    index, offset = NgramIndex(len(model.vocabulary)), [1]  # the place of each order's first n-gram
    nothing = np.zeros(1, dtype=np.int32)
    links: List[Tuple[np.ndarray, np.ndarray, np.ndarray]] = [(nothing,) * 3]
    for order, table in enumerate(model.tables, start=1):
        context = suffix = np.zeros(len(table.words), dtype=np.int32)
        if order > 1:
            rows = index.locate(table.words[:, :-1])
            context = (rows + offset[-2]).astype(np.int32)
            index.add(rows, table.words[:, -1])
        for length in range(1, order):  # the longest that exists: a pruned model may lack some
            rows = index.locate(table.words[:, order - length :])
            suffix = np.where(rows >= 0, rows + offset[length - 1], suffix).astype(np.int32)
        ids = words_of[table.words]  # (n-grams, order)
        known = (ids != NO_WORD).all(axis=1)
        links.append((context, suffix, np.where(known, ids[:, -1], NO_WORD).astype(np.int32)))
        offset.append(offset[-1] + len(table.words))
    context, suffix, last = (np.concatenate(column) for column in zip(*links))
    return context, suffix, last


def _nearest_used(
    used: np.ndarray, suffix: np.ndarray, backoff_score: np.ndarray, orders: int
) -> Tuple[np.ndarray, np.ndarray]:
    """The first used history among each one and its ever shorter suffixes, and the back-off score to it."""
    nearest = np.arange(len(used), dtype=np.int32)
    passed = np.zeros(len(used), dtype=np.float32)
    for _ in range(orders):
        unused = np.flatnonzero(~used[nearest])
        passed[unused] += backoff_score[nearest[unused]]
        nearest[unused] = suffix[nearest[unused]]
    return nearest, passed

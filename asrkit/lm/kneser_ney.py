"""Interpolated modified Kneser-Ney estimation, as in lmplz.

S. F. Chen and J. Goodman, "An empirical study of smoothing techniques for language modeling",
1998; K. Heafield, I. Pouzyrevsky, J. H. Clark and P. Koehn, "Scalable modified Kneser-Ney
language model estimation", ACL 2013. Equal to lmplz --discount_fallback up to rounding.

With the adjusted counts of asrkit/lm/counts.py's example ("a b" and "c b") and discounts of 0.5, 1 and 1.5
for counts of 1, 2 and 3 or more, probabilities are discounted counts plus a share gamma of the order below:

    p(b)      = (2 - 1) / 5 + 0.5 * 1/5 = 0.3      gamma = (0.5 + 1 + 0.5 + 0.5) / 5 = 0.5, over 5 words
    p(b | a)  = (1 - 0.5) / 1 + 0.5 * 0.3 = 0.65   gamma(a) = 0.5 / 1
    p(</s>|b) = (2 - 1) / 2 + 0.5 * 0.2 = 0.6      gamma(b) = 1 / 2
"""

import tempfile
from pathlib import Path
from typing import Iterable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from asrkit.lm.counts import NgramCounts, count_ngrams, counts_of_counts, no_ngrams
from asrkit.lm.model import NgramModel, NgramTable
from asrkit.lm.tokens import START_ID, TOKENS_AT_ONCE, tokenise

FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)  # lmplz's, for texts on which the closed form fails


class Discounts(NamedTuple):
    """What is subtracted from adjusted counts of 1, of 2, and of 3 or more."""

    values: Tuple[float, float, float]
    fallback: str = ""  # why the closed form failed; empty: it didn't


class Estimate(NamedTuple):
    """A model and its discounts, one entry per order."""

    model: NgramModel
    discounts: List[Discounts]


def estimate(
    sentences: Iterable[str],
    order: int,
    min_counts: Sequence[int] = (),
    scratch: Optional[Path] = None,
    tokens_at_once: int = TOKENS_AT_ONCE,
) -> Estimate:
    """Estimate a model from sentences of whitespace-separated words.

    `min_counts`, one per order and not decreasing, leaves out n-grams that occur more rarely, except
    unigrams; their probability goes to back-off, as with lmplz --prune. Text and counts are sorted in files
    in `scratch`, by default the system's temporary folder; the model itself is held in memory.
    Raises UserError for a text without words, reserved words such as <s>, and no n-grams of the order.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        tokens = tokenise(sentences, Path(folder), at_once=tokens_at_once)
        counts = count_ngrams(tokens, order, Path(folder))
        discounts = [closed_form_discounts(n) for n in counts_of_counts(counts, tokens.appearance).tolist()]
        kept = [table.occurrences >= least for table, least in zip(counts, min_counts or [1] * len(counts))]
        kept[0][:] = True  # unigrams, also <unk> and <s>
        for length, table_kept in enumerate(kept, start=1):
            if not table_kept.any():
                raise no_ngrams(length, min_counts[length - 1])
        probability = _unigram_probabilities(counts[0], discounts[0])
        probabilities, gammas = [probability], []
        for table, discount, table_kept in zip(counts[1:], discounts[1:], kept[1:]):
            probability, gamma = _probabilities(table, discount, probabilities[-1], table_kept)
            probabilities.append(probability)
            gammas.append(gamma)
        gammas.append(np.ones(len(probability)))  # of the highest order; never written
        tables = _sort_tables(counts, probabilities, gammas, kept)
        return Estimate(NgramModel(tokens.vocabulary, tables), discounts)


def closed_form_discounts(n: Sequence[int]) -> Discounts:
    """Discounts from counts of counts (Chen & Goodman 1998, equation 26), else lmplz's fallback.

    With n[k] the number of n-grams of adjusted count k and y = n[1] / (n[1] + 2 n[2]), the
    discount of count k is k - (k + 1) y n[k + 1] / n[k].
    """
    for k in (1, 2, 3):
        if n[k] == 0:
            return Discounts(FALLBACK_DISCOUNTS, f"no n-gram has an adjusted count of {k}")
    y = n[1] / (n[1] + 2.0 * n[2])
    one, two, three = (k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3))
    for k, value in enumerate((one, two, three), start=1):
        # lmplz accepts a discount of exactly 0, and then writes back-offs of minus infinity
        if not 0 < value <= k:
            return Discounts(FALLBACK_DISCOUNTS, f"the discount of count {k} would be {value:.4f}")
    return Discounts((one, two, three))


def _amounts(counts: np.ndarray, discounts: Discounts) -> np.ndarray:
    return np.array([0.0, *discounts.values])[np.minimum(counts, 3)]


def _unigram_probabilities(table: NgramCounts, discounts: Discounts) -> np.ndarray:
    # Interpolated with the uniform distribution over all words but <s>, from which <unk> gets all it has.
    # <s> is never predicted: with a probability of 1, readers score it at no cost.
    taken = _amounts(table.adjusted, discounts)
    gamma = taken.sum() / table.adjusted.sum()
    probability: np.ndarray = (table.adjusted - taken) / table.adjusted.sum()
    probability += gamma / (len(table.adjusted) - 1)
    probability[START_ID] = 1.0
    return probability


def _probabilities(
    table: NgramCounts, discounts: Discounts, lower: np.ndarray, kept: np.ndarray
) -> Tuple[np.ndarray, np.ndarray]:
    """Probabilities of one order (n-grams,) and the back-off weight of each n-gram one order below.

    p(w | c) = (a(c w) - D(a(c w))) / sum_v a(c v) + gamma(c) p(w | c without its first word),
    gamma(c) = sum_v D(a(c v)) / sum_v a(c v), or 1 if no word ever followed c. For n-grams that
    aren't kept, D is the whole count.
    """
    taken = np.where(kept, _amounts(table.adjusted, discounts), table.adjusted)
    total = np.bincount(table.context, weights=table.adjusted, minlength=len(lower))
    mass = np.bincount(table.context, weights=taken, minlength=len(lower))
    gamma = np.divide(mass, total, out=np.ones(len(lower)), where=total > 0)
    probability = (table.adjusted - taken) / total[table.context]
    return probability + gamma[table.context] * lower[table.suffix], gamma


def _sort_tables(
    counts: List[NgramCounts],
    probabilities: List[np.ndarray],
    gammas: List[np.ndarray],
    kept: List[np.ndarray],
) -> List[NgramTable]:
    """Tables of the kept n-grams, each sorted by first word, then second, and so on."""
    size = len(counts[0].first)
    rows = rank = np.arange(size)  # n-grams of the table; place in it of each n-gram of `counts`
    words = rows[None].astype(np.int32)  # (order, n-grams), sorted
    tables: List[NgramTable] = []
    for table, probability, gamma, table_kept in zip(counts, probabilities, gammas, kept):
        if tables:
            # The context of a kept n-gram is kept: it occurs as often, and needn't occur more often.
            # `counts` are sorted by last word, so sorting by context, then row, is enough.
            rows = np.flatnonzero(table_kept)
            keys = rank[table.context[table_kept]] << 32 | rows
            keys.sort()  # plain numbers: faster than argsort
            rows = keys & 0xFFFFFFFF
            keys >>= 32
            words = np.stack([*(column.take(keys) for column in words), table.last[rows]])
            rank = np.empty(len(table_kept), dtype=np.int64)
            rank[rows] = np.arange(len(rows))
        log_probability = np.minimum(np.log10(probability[rows]), 0.0)  # 1 plus rounding is 1
        highest = len(tables) == len(counts) - 1
        log_backoff = np.zeros(len(rows)) if highest else np.log10(gamma[rows])
        tables.append(NgramTable(words.T, log_probability, log_backoff))
    return tables

"""Interpolated modified Kneser-Ney estimation, as lmplz defines it.

S. F. Chen and J. Goodman, "An empirical study of smoothing techniques for language modeling",
1998; K. Heafield, I. Pouzyrevsky, J. H. Clark and P. Koehn, "Scalable modified Kneser-Ney
language model estimation", ACL 2013. Equal to lmplz --discount_fallback up to rounding.
"""

import dataclasses
import tempfile
from pathlib import Path
from typing import Iterable, List, Optional, Sequence, Tuple

import numpy as np

from asrkit.config.checks import MAXIMUM_ORDER
from asrkit.errors import UserError
from asrkit.lm.counts import NgramCounts, count_ngrams, counts_of_counts, too_rare
from asrkit.lm.model import NgramModel, NgramTable
from asrkit.lm.tokens import START_ID, TOKENS_AT_ONCE, Tokens, tokenise

FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)  # lmplz's, for texts on which the closed form fails


@dataclasses.dataclass(frozen=True)
class Discounts:
    """What is taken from adjusted counts of 1, of 2, and of 3 or more."""

    values: Tuple[float, float, float]
    fallback: str = ""  # why the closed form failed; empty: it didn't


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A model and the discounts it was made with, an entry an order."""

    model: NgramModel
    discounts: List[Discounts]


def estimate(
    sentences: Iterable[str],
    order: int,
    min_counts: Sequence[int] = (),
    scratch: Optional[Path] = None,
    tokens_at_once: int = TOKENS_AT_ONCE,
) -> Estimate:
    """Estimate a model from sentences of words separated by white space.

    `min_counts`, one an order and none less than the one before, leaves out n-grams that occur more rarely,
    except unigrams; their counts go to back-off, as with lmplz --prune. Text and counts are sorted in files
    in `scratch`, by default the system's folder for temporary files; the model itself is held in memory.
    Raises UserError for an order outside 1 to 5, a text without words, <s>, </s> or <unk> as a word, and no
    n-grams of the order.
    """
    if not 1 <= order <= MAXIMUM_ORDER:
        raise UserError(
            f"an n-gram order of {order}",
            expected=f"1 to {MAXIMUM_ORDER}",
            where="lm.order in recipe.yaml",
            todo="--set lm.order=3 is a usual choice",
        )
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        tokens = tokenise(sentences, Path(folder), at_once=tokens_at_once)
        return _estimate(tokens, count_ngrams(tokens, order, Path(folder)), min_counts)


def _estimate(tokens: Tokens, counts: List[NgramCounts], min_counts: Sequence[int]) -> Estimate:
    discounts = [closed_form_discounts(n) for n in counts_of_counts(counts, tokens.appearance).tolist()]
    kept = [table.occurrences >= least for table, least in zip(counts, min_counts or [1] * len(counts))]
    kept[0][:] = True  # unigrams, also <unk> and <s>
    for length, table_kept in enumerate(kept, start=1):
        if not table_kept.any():
            raise too_rare(length, min_counts[length - 1])
    probability, gamma = _unigram_probabilities(counts[0], discounts[0])
    probabilities, gammas = [probability], []
    for table, discount, table_kept in zip(counts[1:], discounts[1:], kept[1:]):
        probability, gamma = _probabilities(table, discount, probabilities[-1], table_kept)
        probabilities.append(probability)
        gammas.append(gamma)
    gammas.append(np.ones(len(probability)))  # of the highest order; never written
    return Estimate(
        NgramModel(tokens.vocabulary, _sorted_tables(counts, probabilities, gammas, kept)), discounts
    )


def closed_form_discounts(n: Sequence[int]) -> Discounts:
    """Discounts from counts of counts (Chen & Goodman 1998, equation 26), else lmplz's fall-back.

    With n[k] the number of n-grams of adjusted count k and y = n[1] / (n[1] + 2 n[2]), the
    discount of count k is k - (k + 1) y n[k + 1] / n[k].
    """
    for k in (1, 2, 3):
        if n[k] == 0:
            return Discounts(FALLBACK_DISCOUNTS, f"no n-gram has an adjusted count of {k}")
    y = n[1] / (n[1] + 2.0 * n[2])
    one, two, three = (k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3))
    for k, value in enumerate((one, two, three), start=1):
        # lmplz lets a discount of exactly 0 pass, and then writes back-offs of minus infinity.
        if not 0 < value <= k:
            return Discounts(FALLBACK_DISCOUNTS, f"the discount of count {k} would be {value:.4f}")
    return Discounts((one, two, three))


def _amounts(counts: np.ndarray, discounts: Discounts) -> np.ndarray:
    return np.array([0.0, *discounts.values])[np.minimum(counts, 3)]


def _unigram_probabilities(table: NgramCounts, discounts: Discounts) -> Tuple[np.ndarray, np.ndarray]:
    # Interpolated with the uniform distribution over all words but <s>; all of <unk> comes from
    # there. <s> is never predicted: its probability of 1 lets a reader score it at no cost.
    taken = _amounts(table.adjusted, discounts)
    gamma = taken.sum() / table.adjusted.sum()
    probability = (table.adjusted - taken) / table.adjusted.sum() + gamma / (len(table.adjusted) - 1)
    probability[START_ID] = 1.0
    return probability, gamma


def _probabilities(
    table: NgramCounts, discounts: Discounts, lower: np.ndarray, kept: np.ndarray
) -> Tuple[np.ndarray, np.ndarray]:
    """Probabilities of one order (n-grams,) and the back-off weight of each n-gram one order below.

    p(w | c) = (a(c w) - D(a(c w))) / sum_v a(c v) + gamma(c) p(w | c without its first word),
    gamma(c) = sum_v D(a(c v)) / sum_v a(c v); 1 where c was never followed by a word. Of n-grams that
    aren't kept, D is the whole count.
    """
    taken = np.where(kept, _amounts(table.adjusted, discounts), table.adjusted)
    total = np.bincount(table.context, weights=table.adjusted, minlength=len(lower))
    mass = np.bincount(table.context, weights=taken, minlength=len(lower))
    seen = total > 0
    gamma = np.divide(mass, total, out=np.ones(len(lower)), where=seen)
    probability = (table.adjusted - taken) / total[table.context]
    return probability + gamma[table.context] * lower[table.suffix], gamma


def _sorted_tables(
    counts: List[NgramCounts],
    probabilities: List[np.ndarray],
    gammas: List[np.ndarray],
    kept: List[np.ndarray],
) -> List[NgramTable]:
    """Tables of what is kept, each sorted by first word, then second, and so on."""
    size = len(counts[0].first)
    rows = rank = np.arange(size)  # which n-grams the table holds; at which place each of `counts` is there
    words = rows[None].astype(np.int32)  # (order, n-grams), sorted
    tables: List[NgramTable] = []
    for table, probability, gamma, table_kept in zip(counts, probabilities, gammas, kept):
        if tables:
            # What a kept n-gram begins with is kept: it occurs as often, and needn't occur more often.
            # `counts` are sorted by last word, so contexts alone decide, and then the rows.
            rows = np.flatnonzero(table_kept)
            keys = rank[table.context[table_kept]] << 32 | rows
            keys.sort()  # of plain numbers: quicker than argsort
            rows = keys & 0xFFFFFFFF
            keys >>= 32
            words = np.stack([*(column.take(keys) for column in words), table.last[rows]])
            rank = np.empty(len(table_kept), dtype=np.int64)
            rank[rows] = np.arange(len(rows))
        log_probability = np.minimum(np.log10(probability[rows]), 0.0)  # 1 + rounding is 1
        highest = len(tables) == len(counts) - 1
        log_backoff = np.zeros(len(rows)) if highest else np.log10(gamma[rows])
        tables.append(NgramTable(words.T, log_probability, log_backoff))
    return tables

"""Entropy pruning against sums over the whole vocabulary."""

import math
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np
import pytest

from asrkit.lm.arpa import read_arpa, write_arpa
from asrkit.lm.kneser_ney import estimate
from asrkit.lm.model import NgramModel, index_ngrams
from asrkit.lm.pruning import perplexity_changes, prune
from tests.lm.ngrams import Entries, by_words, probability

LICENCE = (Path(__file__).parent / "data" / "licence.txt").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def model() -> NgramModel:
    return estimate(LICENCE[:5], 3).model


def predicted(entries: Entries) -> List[str]:
    return [ngram[0] for ngram in entries if len(ngram) == 1 and ngram != ("<s>",)]


def without(entries: Entries, lost: Tuple[str, ...]) -> Entries:
    """The entries less one, with the back-off of its context set so that all words after it sum to one."""
    left = {ngram: entry for ngram, entry in entries.items() if ngram != lost}
    context = lost[:-1]
    listed = [ngram for ngram in left if ngram[:-1] == context and len(ngram) == len(lost)]
    mass = 1 - sum(10 ** left[ngram][0] for ngram in listed)
    shorter = 1 - sum(probability(entries, ngram[1:]) for ngram in listed)
    left[context] = (left[context][0], math.log10(mass / shorter))
    return left


def change_by_definition(entries: Entries, lost: Tuple[str, ...]) -> float:
    """exp of the relative entropy between both models, less 1; only words after the context differ."""
    context = lost[:-1]
    history = 1.0
    for end in range(1, len(context) + 1):
        word = ("</s>",) if context[:end] == ("<s>",) else context[:end]
        history *= probability(entries, word)
    pruned = without(entries, lost)
    divergence = 0.0
    for word in predicted(entries):
        before, after = (probability(one, (*context, word)) for one in (entries, pruned))
        divergence += history * before * math.log(before / after)
    return math.expm1(divergence)


def changes_of(model: NgramModel) -> Dict[Tuple[str, ...], float]:
    tables = zip(model.tables[1:], perplexity_changes(model, index_ngrams(model)))
    return {
        tuple(model.vocabulary[word] for word in row): float(change)
        for table, changes in tables
        for row, change in zip(table.words, changes)
    }


def test_perplexity_changes_equal_their_definition(model: NgramModel) -> None:
    entries, changes = by_words(model), changes_of(model)
    assert len(changes) == sum(model.counts[1:])
    for ngram in list(changes)[::3]:
        expected = change_by_definition(entries, ngram)
        assert changes[ngram] == pytest.approx(expected, rel=1e-6, abs=1e-12), ngram


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_kept_ngrams_are_above_the_threshold_or_contexts_of_kept_ones(
    model: NgramModel, share: float, tmp_path: Path
) -> None:
    entries, changes = by_words(model), changes_of(model)
    threshold = float(np.quantile(list(changes.values()), share))
    pruned = prune(model, threshold)
    left = by_words(pruned)
    needed = {ngram[:-1] for ngram in left}
    expected = {ngram for ngram in entries if len(ngram) == 1 or changes[ngram] >= threshold}
    assert left.keys() == expected | {ngram for ngram in needed if ngram}
    assert len(left) < len(entries)
    assert all(left[ngram][0] == entries[ngram][0] for ngram in left)
    for context in [()] + [ngram for ngram in left if len(ngram) < 3 and ngram[-1] != "</s>"]:
        total = sum(probability(left, (*context, word)) for word in predicted(left))
        assert total == pytest.approx(1, abs=1e-9), context
    write_arpa(pruned, tmp_path / "lm.arpa")
    assert read_arpa(tmp_path / "lm.arpa").counts == pruned.counts


def test_orders_without_ngrams_are_dropped(model: NgramModel) -> None:
    assert prune(model, 1.0).counts == model.counts[:1]

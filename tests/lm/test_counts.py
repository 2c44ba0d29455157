"""Adjusted counts against their definition, counted with dictionaries."""

import collections
import random
from pathlib import Path
from typing import Dict, List, Set, Tuple

import pytest

from asrkit.lm.counts import count_ngrams
from asrkit.lm.tokens import tokenise


def counts_by_definition(sentences: List[str], length: int, order: int) -> Dict[Tuple[str, ...], int]:
    occurrences: Dict[Tuple[str, ...], int] = collections.Counter()
    before: Dict[Tuple[str, ...], Set[str]] = collections.defaultdict(set)
    for sentence in sentences:
        words = ["<s>", *sentence.split(), "</s>"]
        for start in range(len(words) - length + 1):
            ngram = tuple(words[start : start + length])
            occurrences[ngram] += 1
            if start > 0:
                before[ngram].add(words[start - 1])
    if length == order:
        adjusted = dict(occurrences)
    else:
        adjusted = {n: occurrences[n] if n[0] == "<s>" else len(before[n]) for n in occurrences}
    if length == 1:
        adjusted.update({("<s>",): 0, ("<unk>",): 0})
    return adjusted


@pytest.mark.parametrize("at_once", [1, 7, 1000])
@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_adjusted_counts_and_links(order: int, at_once: int, tmp_path: Path) -> None:
    choose = random.Random(order)
    sentences = [" ".join(choose.choices("abcd", k=choose.randrange(7))) for _ in range(80)]
    tokens = tokenise(sentences, tmp_path, at_once=at_once)
    lower: List[Tuple[str, ...]] = []
    for length, table in enumerate(count_ngrams(tokens, order, tmp_path), start=1):
        ngrams = [(tokens.vocabulary[word],) for word in table.first]
        if length > 1:
            ngrams = [(first[0], *lower[suffix]) for first, suffix in zip(ngrams, table.suffix)]
            assert [lower[context] for context in table.context] == [ngram[:-1] for ngram in ngrams]
            assert [tokens.vocabulary[word] for word in table.last] == [ngram[-1] for ngram in ngrams]
        assert dict(zip(ngrams, table.adjusted.tolist())) == counts_by_definition(sentences, length, order)
        assert len(set(ngrams)) == len(ngrams)
        lower = ngrams


def test_keys_beyond_32_bits(tmp_path: Path) -> None:
    tokens = tokenise((f"a{number} b{number}" for number in range(30_000)), tmp_path)
    bigrams = count_ngrams(tokens, 2, tmp_path)[1]
    assert len(bigrams.first) == 90_000
    assert bigrams.occurrences[(bigrams.first > 2) & (bigrams.last > 2)].tolist() == [1] * 30_000

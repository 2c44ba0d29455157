"""Interpolated models against their two components."""

import itertools
from pathlib import Path
from typing import List, Tuple

import numpy as np
import pytest

from asrkit.lm.arpa import read_arpa, write_arpa
from asrkit.lm.interpolation import Interpolation, best_weight, interpolate
from asrkit.lm.kneser_ney import estimate
from asrkit.lm.perplexity import perplexity
from tests.lm.ngrams import Entries, by_words, probability

LICENCE = (Path(__file__).parent / "data" / "licence.txt").read_text(encoding="utf-8").splitlines()
NUMBERS = ["one two three", "two three of the", "three", "one of the two", "the licensee of one"]
HELD_OUT = ["one of the", "the licensee two", "unheard of"]


def mixture_of(order: int) -> Tuple[Entries, Entries, Interpolation]:
    first, second = (estimate(sentences, order).model for sentences in (LICENCE[:12], NUMBERS))
    return by_words(first), by_words(second), interpolate(first, second, HELD_OUT)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_listed_ngrams_are_weighted_sums_and_contexts_sum_to_one(order: int) -> None:
    first, second, found = mixture_of(order)
    mixture = by_words(found.model)
    words = [words[0] for words in mixture if len(words) == 1 and words != ("<s>",)]
    assert mixture.keys() == first.keys() | second.keys()

    def share(entries: Entries, ngram: Tuple[str, ...]) -> float:
        # A word that this model lacks has an even share of <unk>.
        new = sum((word,) not in entries for word in words)
        own = (*ngram[:-1], "<unk>") if (ngram[-1],) not in entries else ngram
        return probability(entries, own) / (1 + new if own[-1] == "<unk>" else 1)

    for ngram, (log_probability, _) in mixture.items():
        expected = found.weight * share(first, ngram) + (1 - found.weight) * share(second, ngram)
        assert 10**log_probability == pytest.approx(expected, rel=1e-9), ngram
    contexts = [()] + [ngram for ngram in mixture if len(ngram) < order and ngram[-1] != "</s>"]
    unlisted = [("two", "unheard"), ("of", "three", "the")]
    for context in itertools.chain(contexts[::7], unlisted):
        total = sum(probability(mixture, (*context, word)) for word in words)
        assert total == pytest.approx(1, abs=1e-9), context


def test_kenlm_reads_the_mixture_and_agrees_on_the_perplexity(tmp_path: Path) -> None:
    pytest.importorskip("kenlm", reason="kenlm isn't installed: it queries models of order 2 and up")
    *_, found = mixture_of(3)
    write_arpa(found.model, tmp_path / "lm.arpa")
    assert read_arpa(tmp_path / "lm.arpa").counts == found.model.counts
    measured = perplexity(tmp_path / "lm.arpa", HELD_OUT)
    assert measured.oov == 1
    assert measured.perplexity_known == pytest.approx(found.perplexities[2], rel=1e-5)


def test_a_word_of_one_model_shares_unk_in_the_other() -> None:
    # Unigrams of test_kneser_ney: a 0.325, b 0.225, </s> 0.325, <unk> 0.125, which c and d share.
    first, second = estimate(["a a", "b"], 1).model, estimate(["c c", "d"], 1).model
    found = interpolate(first, second, ["a c"])
    assert found.weight == pytest.approx(0.5)
    mixed = {words[0]: 10 ** entry[0] for words, entry in by_words(found.model).items()}
    third = 0.125 / 3
    expected = {"<unk>": third, "<s>": 1, "</s>": 0.325, "a": (0.325 + third) / 2, "b": (0.225 + third) / 2}
    assert mixed == pytest.approx({**expected, "c": expected["a"], "d": expected["b"]})


def test_the_weight_is_the_best_of_a_fine_grid() -> None:
    generator = np.random.default_rng(1)
    first, second = generator.random((2, 50)) ** 3
    grid: List[float] = np.linspace(0.001, 0.999, 999).tolist()
    likelihood = [np.log(weight * first + (1 - weight) * second).sum() for weight in grid]
    assert best_weight(first, second) == pytest.approx(grid[int(np.argmax(likelihood))], abs=1e-3)


def test_a_useless_model_keeps_a_minimum_weight() -> None:
    assert best_weight(np.array([0.1, 0.2]), np.array([0.2, 0.4])) == 0.001

"""The built-in estimator against lmplz, against stored figures, and against the definition."""

import collections
import pydoc_data.topics
import re
from pathlib import Path
from typing import Callable, List, Tuple

import numpy as np
import pytest

from asrkit.errors import UserError
from asrkit.lm.arpa import read_arpa, write_arpa
from asrkit.lm.counts import count_ngrams
from asrkit.lm.kenlm import estimate_with_lmplz, find_program
from asrkit.lm.kneser_ney import closed_form_discounts, estimate
from asrkit.lm.model import NgramModel
from asrkit.lm.tokens import tokenise
from tests.lm.ngrams import Entries, by_words, probability

DATA = Path(__file__).parent / "data"
TOLERANCE = 1e-4  # log10
needs_lmplz = pytest.mark.skipif(find_program("lmplz") is None, reason="lmplz isn't built: make lmplz")


def assert_equal_models(found: NgramModel, expected: NgramModel) -> None:
    ours, theirs = by_words(found), by_words(expected)
    assert found.counts == expected.counts
    assert ours.keys() == theirs.keys()
    worst = max(ours, key=lambda words: np.abs(np.subtract(ours[words], theirs[words])).max())
    assert ours[worst] == pytest.approx(theirs[worst], abs=TOLERANCE), worst


def assert_contexts_sum_to_one(entries: Entries, order: int) -> None:
    predicted = [words[0] for words in entries if len(words) == 1 and words != ("<s>",)]
    for context in [()] + [words for words in entries if len(words) < order and words[-1] != "</s>"]:
        total = sum(probability(entries, (*context, word)) for word in predicted)
        assert total == pytest.approx(1, abs=1e-9), context


def lines_of(file: Path) -> List[str]:
    return file.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(("name", "order"), [("licence", 1), ("licence", 3), ("yesno", 1), ("yesno", 2)])
def test_equals_stored_output_of_lmplz(name: str, order: int) -> None:
    # data/*.arpa were written by lmplz of kenlm 0.3.0: lmplz -o ORDER --discount_fallback < TEXT
    found = estimate(lines_of(DATA / f"{name}.txt"), order)
    assert_equal_models(found.model, read_arpa(DATA / f"{name}.{order}.arpa"))


@needs_lmplz
@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_equals_lmplz_on_pythons_documentation(order: int, tmp_path: Path) -> None:
    documentation = " ".join(text for _, text in sorted(pydoc_data.topics.topics.items())).lower()
    sentences = [" ".join(re.findall(r"[a-z_]+", part)) for part in re.split(r"[.;:]\s", documentation)]
    estimate_with_lmplz(sentences, order, tmp_path / "lmplz.arpa")
    assert_equal_models(estimate(sentences, order).model, read_arpa(tmp_path / "lmplz.arpa"))


@needs_lmplz
@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_equals_lmplz_on_an4(order: int, tmp_path: Path, corpora: Callable[[str], Path]) -> None:
    lines = lines_of(corpora("an4") / "an4" / "etc" / "an4_train.transcription")
    sentences = [re.sub(r"</?s>|\(\S+\)", "", line) for line in lines]
    fallbacks = estimate_with_lmplz(sentences, order, tmp_path / "lmplz.arpa")
    found = estimate(sentences, order)
    assert len(fallbacks) == sum(bool(discounts.fallback) for discounts in found.discounts)
    assert_equal_models(found.model, read_arpa(tmp_path / "lmplz.arpa"))


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_probabilities_after_every_context_sum_to_one(order: int) -> None:
    sentences = lines_of(DATA / "licence.txt")[:8]
    assert_contexts_sum_to_one(by_words(estimate(sentences, order).model), order)


def test_contexts_sum_to_one_with_count_cutoffs() -> None:
    sentences = lines_of(DATA / "licence.txt")
    whole, cut = (by_words(estimate(sentences, 3, min_counts=least).model) for least in ((), (1, 2, 3)))
    occurrences: collections.Counter[Tuple[str, ...]] = collections.Counter()
    for sentence in sentences:
        words = ["<s>", *sentence.split(), "</s>"]
        for length in (2, 3):
            occurrences.update(tuple(words[end - length : end]) for end in range(length, len(words) + 1))
    left = {ngram for ngram in whole if len(ngram) == 1 or occurrences[ngram] >= len(ngram)}
    assert cut.keys() == left
    assert len(left) < len(whole)
    assert_contexts_sum_to_one(cut, 3)


def test_refuses_cutoffs_that_leave_no_ngram() -> None:
    with pytest.raises(UserError, match="no 2-grams occur 9 times"):
        estimate(["a b", "a b"], 2, min_counts=[1, 9])


def test_unigrams_of_two_words_worked_by_hand() -> None:
    # "a a" and "b": counts a 2, b 1, </s> 2. No count of 3, so D = 0.5, 1, 1.5 are taken:
    # gamma = (1 + 0.5 + 1) / 5 = 0.5, spread over a, b, </s> and <unk>.
    found = estimate(["a a", "b"], 1)
    assert found.discounts[0].values == (0.5, 1.0, 1.5)
    assert "adjusted count of 3" in found.discounts[0].fallback
    probabilities = {words[0]: 10 ** entry[0] for words, entry in by_words(found.model).items()}
    expected = {"<unk>": 0.125, "<s>": 1.0, "</s>": 0.325, "a": 0.325, "b": 0.225}
    assert probabilities == pytest.approx(expected)


def test_closed_form_discounts() -> None:
    assert closed_form_discounts([0, 100, 40, 20, 10]).values == pytest.approx(
        (1 - 2 * 40 / 180, 2 - 3 * (100 / 180) * 20 / 40, 3 - 4 * (100 / 180) * 10 / 20)
    )
    assert closed_form_discounts([0, 100, 40, 20, 10]).fallback == ""
    out_of_range = closed_form_discounts([0, 100, 10, 40, 10])
    assert out_of_range.values == (0.5, 1.0, 1.5)
    assert "discount of count 2" in out_of_range.fallback


def test_the_file_depends_only_on_the_text(tmp_path: Path) -> None:
    sentences = lines_of(DATA / "licence.txt")
    for name, at_once in (("one.arpa", 10**6), ("two.arpa", 10)):
        model = estimate(iter(sentences), 3, scratch=tmp_path, tokens_at_once=at_once).model
        write_arpa(model, tmp_path / name)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["one.arpa", "two.arpa"]
    assert (tmp_path / "one.arpa").read_bytes() == (tmp_path / "two.arpa").read_bytes()
    rows = (tmp_path / "one.arpa").read_text().split("\\2-grams:\n")[1].split("\n\n")[0].splitlines()
    pairs = [tuple(row.split("\t")[1].split()) for row in rows]
    plain = [pair for pair in pairs if "<" not in pair[0] + pair[1]]
    assert plain == sorted(plain)


def test_refuses_sentences_too_short_for_the_order() -> None:
    with pytest.raises(UserError, match="no sentence is long enough for 4-grams") as refusal:
        estimate(["go", "stop"], 4)
    assert "lm.order=3" in refusal.value.todo
    assert estimate(["go", "stop"], 3).model.counts == [5, 4, 2]


def test_the_worked_example(tmp_path: Path) -> None:
    sentences = ["a b", "c b"]
    tokens = tokenise(sentences, tmp_path)
    unigrams, bigrams = count_ngrams(tokens, 2, tmp_path)
    counts = dict(zip(tokens.vocabulary, unigrams.adjusted.tolist()))
    assert counts == {"<s>": 0, "a": 1, "b": 2, "c": 1, "</s>": 1, "<unk>": 0}
    pairs = [tuple(tokens.vocabulary[word] for word in pair) for pair in zip(bigrams.first, bigrams.last)]
    expected = {("<s>", "a"): 1, ("<s>", "c"): 1, ("a", "b"): 1, ("c", "b"): 1, ("b", "</s>"): 2}
    assert dict(zip(pairs, bigrams.adjusted.tolist())) == expected
    found = {words: 10 ** entry[0] for words, entry in by_words(estimate(sentences, 2).model).items()}
    assert [found["b",], found["a", "b"], found["b", "</s>"]] == pytest.approx([0.3, 0.65, 0.6])

"""Perplexity against sums computed by hand."""

import sys
from pathlib import Path

import pytest

from asrkit.errors import UserError
from asrkit.lm.arpa import read_arpa, write_arpa
from asrkit.lm.kneser_ney import estimate
from asrkit.lm.perplexity import perplexity


def test_unigram_model_without_kenlm(tmp_path: Path) -> None:
    # The probabilities of test_unigrams_of_two_words_worked_by_hand: a 0.325, <unk> 0.125, </s> 0.325.
    write_arpa(estimate(["a a", "b"], 1).model, tmp_path / "lm.arpa")
    found = perplexity(tmp_path / "lm.arpa", ["a x", "a"])
    assert (found.words, found.oov) == (3, 1)
    assert found.perplexity == pytest.approx((0.325**4 * 0.125) ** (-1 / 5), rel=1e-5)
    assert found.perplexity_known == pytest.approx(1 / 0.325, rel=1e-5)


def test_bigram_model(tmp_path: Path) -> None:
    pytest.importorskip("kenlm", reason="kenlm isn't installed: it queries models of order 2 and up")
    write_arpa(estimate(["a b", "a c", "b"], 2).model, tmp_path / "lm.arpa")
    model = read_arpa(tmp_path / "lm.arpa")
    one, two = (
        {
            tuple(model.vocabulary[word] for word in row): 10**np_value
            for row, np_value in zip(table.words, table.log_probability)
        }
        for table in model.tables
    )
    backoff = dict(zip(model.vocabulary, 10 ** model.tables[0].log_backoff))
    # <s> a b </s> is in the model; <s> c backs off, c </s> is in it; a x backs off, after x none is known.
    seen = two["<s>", "a"] * two["a", "b"] * two["b", "</s>"]
    other = backoff["<s>"] * one[("c",)] * two["c", "</s>"]
    unknown = two["<s>", "a"] * backoff["a"] * one[("<unk>",)] * one[("</s>",)]
    found = perplexity(tmp_path / "lm.arpa", ["a b", "c", "a x"])
    assert (found.words, found.oov) == (5, 1)
    assert found.perplexity == pytest.approx((seen * other * unknown) ** (-1 / 8), rel=1e-4)


def test_missing_kenlm_is_an_error_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_arpa(estimate(["a b"], 2).model, tmp_path / "lm.arpa")
    monkeypatch.setitem(sys.modules, "kenlm", None)
    with pytest.raises(UserError, match="kenlm isn't installed") as refusal:
        perplexity(tmp_path / "lm.arpa", ["a"])
    assert "pip install kenlm" in refusal.value.todo


def test_refuses_an_empty_text(tmp_path: Path) -> None:
    write_arpa(estimate(["a b"], 1).model, tmp_path / "lm.arpa")
    with pytest.raises(UserError, match="empty text"):
        perplexity(tmp_path / "lm.arpa", [])

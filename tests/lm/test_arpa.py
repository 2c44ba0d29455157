"""ARPA files: round trips, and errors with line numbers."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from asrkit.errors import UserError
from asrkit.lm.arpa import ngram_counts, read_arpa, write_arpa
from asrkit.lm.kneser_ney import estimate

GOOD = """made by hand

\\data\\
ngram 1=4
ngram 2=2

\\1-grams:
-1.0\t<unk>
-99\t<s>\t-0.30
-0.5\t</s>
-0.4\ta\t0.10

\\2-grams:
-0.2\t<s> a
-0.3\ta </s>

\\end\\
"""


@pytest.mark.parametrize("name", ["model.arpa", "model.arpa.gz"])
def test_writing_and_reading_round_trip(name: str, tmp_path: Path) -> None:
    model = estimate(["the cat sat", "the dog sat down", "é"], 3).model
    write_arpa(model, tmp_path / "model.arpa")
    (tmp_path / "model.arpa.gz").write_bytes(gzip.compress((tmp_path / "model.arpa").read_bytes()))
    again = read_arpa(tmp_path / name)
    assert again.vocabulary == model.vocabulary
    assert ngram_counts(tmp_path / name) == model.counts == again.counts
    for found, expected in zip(again.tables, model.tables):
        np.testing.assert_array_equal(found.words, expected.words)
        np.testing.assert_allclose(found.log_probability, expected.log_probability, atol=1e-7)
        np.testing.assert_allclose(found.log_backoff, expected.log_backoff, atol=1e-7)


def test_back_offs_without_effect_may_be_missing(tmp_path: Path) -> None:
    (tmp_path / "good.arpa").write_text(GOOD)
    model = read_arpa(tmp_path / "good.arpa")
    assert model.vocabulary == ["<unk>", "<s>", "</s>", "a"]
    assert model.tables[0].log_backoff.tolist() == [0.0, -0.3, 0.0, 0.1]
    assert model.tables[1].words.tolist() == [[1, 3], [3, 2]]


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("\\data\\\n", "", 16, "not an ARPA file"),
        ("ngram 2=2", "ngram 3=2", 5, "ngram 3=2"),
        ("ngram 2=2", "ngram 2=many", 5, "ngram 2=many"),
        ("ngram 2=2", "ngram 2=3", 13, "2 2-grams"),
        ("ngram 1=4", "ngram 1=3", 7, "4 1-grams"),
        ("ngram 1=4\nngram 2=2\n", "", 5, "found '\\\\1-grams:'"),
        ("\\1-grams:", "\\unigrams:", 7, "unigrams"),
        ("\ta\t0.10", "\ta", 11, "no back-off"),
        ("\ta\t0.10", "\t</s>\t0.10", 11, "</s> a second time"),
        ("-0.3\ta </s>", "-0.3\t<s> a", 15, "a second time"),
        ("-0.3\ta </s>", "-0.3\tb </s>", 15, "b isn't among the unigrams"),
        ("-0.3\ta </s>", "-0.3\ta", 15, "2 fields"),
        ("-0.3\ta </s>", "-0.3\ta </s>\t-0.1", 15, "4 fields"),
        ("-0.3\ta </s>", "x\ta </s>", 15, "log10 probability x"),
        ("-0.3\ta </s>", "0.3\ta </s>", 15, "log10 probability 0.3"),
        ("-0.3\ta </s>", "nan\ta </s>", 15, "log10 probability nan"),
        ("-0.30\n", "-inf\n", 9, "log10 back-off -inf"),
        ("\n\\end\\\n", "", 15, "the end of the file"),
    ],
)
def test_refuses_a_malformed_file(old: str, new: str, line: int, reason: str, tmp_path: Path) -> None:
    assert old in GOOD
    (tmp_path / "bad.arpa").write_text(GOOD.replace(old, new, 1))
    with pytest.raises(UserError) as refusal:
        read_arpa(tmp_path / "bad.arpa")
    assert reason in refusal.value.found
    assert f"line {line}:" in refusal.value.found
    assert refusal.value.where.endswith(f"bad.arpa, line {line}")


def test_refuses_an_ngram_without_its_context(tmp_path: Path) -> None:
    text = GOOD.replace("ngram 2=2\n", "ngram 2=2\nngram 3=1\n").replace("-0.2\t<s> a\n", "-0.2\t<s> a\t0\n")
    (tmp_path / "bad.arpa").write_text(text.replace("\\end\\", "\\3-grams:\n-0.1\ta a </s>\n\n\\end\\"))
    with pytest.raises(UserError, match="line 19: an n-gram without its context"):
        read_arpa(tmp_path / "bad.arpa")


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"\\data\\\n\xff\xfe\n", "bytes.arpa", "line 2: can't read it: 'utf-8' codec"),
        (gzip.compress(GOOD.encode(), mtime=0)[:60], "cut.arpa.gz", "can't read it: Compressed file ended"),
        (b"", "empty.arpa", "not an ARPA file"),
    ],
)
def test_refuses_bytes_that_are_not_text(content: bytes, name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        read_arpa(tmp_path / name)


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_arpa(tmp_path / "none.arpa")

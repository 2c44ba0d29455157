"""A user's ARPA file: kenlm refused what asrkit read, and claims of the file were believed."""

import gzip
import re
import resource
from pathlib import Path
from typing import Any, Callable, List

import pytest

pytest.importorskip("kenlm", reason="kenlm isn't installed: it queries models of order 2 and up")

from asrkit.errors import UserError
from asrkit.lm.arpa import ngram_counts, read_arpa, write_arpa
from asrkit.lm.build import copy_given_model
from asrkit.lm.kenlm import BINARY, load_kenlm, seal_binary
from asrkit.lm.kneser_ney import estimate
from asrkit.lm.perplexity import perplexity

GOOD = """\\data\\
ngram 1=5
ngram 2=3
ngram 3=1

\\1-grams:
-1.0\t<unk>
-99\t<s>\t-0.3
-0.5\t</s>
-0.4\ta\t-0.25
-0.75\tb\t0.125

\\2-grams:
-0.2\t<s> a\t-0.1
-0.3\ta b\t-0.2
-0.3\tb </s>

\\3-grams:
-0.05\t<s> a b

\\end\\
"""


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: text.replace("\t", " "),
        lambda text: text.replace("\t", "   \t "),
        lambda text: re.sub(r"(?m)^(?=-\d)", "  ", text),
        lambda text: "\n\niARPA\n" + text,
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", " \n\n"),
        lambda text: text.replace("ngram 1=5", "ngram  1 = 5"),
        lambda text: text.replace("-0.05", "-5e-2").replace("-0.3\n", "-.3\n").replace("0.125", "+1.25E-1"),
        lambda text: text.replace(" a", "\u00a0a"),
        lambda text: text + "made by hand\n",
    ],
)
@pytest.mark.parametrize("name", ["mine.arpa", "mine.arpa.gz"])
def test_kenlm_reads_what_asrkit_reads(tmp_path: Path, change: Callable[[str], str], name: str) -> None:
    content = change(GOOD).encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert copy_given_model(tmp_path / name, tmp_path / "lm.arpa") == 3
    assert read_arpa(tmp_path / "lm.arpa").counts == read_arpa(tmp_path / name).counts == [5, 3, 1]
    # <s> a b by the trigram, </s> by its bigram after the back-off of a b; then all from unigrams
    model = load_kenlm(tmp_path / "lm.arpa")
    assert model.score("a b") == pytest.approx(-0.2 - 0.05 - 0.2 - 0.3)
    assert model.score("b x") == pytest.approx(-0.3 - 0.75 + 0.125 - 1.0 - 0.5)


def test_words_are_normalised_unless_the_file_has_the_normalised_word_too(tmp_path: Path) -> None:
    upper = GOOD.replace("a b", "A b").replace("\ta\t", "\tA\t").replace(" a", " A")
    (tmp_path / "mine.arpa").write_text(upper)
    copy_given_model(tmp_path / "mine.arpa", tmp_path / "lm.arpa", normalise=str.lower)
    (tmp_path / "good.arpa").write_text(GOOD)
    copy_given_model(tmp_path / "good.arpa", tmp_path / "same.arpa")
    assert (tmp_path / "lm.arpa").read_text() == (tmp_path / "same.arpa").read_text()
    (tmp_path / "mine.arpa").write_text(GOOD.replace("<unk>", "B"))
    copy_given_model(tmp_path / "mine.arpa", tmp_path / "lm.arpa", normalise=str.lower)
    assert read_arpa(tmp_path / "lm.arpa").vocabulary == ["B", "<s>", "</s>", "a", "b"]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("-0.2\t<s> a\t-0.1\n", "-0.2\t<s> b\t-0.1\n", "context of every 3-gram"),
        ("-99\t<s>\t-0.3\n", "-99\tx\t-0.3\n", "a 2-gram|isn't among the unigrams|no <s>"),
        ("-0.5\t</s>\n", "-0.5\tx\n", "no </s>|isn't among|no <s> or no </s>"),
        ("ngram 3=1\n", "ngram 3=1000000000000\n", "ngram 3=1000000000000"),
        ("ngram 3=1\n", f"ngram 3={'9' * 5000}\n", "ngram 3=99999"),
        ("ngram 3=1\n", "ngram 3=\u0661\n", "ngram 3="),
        ("ngram 3=1\n", "".join(f"ngram {order}=1\n" for order in range(3, 21)), "ngram 7=1"),
        ("ngram 1=5\n", "ngram 1=0\n", "1-grams"),
        ("-0.4\ta", "nan\ta", "log10 probability nan"),
        ("-0.4\ta", "-inf\ta", "log10 probability -inf"),
        ("-0.4\ta", "-1e30\ta", "log10 probability -1e30"),
        ("-0.4\ta", "1e-9\ta", "log10 probability 1e-9"),
        ("-0.25", "inf", "log10 back-off inf"),
        ("-0.25", "1e300", "log10 back-off 1e300"),
        ("a b\t-0.2", "a \0b\t-0.2", "NUL"),
        ("\\end\\", "\\4-grams:", "4-grams"),
        ("\\data\\", "mmap lm http://kheafield.com/code format version 5", "not an ARPA file"),
    ],
)
def test_what_neither_reads_is_refused_in_the_given_file(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    assert old in GOOD
    (tmp_path / "mine.arpa").write_text(GOOD.replace(old, new, 1))
    with pytest.raises(UserError) as refusal:
        copy_given_model(tmp_path / "mine.arpa", tmp_path / "lm.arpa")
    assert re.search(reason, refusal.value.found)
    assert "mine.arpa" in refusal.value.where
    assert "--stage lm" not in refusal.value.todo


def test_logarithms_too_small_for_a_perplexity_are_no_overflow(tmp_path: Path) -> None:
    (tmp_path / "lm.arpa").write_text(re.sub(r"(?m)^-\S+", "-1000", GOOD))
    with pytest.raises(UserError, match="probability"):
        perplexity(tmp_path / "lm.arpa", ["a b"])


@pytest.fixture
def little_memory() -> Any:
    """150 MB more than now: a bomb that is unpacked as a whole takes more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 150_000_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def bomb(file: Path, *parts: bytes) -> Path:
    """A gzipped file of 250 MB, of the last part again and again."""
    with gzip.open(file, "wb", compresslevel=1) as stream:
        for part in parts[:-1]:
            stream.write(part)
        for _ in range(250):
            stream.write(parts[-1] * (1_000_000 // len(parts[-1])))
    return file


def test_a_line_without_end_is_not_read_to_its_end(tmp_path: Path, little_memory: None) -> None:
    uses: List[Callable[[Path], Any]] = [
        ngram_counts,
        read_arpa,
        lambda file: copy_given_model(file, tmp_path / "lm.arpa"),
    ]
    line = bomb(tmp_path / "line.arpa.gz", b"\\data\\\n", b"x")
    for use in uses:
        with pytest.raises(UserError, match=r"a line of more than .* bytes"):
            use(line)


@pytest.mark.parametrize("claimed", [3, 40_000_000])
def test_more_ngrams_than_claimed_or_than_there_is_room_for_are_not_read(
    tmp_path: Path, little_memory: None, claimed: int
) -> None:
    head, middle, _ = GOOD.replace("ngram 2=3", f"ngram 2={claimed}").partition("-0.2\t<s> a")
    file = bomb(tmp_path / "many.arpa.gz", head.encode(), (middle + "\t-0.1\n").encode())
    for use in (read_arpa, lambda file: copy_given_model(file, tmp_path / "lm.arpa")):
        with pytest.raises(UserError, match="4 2-grams or more" if claimed == 3 else "ngram 2=40000000"):
            use(file)


def test_a_binary_form_is_taken_if_it_was_made_of_the_arpa_file_and_is_unchanged(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    arpa, binary = tmp_path / "lm.arpa", tmp_path / f"lm{BINARY}"
    write_arpa(estimate(["a b", "b"], 2).model, arpa)
    content = b"mmap lm http://kheafield.com/code format version 5\n" + bytes(1000)
    binary.write_bytes(content)
    seal_binary(binary, arpa)
    sealed = binary.read_bytes()
    with pytest.raises(UserError, match="kenlm can't read"):
        load_kenlm(arpa)  # kenlm was asked: this is no model
    flipped = bytearray(sealed)
    flipped[500] ^= 1
    for damaged in (content, bytes(flipped), sealed[:-1], sealed[:700], sealed + b"\n", b"", b"\n"):
        binary.write_bytes(damaged)
        assert load_kenlm(arpa).order == 2
        assert "is damaged, or wasn't made from lm.arpa" in capsys.readouterr().out
    binary.write_bytes(sealed)
    write_arpa(estimate(["a b", "b a a"], 3).model, arpa)
    assert load_kenlm(arpa).order == 3
    binary.unlink()
    arpa.write_bytes(content)  # kenlm would take it for a binary form, whatever its name
    with pytest.raises(UserError, match="it is a binary file"):
        load_kenlm(arpa)
    arpa.unlink()
    with pytest.raises(UserError, match="No such file"):
        load_kenlm(arpa)

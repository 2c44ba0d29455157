"""An ARPA file in .xz was refused: its header was compared with the size of the compressed file."""

import gzip
import itertools
import lzma
from pathlib import Path

import pytest

from asrkit.errors import UserError
from asrkit.lm import arpa
from asrkit.lm.kneser_ney import estimate
from asrkit.text.lines import OPEN

COMPRESS = {".gz": gzip.compress, ".xz": lzma.compress}
DIGITS = [" ".join(digits) for digits in itertools.product("0123", repeat=5)]  # compresses well


@pytest.mark.parametrize("suffix", OPEN)
def test_a_compressed_model_is_read_as_the_plain_one(tmp_path: Path, suffix: str) -> None:
    plain, packed = tmp_path / "lm.arpa", tmp_path / f"lm.arpa{suffix}"
    arpa.write_arpa(estimate(DIGITS, 5).model, plain)
    packed.write_bytes(COMPRESS[suffix](plain.read_bytes()))
    assert arpa.ngram_counts(packed) == arpa.ngram_counts(plain)
    assert arpa.read_vocabulary(packed) == arpa.read_vocabulary(plain)
    assert arpa.read_arpa(packed).counts == arpa.read_arpa(plain).counts
    assert arpa.copy_arpa(packed, tmp_path / "copy.arpa") == 5
    assert (tmp_path / "copy.arpa").read_bytes() == plain.read_bytes()


@pytest.mark.parametrize("suffix", OPEN)
def test_a_compressed_header_is_still_compared_with_the_size(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"lm.arpa{suffix}"
    file.write_bytes(COMPRESS[suffix](b"\\data\\\nngram 1=1000000\n\n\\1-grams:\n"))
    with pytest.raises(UserError) as refusal:
        arpa.ngram_counts(file)
    assert "fit the file's size" in refusal.value.expected

"""For a table in UTF-16, as spreadsheets write it, the error advised to convert from Latin-1, to garbage."""

import codecs
from pathlib import Path

import pytest

from asrkit.corpus.transcripts import read_table
from asrkit.errors import UserError


@pytest.mark.parametrize(
    ("content", "found", "encoding"),
    [
        (codecs.BOM_UTF16_LE + "path\ttext\n".encode("utf-16-le"), "UTF-16", "UTF-16"),
        (codecs.BOM_UTF16_BE + "path\ttext\n".encode("utf-16-be"), "UTF-16", "UTF-16"),
        ("path\ttext\na\té\n".encode("latin1"), "line 2 isn't UTF-8: byte 0xe9", "latin1"),
    ],
)
def test_the_advice_is_for_the_encoding(tmp_path: Path, content: bytes, found: str, encoding: str) -> None:
    (tmp_path / "all.tsv").write_bytes(content)
    with pytest.raises(UserError) as caught:
        list(read_table(tmp_path / "all.tsv", ["path"]))
    assert str(caught.value).startswith(found)
    assert f"iconv -f {encoding} -t UTF-8 IN > OUT" in caught.value.todo

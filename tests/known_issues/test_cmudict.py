"""A lexicon as CMUdict writes it: READ(2) is another pronunciation of READ, and there are comments."""

from pathlib import Path

import pytest

from asrkit.config import CorpusConfig
from asrkit.errors import UserError
from asrkit.text.lexicon import read_lexicon

ANY = CorpusConfig(module="any")
CMUDICT = """\
;;; # CMUdict  --  Major Version: 0.07
#
# a comment, as in cmudict.dict
#comment without a blank
## another
READ  R EH D
READ(1)  R IY D # past, present
READ(2)  R EH D
'BOUT  B AW T
(1)  W AH N
PLAN(2)  P L AE N
#METOO  R IY D
(LEFT-PAREN  L EH
"""


def test_comments_and_other_pronunciations(tmp_path: Path) -> None:
    (tmp_path / "cmudict").write_text(CMUDICT)
    assert [(entry.word, " ".join(entry.units)) for entry in read_lexicon(tmp_path / "cmudict", ANY)] == [
        ("READ", "R EH D"),
        ("READ", "R IY D"),
        ("'BOUT", "B AW T"),
        ("(1)", "W AH N"),
        ("PLAN(2)", "P L AE N"),  # a word, for there is no PLAN
        ("#METOO", "R IY D"),
        ("(LEFT-PAREN", "L EH"),
    ]


@pytest.mark.parametrize(
    "text", ["READ 0.7 R EH D\nREAD(2) 0.3 R IY D\n", "read(2) 0.3 R IY D\nread 0.7 R EH D # x\n"]
)
def test_probabilities_and_any_order(tmp_path: Path, text: str) -> None:
    (tmp_path / "cmudict").write_text(text)
    found = read_lexicon(tmp_path / "cmudict", CorpusConfig(module="any", case="upper"))
    assert sorted((entry.probability, entry.word) for entry in found) == [(0.3, "READ"), (0.7, "READ")]


@pytest.mark.parametrize("text", [";;; nothing\n", "# nothing\n", "#nothing else\n"])
def test_comments_alone_are_an_empty_lexicon(tmp_path: Path, text: str) -> None:
    (tmp_path / "cmudict").write_text(text)
    with pytest.raises(UserError, match="the lexicon is empty"):
        read_lexicon(tmp_path / "cmudict", ANY)

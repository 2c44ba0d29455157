"""The silence probabilities in Kaldi's lexiconp_silprob.txt were read as phones."""

from pathlib import Path

import pytest

from asrkit.config import CorpusConfig
from asrkit.errors import UserError
from asrkit.text.lexicon import read_lexicon


def test_a_lexicon_with_silence_probabilities_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "lexiconp_silprob.txt"
    file.write_text("NO 1.0 0.50 1.02 0.98 N OW\nTO 1.0 1 1 1 T UW\n")
    with pytest.raises(UserError, match=r"as in Kaldi's lexiconp_silprob\.txt") as caught:
        read_lexicon(file, CorpusConfig(module="m"))
    assert "lexiconp.txt" in caught.value.todo


@pytest.mark.parametrize("text", ["ONE 1.0 1 1 1 1\nTWO 1.0 2 2 2 2\n", "A 0.5 1.5 2.5\n", "A 1.0 A B C D\n"])
def test_units_named_by_numbers_are_accepted(tmp_path: Path, text: str) -> None:
    (tmp_path / "lexicon.txt").write_text(text)
    assert len(read_lexicon(tmp_path / "lexicon.txt")) == text.count("\n")

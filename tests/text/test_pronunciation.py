import sys
from pathlib import Path
from typing import Any, Callable, List, Sequence, Set, Tuple

import pytest

from asrkit.config import UnitsConfig
from asrkit.errors import UserError
from asrkit.text import pronunciation
from asrkit.text.lexicon import Pronunciation
from asrkit.text.units import build_units

# As in CMUdict: vowels with stress, two pronunciations of A
LEXICON = "A AH0\nA EY1\nCAT K AE1 T\nBAT B AE1 T\nBACK B AE1 K\nTACK T AE1 K\nCAB K AE1 B\nTAB T AE1 B\n"


def pronunciations(folder: Path, **settings: Any) -> Set[Tuple[str, str]]:
    (folder / "lexicon.txt").write_text(LEXICON + "THE DH AH0\nTHE DH AH1\n")
    config = UnitsConfig(kind="phones", **settings)
    units = build_units(config, ["A CAT"], folder / "units", folder / "lexicon.txt", extra_words=["TABBACK"])
    return {(entry.word, " ".join(entry.units)) for entry in units.lexicon}


def test_stress_is_merged_only_if_asked(tmp_path: Path) -> None:
    assert ("CAT", "K AE1 T") in pronunciations(tmp_path)
    merged = pronunciations(tmp_path, merge_stress=True)
    assert {("CAT", "K AE T"), ("A", "AH"), ("A", "EY"), ("THE", "DH AH")} <= merged
    assert len(merged) == 9  # the two THE are the same now


def test_words_that_the_lexicon_lacks_are_pronounced_by_their_letters(
    tmp_path: Path, corpora: Callable[[str], Path]
) -> None:
    pytest.importorskip("phonetisaurus", reason="the extra [lexicon] isn't installed")
    lines = (corpora("librispeech_small") / "cmudict-80k.txt").read_text().splitlines()
    (tmp_path / "lexicon.txt").write_text("".join(f"{line}\n" for line in lines[:3000]))
    config = UnitsConfig(kind="phones", merge_stress=True, grapheme_to_phoneme="phonetisaurus")
    text, extra = ["ABBEY", "BLANDA"], ["BATTED"]
    units = build_units(config, text, tmp_path, tmp_path / "lexicon.txt", extra)
    found = {entry.word: " ".join(entry.units) for entry in units.lexicon}
    assert found["BLANDA"] == "B L AE N D AH"
    assert found["BATTED"] in ("B AE T IH D", "B AE T AH D")


def test_marks_of_word_starts_are_set_on_the_first_phone_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    learned: List[str] = []

    def answer(verb: str, *arguments: str, words: Sequence[str] = ()) -> str:
        learned.extend(Path(arguments[2]).read_text().splitlines() if verb == "train" else [])
        return "".join(f"{word} K AE T\n" for word in words)

    monkeypatch.setattr(pronunciation, "_phonetisaurus", answer)
    found = pronunciation.pronounce(["CAT"], [Pronunciation("AT", ("\u2581AE", "T"))])
    assert learned == ["AT AE T"] and found == [Pronunciation("CAT", ("\u2581K", "AE", "T"))]


def test_without_phonetisaurus_there_are_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(UserError, match="can't pronounce words") as caught:
        pronunciations(tmp_path, grapheme_to_phoneme="phonetisaurus")
    assert "[lexicon]" in caught.value.todo

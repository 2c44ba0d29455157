"""Pronunciations of words that a lexicon lacks, and phones without stress."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, Iterable, List, Sequence, Tuple

from asrkit.corpus.text import WORD_START
from asrkit.errors import UserError
from asrkit.text.lexicon import Pronunciation

STRESSED = re.compile(rf"({WORD_START}?[A-Z]+)[012]")  # ARPAbet's vowels with stress, such as AH0


def merge_stress(lexicon: Iterable[Pronunciation]) -> List[Pronunciation]:
    """The lexicon with AH0, AH1 and AH2 as AH; of equal pronunciations the first, or more probable one."""
    entries: Dict[Tuple[str, Tuple[str, ...]], Pronunciation] = {}
    for entry in lexicon:
        units = tuple(STRESSED.sub(r"\1", unit) if STRESSED.fullmatch(unit) else unit for unit in entry.units)
        merged = entry._replace(units=units)
        entries[merged[:2]] = max(merged, entries.get(merged[:2], merged))
    return list(entries.values())


def pronounce(words: Sequence[str], lexicon: Iterable[Pronunciation]) -> List[Pronunciation]:
    """One pronunciation per word, as far as the letters of the lexicon's words allow.

    Joint n-grams of letters and phones (Novak, Minematsu and Hirose 2016) by Phonetisaurus. 41,000 words
    train it in a minute. Marks of word starts, on all words of a lexicon or none, are set again. Raises
    UserError if it isn't installed or fails.
    """
    lexicon = list(lexicon)
    mark = WORD_START if all(entry.units[0].startswith(WORD_START) for entry in lexicon) else ""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = (f"{entry.word} {' '.join(entry.units)[len(mark) :]}\n" for entry in lexicon)
        (folder / "lexicon").write_text("".join(rows), encoding="utf-8")
        _phonetisaurus("train", "--model", str(folder / "model"), str(folder / "lexicon"))
        lines = _phonetisaurus("predict", "--model", str(folder / "model"), words=words)
    predicted = (line.split() for line in lines.splitlines())
    return [Pronunciation(word, (mark + units[0], *units[1:])) for word, *units in predicted if units]


def _phonetisaurus(*arguments: str, words: Sequence[str] = ()) -> str:
    command = [sys.executable, "-m", "phonetisaurus", *arguments]
    lines = "".join(f"{word}\n" for word in words)
    process = subprocess.run(command, input=lines, capture_output=True, encoding="utf-8", check=False)
    if process.returncode:
        reason = (process.stderr.strip() or f"exit status {process.returncode}").splitlines()[-1]
        expected = "the package phonetisaurus (extra [lexicon]) and a lexicon of some thousand words"
        todo = "pip install -e '.[lexicon]'; or --set units.grapheme_to_phoneme=null"
        found = f"Phonetisaurus can't pronounce words: {reason}"
        raise UserError(found, expected, "units.grapheme_to_phoneme", todo)
    return process.stdout

"""Inverse text normalisation: numbers in digits, as people write them.

    nineteen ninety one              ->  1991
    four one two two six eight       ->  412268
    three thirty p m                 ->  3:30 p.m.
    five dollars and fifty cents     ->  $5.50
    one of them, two thirds          ->  the same: such numbers are written as words
    二零二二年三月五日                  ->  2022年3月5日

A new language is a module such as asrkit.text.english_digits, and an entry in write_digits.
"""

import difflib
import re
from typing import Callable, Dict, List, Sequence, Tuple

from asrkit.errors import UserError
from asrkit.text.chinese_digits import HAN, write_chinese
from asrkit.text.english_digits import write_english


def write_digits(text: str, language: str = "en") -> str:
    """Text with its numbers in digits; `language` is "en" or "zh".

    Letter case and all other words are kept. Raises UserError for another language or a missing package.
    """
    writers: Dict[str, Callable[[str], str]] = {"en": write_english, "zh": write_chinese}
    if language not in writers:
        raise UserError(
            f"no digits for language {language}",
            expected=f"one of {', '.join(writers)}",
            where="--digits",
            todo="for example --digits en",
        )
    return writers[language](text)


def match_words(spoken: Sequence[str], written: Sequence[str]) -> List[Tuple[int, int, int, int]]:
    """The spoken words of each written one: first, end, its place among those for them, their count.

    at six thirty a m  ->  at 6:30 a.m.      at: (0, 1, 0, 1), 6:30: (1, 5, 0, 2), a.m.: (1, 5, 1, 2)
    """
    found: List[Tuple[int, int, int, int]] = []
    matcher = difflib.SequenceMatcher(None, spoken, written, autojunk=False)
    for kind, first, end, first_written, end_written in matcher.get_opcodes():
        count = end_written - first_written
        if kind == "equal":
            found += [(word, word + 1, 0, 1) for word in range(first, end)]
        elif spoken:  # one that stands for none gets the time of its neighbour
            first, end = min(first, len(spoken) - 1), max(end, min(first, len(spoken) - 1) + 1)
            found += [(first, end, place, count) for place in range(count)]
    return found


def script_language(text: str) -> str:
    """ "zh" for a text with Chinese characters, else "en"."""
    return "zh" if re.search(HAN, text) else "en"

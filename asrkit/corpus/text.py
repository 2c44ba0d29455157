"""Text normalisation, the same for transcripts, lexicons, language models and their text.

In this order:
1. remove invisible characters, except joiners that change the spelling;
2. full-width letters and digits -> ASCII;
3. Unicode NFC;
4. corpus.case;
5. words are whitespace tokens;
6. corpus.words: split words into characters.
"""

import functools
import re
import unicodedata
from typing import List

from asrkit.config.recipe import CorpusConfig
from asrkit.config.symbols import RESERVED_WORDS
from asrkit.corpus.audio import AudioProblem

ANY_CORPUS = CorpusConfig(module="")  # its defaults change neither letter case nor words
# Full-width letters and digits, which NFC leaves as they are
RANGES = (("０", "９"), ("Ａ", "Ｚ"), ("ａ", "ｚ"))
FULL_WIDTH = {wide: wide - 0xFEE0 for first, last in RANGES for wide in range(ord(first), ord(last) + 1)}
WHITE_CONTROLS = "\t\n\v\f\r"
WORD_START = "\u2581"  # sentencepiece's mark of the beginning of a word
# Rejected, because the text isn't what it looks like: bidi controls, byte-order mark, replacement character,
# and the symbols of sentencepiece for a space and an unknown piece
DECEPTIVE = (
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\ufffd\u2585" + WORD_START
)
# Removed: Unicode's Default_Ignorable_Code_Point (soft hyphens, zero-width spaces, fillers, variation
# selectors, tags) except joiners and DECEPTIVE, and the Braille blank
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u200b\u2060-\u2065\u206a-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Scripts in which joiners (U+200C, U+200D, U+180E) change the word; elsewhere they only affect glyphs
_JOINED = "[\u0590-\u109f\u1780-\u1cff\ua800-\uabff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00011fff]"
JOINERS = "\u180e\u200c\u200d"
_JOINERS = re.compile(f"(?P<before>.?)(?P<joiner>[{JOINERS}])[{JOINERS}]*(?=(?P<after>.?))", re.DOTALL)
# Scripts without spaces, in which U+200B separates words
_UNSPACED = "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]"
_ZERO_WIDTH_SPACE = re.compile(f"(?<={_UNSPACED})\u200b+(?={_UNSPACED})")
_HAN = (
    "\u2e80-\u2fd5\u3005\u3007\u3021-\u3029\u3038-\u303b\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U000323af"
)
HAN_RUN = re.compile(f"[{_HAN}]+")
_MIXED = re.compile(f"[{_HAN}]|[^{_HAN}]+")


def check_text(text: str, config: CorpusConfig) -> str:
    """Normalise a transcript; AudioProblem for control and deceptive characters, reserved words, no words."""
    _refuse_characters(text)
    words = _fold(text, config).split()
    if not words:
        raise AudioProblem("empty text")
    for word in words:  # in any case, independently of corpus.case and corpus.words
        if word.lower() in RESERVED_WORDS:
            raise AudioProblem("reserved word in text", f"{word} in {text!r}")
    return _join(words, config)


def check_word(word: str, config: CorpusConfig) -> str:
    """Normalise a word of a lexicon or setting; raises AudioProblem if no normalised text can contain it."""
    _refuse_characters(word)
    normalised = normalise_word(word, config)
    if not normalised:
        raise AudioProblem("empty text", f"{word!a} is invisible")
    return normalised


def normalise_typed(text: str) -> str:
    """Normalise the characters of text that a user types for a model: steps 1 to 3 and 5 of this module."""
    return normalise_text(text, ANY_CORPUS)


def normalise_text(text: str, config: CorpusConfig) -> str:
    """Normalise a text by corpus.case and corpus.words; words are separated by single spaces."""
    return _join(_fold(text, config).split(), config)


def _join(words: List[str], config: CorpusConfig) -> str:
    if config.words == "characters":
        words = characters("".join(words))
    elif config.words == "mixed":
        words = [part for word in words for part in _MIXED.findall(word)]
    return " ".join(words)


def normalise_word(word: str, config: CorpusConfig) -> str:
    """Normalise a word without splitting it; reserved words are unchanged."""
    return word if word in RESERVED_WORDS else "".join(_fold(word, config).split())


def characters(word: str) -> List[str]:
    """Characters of a word, each with its combining marks and joiners."""
    found: List[str] = []
    for character in word:
        if found and (unicodedata.category(character)[0] == "M" or character in JOINERS):
            found[-1] += character
        else:
            found.append(character)
    return found


def invisible_characters(text: str) -> List[str]:
    """The characters that normalise_text removes, as U+XXXX."""
    if text.isascii():
        return []
    lost = set(text).difference(_without_invisible(text))
    return sorted(f"U+{ord(character):04X}" for character in lost)


def _refuse_characters(text: str) -> None:
    if not (text.isascii() and text.isprintable()):
        for character in text:
            if _is_unusable(character):
                raise AudioProblem("control characters in text", f"U+{ord(character):04X} in {text!r}")


def _fold(text: str, config: CorpusConfig) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFC", _without_invisible(text).translate(FULL_WIDTH))
    if config.case != "as-is":
        text = text.upper() if config.case == "upper" else text.lower()
        text = unicodedata.normalize("NFC", text)
    return text


def _without_invisible(text: str) -> str:
    return _INVISIBLE.sub("", _JOINERS.sub(_joiner, _ZERO_WIDTH_SPACE.sub(" ", text)))


def _joiner(match: "re.Match[str]") -> str:
    """Keep a joiner between letters of _JOINED and after a virama (RFC 5892, appendix A)."""
    before, after = match["before"], match["after"]
    joins = re.match(_JOINED, before) and (re.match(_JOINED, after) or unicodedata.combining(before) == 9)
    return before + (match["joiner"] if joins else "")


@functools.cache
def _is_unusable(character: str) -> bool:
    # Controls, surrogates, private and unassigned
    unusable = unicodedata.category(character) in ("Cc", "Cs", "Co", "Cn") and character not in WHITE_CONTROLS
    return unusable or character in DECEPTIVE

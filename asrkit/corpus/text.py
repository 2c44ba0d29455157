"""What a word is: the one rule for transcripts, lexicons, language models and their text.

In that order: white space separates words; invisible characters that belong to no word are removed;
full-width letters and digits become the usual ones; Unicode form NFC; letter case; words of characters.
"""

import functools
import re
import unicodedata
from typing import List

from asrkit.config.recipe import CorpusConfig
from asrkit.config.symbols import RESERVED_WORDS
from asrkit.corpus.audio import AudioProblem

# What NFC leaves apart of one character: letters and digits as wide as Chinese characters
RANGES = (("０", "９"), ("Ａ", "Ｚ"), ("ａ", "ｚ"))
FULL_WIDTH = {wide: wide - 0xFEE0 for first, last in RANGES for wide in range(ord(first), ord(last) + 1)}
WHITE_CONTROLS = "\t\n\v\f\r"
WORD_START = "\u2581"  # the mark sentencepiece puts before a word
# Text with these isn't what it looks like: reading direction, byte-order mark, mark of a failed decoding,
# and what sentencepiece puts for a blank and for an unknown piece
DECEPTIVE = (
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\ufffd\u2585" + WORD_START
)
# Hyphens and spaces without width, fillers, variation selectors, annotations, tags: Unicode's
# Default_Ignorable_Code_Point without joiners and DECEPTIVE, and the blank of Braille
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u200b\u2060-\u2065\u206a-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Scripts in which U+200C, U+200D and U+180E spell another word; between Latin letters they only join glyphs
_JOINED = "[\u0590-\u109f\u1780-\u1cff\ua800-\uabff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00011fff]"
JOINERS = "\u180e\u200c\u200d"
_JOINERS = re.compile(f"(?P<before>.?)(?P<joiner>[{JOINERS}])[{JOINERS}]*(?=(?P<after>.?))", re.DOTALL)
# Scripts without spaces, in which U+200B is one
_UNSPACED = "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]"
_ZERO_WIDTH_SPACE = re.compile(f"(?<={_UNSPACED})\u200b+(?={_UNSPACED})")
_HAN = (
    "\u2e80-\u2fd5\u3005\u3007\u3021-\u3029\u3038-\u303b\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U000323af"
)
HAN_RUN = re.compile(f"[{_HAN}]+")
_MIXED = re.compile(f"[{_HAN}]|[^{_HAN}]+")


def check_text(text: str, config: CorpusConfig) -> str:
    """The text normalised; AudioProblem for control and deceptive characters, reserved words, no word."""
    _refuse_characters(text)
    words = _fold(text, config).split()
    if not words:
        raise AudioProblem("empty text")
    for word in words:  # whatever the case, so that this doesn't depend on corpus.case or corpus.words
        if word.lower() in RESERVED_WORDS:
            raise AudioProblem("reserved word in text", f"{word} in {text!r}")
    return _join(words, config)


def check_word(word: str, config: CorpusConfig) -> str:
    """A word of a lexicon or of a setting normalised; raises AudioProblem for one that no text can have."""
    _refuse_characters(word)
    normalised = normalise_word(word, config)
    if not normalised:
        raise AudioProblem("empty text", f"{word!a} is invisible")
    return normalised


def normalise_text(text: str, config: CorpusConfig) -> str:
    """Words by the rule, with single spaces, as corpus.case and corpus.words say."""
    return _join(_fold(text, config).split(), config)


def _join(words: List[str], config: CorpusConfig) -> str:
    if config.words == "characters":
        words = characters("".join(words))
    elif config.words == "mixed":
        words = [part for word in words for part in _MIXED.findall(word)]
    return " ".join(words)


def normalise_word(word: str, config: CorpusConfig) -> str:
    """A word of a lexicon or language model by the same rule, kept whole; reserved words as they are."""
    return word if word in RESERVED_WORDS else "".join(_fold(word, config).split())


def characters(word: str) -> List[str]:
    """Characters of a word, each with the combining marks and joiners behind it."""
    found: List[str] = []
    for character in word:
        if found and (unicodedata.category(character)[0] == "M" or character in JOINERS):
            found[-1] += character
        else:
            found.append(character)
    return found


def invisible_characters(text: str) -> List[str]:
    """Those that normalise_text removes, as U+XXXX."""
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
    """A joiner stays between letters of such a script and behind a virama (as in RFC 5892, appendix A)."""
    before, after = match["before"], match["after"]
    joins = re.match(_JOINED, before) and (re.match(_JOINED, after) or unicodedata.combining(before) == 9)
    return before + (match["joiner"] if joins else "")


@functools.cache
def _is_unusable(character: str) -> bool:
    # Controls, surrogates, private and unassigned
    unusable = unicodedata.category(character) in ("Cc", "Cs", "Co", "Cn") and character not in WHITE_CONTROLS
    return unusable or character in DECEPTIVE

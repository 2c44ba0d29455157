"""What errors are counted in: words, characters or units, of both sides after the same steps."""

import dataclasses
import unicodedata
from typing import Callable, Dict, List, Optional, Sequence

from asrkit.corpus.transcripts import strip_punctuation
from asrkit.errors import UserError
from asrkit.score.transcripts import Transcript
from asrkit.text.units import WORD_START, Units

# The names of score.normalise.
STEPS: Dict[str, Callable[[str], str]] = {
    "nfkc": lambda text: unicodedata.normalize("NFKC", text),  # full-width letters, ligatures
    "lower": str.lower,
    "strip-punctuation": strip_punctuation,
}
Tokenise = Callable[[Sequence[str]], List[str]]


def normalise(words: Sequence[str], steps: Sequence[str]) -> List[str]:
    """Words after the named steps, in the order given; UserError for a step that isn't one."""
    text = " ".join(words)
    for step in steps:
        if step not in STEPS:
            raise UserError(
                f"unknown normalisation step {step!r}",
                expected=f"one of {', '.join(STEPS)}",
                where="score.normalise",
            )
        text = STEPS[step](text)
    return text.split()


def normalise_transcripts(transcripts: Sequence[Transcript], steps: Sequence[str]) -> List[Transcript]:
    """Each transcript with the steps applied to both sides; UserError when no reference word is left."""
    normalised = [
        dataclasses.replace(
            transcript,
            reference=normalise(transcript.reference, steps),
            hypothesis=normalise(transcript.hypothesis, steps),
            timed=_time_normalised(transcript, steps),
        )
        for transcript in transcripts
    ]
    if not any(transcript.reference for transcript in normalised):
        raise UserError(
            "no word of the reference is left to count",
            expected="words that score.normalise leaves",
            where=f"score.normalise: {', '.join(steps)}",
            todo="leave out the step that takes them away, then run.sh --stage score",
        )
    return normalised


def _time_normalised(transcript: Transcript, steps: Sequence[str]) -> Optional[List[List[float]]]:
    """A word that became several gives each its time and confidence; one that vanished takes them along."""
    if transcript.timed is None:
        return None
    return [
        timed
        for word, timed in zip(transcript.hypothesis, transcript.timed)
        for _ in normalise([word], steps)
    ]


def words(transcript: Sequence[str]) -> List[str]:
    """The words as they are."""
    return list(transcript)


def characters(transcript: Sequence[str]) -> List[str]:
    """The characters of the words, without the spaces between them."""
    return list("".join(transcript))


def unit_tokeniser(units: Units) -> Tokenise:
    """A function that gives the units (units/units.txt) of a transcript.

    A word of the lexicon gives those of its most probable pronunciation. Any other, which only greedy
    search or a test set's reference has, is cut into the longest written units that it holds; where
    units aren't written signs (phones), it is one token by itself.
    """
    written = any(symbol.startswith(WORD_START) for symbol in units.symbols)

    def tokenise(transcript: Sequence[str]) -> List[str]:
        tokens: List[str] = []
        for word in transcript:
            if not units.unknown_words(word):
                tokens += [units.symbols[index] for index in units.encode(word)]
            else:
                tokens += _longest_pieces(WORD_START + word, units) if written else [word]
        return tokens

    return tokenise


def _longest_pieces(text: str, units: Units) -> List[str]:
    """`text` cut from the left into the longest units; a character that begins none is a piece."""
    longest = max(map(len, units.symbols))
    pieces: List[str] = []
    while text:
        ends = range(min(longest, len(text)), 1, -1)
        end = next((end for end in ends if text[:end] in units.ids), 1)
        pieces.append(text[:end])
        text = text[end:]
    return pieces

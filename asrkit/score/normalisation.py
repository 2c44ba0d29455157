"""Text normalisation before scoring, and the tokens that errors are counted in."""

import dataclasses
import unicodedata
from typing import Callable, Dict, List, Optional, Sequence

from asrkit.corpus.transcripts import strip_punctuation
from asrkit.errors import UserError
from asrkit.score.transcripts import Transcript
from asrkit.text.digits import match_words, script_language, write_digits
from asrkit.text.units import WORD_START, Units

# Values of score.normalise
STEPS: Dict[str, Callable[[str], str]] = {
    "nfkc": lambda text: unicodedata.normalize("NFKC", text),  # full-width letters, ligatures
    "lower": str.lower,
    "strip-punctuation": strip_punctuation,
    "digits": lambda text: write_digits(text, script_language(text)),  # twenty three -> 23
}
Tokenise = Callable[[Sequence[str]], List[str]]


def normalise(words: Sequence[str], steps: Sequence[str]) -> List[str]:
    """Apply the named steps in the order given."""
    text = " ".join(words)
    for step in steps:
        text = STEPS[step](text)
    return text.split()


def normalise_transcripts(transcripts: Sequence[Transcript], steps: Sequence[str]) -> List[Transcript]:
    """Apply the steps to references and hypotheses; UserError if no reference word is left."""
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
            "no word of the reference is left after normalisation",
            "steps that keep the words",
            f"score.normalise: {', '.join(steps)}",
            "remove the step that deletes them, then run.sh --stage score",
        )
    return normalised


def _time_normalised(transcript: Transcript, steps: Sequence[str]) -> Optional[List[List[float]]]:
    """Times and confidences per normalised word: repeated if a word was split, dropped if it was deleted.

    Words that were written as others, such as twenty three as 23, share their time and the lowest confidence.
    """
    if transcript.timed is None:
        return None
    alone = [
        (part, timed)
        for word, timed in zip(transcript.hypothesis, transcript.timed)
        for part in normalise([word], steps)
    ]
    written = normalise(transcript.hypothesis, steps)
    found: List[List[float]] = []
    for first, end, place, count in match_words([part for part, _ in alone], written):
        of = [timed for _, timed in alone[first:end]]
        if len(of) == count == 1:
            found.append(of[0])
            continue
        each = (of[-1][0] + of[-1][1] - of[0][0]) / count
        found.append([of[0][0] + place * each, each, min(confidence for _, _, confidence in of)])
    return found


def characters(transcript: Sequence[str]) -> List[str]:
    """Characters of the words, without spaces."""
    return list("".join(transcript))


def unit_tokeniser(units: Units) -> Tokenise:
    """Return a function from words to modelling units (units/units.txt), for the unit error rate.

    A word of the lexicon becomes its most probable pronunciation. An out-of-vocabulary word (in a greedy
    hypothesis or a test reference) is segmented greedily into the longest units. With phones it stays a
    single token, unless it consists of units only: in greedy hypotheses, phones with word-start marks that
    form no word of the lexicon are joined.
    """

    def tokenise(transcript: Sequence[str]) -> List[str]:
        tokens: List[str] = []
        for word in transcript:
            if not units.unknown_words(word):
                tokens += [units.symbols[index] for index in units.encode(word)]
            else:
                pieces = _longest_pieces(WORD_START + word, units)
                tokens += pieces if units.can_spell or units.ids.keys() >= set(pieces) else [word]
        return tokens

    return tokenise


def _longest_pieces(text: str, units: Units) -> List[str]:
    """Segment `text` from the left into the longest units; a character that starts none is a piece.

    Such a character at the start of a word keeps the mark, unless the mark is a unit of its own.
    """
    longest = max(map(len, units.symbols))
    pieces: List[str] = []
    while text:
        ends = range(min(longest, len(text)), 0, -1)
        end = next((end for end in ends if text[:end] in units.ids), 2 if text[0] == WORD_START else 1)
        pieces.append(text[:end])
        text = text[end:]
    return pieces

"""What an error rate counts: words, characters, or the units of the acoustic model."""

from typing import Callable, List, Sequence

from asrkit.text.units import WORD_START, Units

Tokenise = Callable[[Sequence[str]], List[str]]


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

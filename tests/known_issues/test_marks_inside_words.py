"""Words of Common Voice were split at marks that belong to them, such as the middle dot of Catalan."""

import pytest

from asrkit.corpus.transcripts import strip_punctuation


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("El col·legi.", "El col·legi"),
        ("Ինչո՞ւ եկար։ Բարև՛, Հա՞", "Ինչու եկար Բարև Հա"),
        ("צה״ל, ג׳ירפה", "צה״ל ג׳ירפה"),
        ("O‘zbek tili", "O‘zbek tili"),
        ("‘so’ don’t “go”", "so don’t go"),
        ("λέξη· άλλη", "λέξη άλλη"),
        ("a - b, c-d", "a b c d"),
        ("qu\u0301'a", "qu\u0301'a"),  # a combining mark before the apostrophe
    ],
)
def test_marks_that_belong_to_words_stay(text: str, words: str) -> None:
    assert " ".join(strip_punctuation(text).split()) == words

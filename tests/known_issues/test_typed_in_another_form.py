"""align, speak and hotwords didn't find words typed with combining accents (NFD, as on macOS)."""

import unicodedata

import pytest
import torch

from asrkit.config.symbols import BLANK_SYMBOL
from asrkit.errors import UserError
from asrkit.recognise.forced_alignment import align_words
from asrkit.recognise.hotwords import make_hotwords
from asrkit.synthesis.speaking import Speaker
from asrkit.text.lexicon import Pronunciation
from asrkit.text.units import Units

UNITS = Units([BLANK_SYMBOL, "A", "B"], [Pronunciation("caf\u00e9", ("A",)), Pronunciation("A1", ("B",))])
TYPED = [unicodedata.normalize("NFD", "café Ａ１"), "ca\u00adfé\u200b  A1"]


@pytest.mark.parametrize("text", TYPED)
def test_words_are_found_in_every_form(text: str) -> None:
    log_probs = torch.tensor([[0, -9, -9], [-9, 0, -9], [0, -9, -9], [-9, -9, 0]], dtype=torch.float32)
    assert [word.word for word in align_words(log_probs, UNITS, text, 0.04)] == ["café", "A1"]
    (hotword,) = make_hotwords({text: 1.0}, UNITS)
    assert hotword.words == ("café", "A1")
    assert Speaker(None, UNITS, None).refuse_unknown(text) == "café A1"  # type: ignore[arg-type]


def test_other_words_are_still_unknown() -> None:
    with pytest.raises(UserError, match="cafe"):
        make_hotwords({"cafe": 1.0}, UNITS)

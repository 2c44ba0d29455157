"""Greedy decoding wrote optional silence as a word, one insertion per pause; 1best didn't."""

from typing import List, Optional

import torch

from asrkit.decode.methods import decode_greedily
from asrkit.decode.nbest import NBest
from asrkit.text.lexicon import Pronunciation
from asrkit.text.units import Units

LEXICON = [Pronunciation("<SIL>", ("SIL",)), Pronunciation("READ", ("R", "D")), Pronunciation("BY", ("B",))]
MARKED = [Pronunciation(entry.word, (f"\u2581{entry.units[0]}", *entry.units[1:])) for entry in LEXICON]


def greedy(symbols: List[str], lexicon: List[Pronunciation], silence: Optional[str]) -> NBest:
    units = Units(["<blk>", *symbols], lexicon).with_silence(silence)
    frames = torch.tensor([1, 1, 2, 0, 3, 1, 4, 1])
    return decode_greedily(units, torch.nn.functional.one_hot(frames, 5) * 20.0)


def test_optional_silence_is_no_word() -> None:
    for mark, lexicon in (("", LEXICON), ("\u2581", MARKED)):
        symbols = [f"{mark}SIL", f"{mark}R", "D", f"{mark}B"]
        assert greedy(symbols, lexicon, f"{mark}SIL").words == [["READ", "BY"]]


def test_a_word_of_the_transcripts_is_one() -> None:
    assert greedy(["SIL", "R", "D", "B"], LEXICON, None).words == [["<SIL>", "READ", "<SIL>", "BY", "<SIL>"]]

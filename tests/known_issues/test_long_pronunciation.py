"""A word of 100,000 letters had a table of nodes made that is as wide, for every other word too."""

import pytest

from asrkit.errors import UserError
from asrkit.graph.lexicon import LONGEST, make_lexicon_tree
from asrkit.text.lexicon import Pronunciation


@pytest.mark.parametrize("length", [LONGEST + 1, 100_000])
def test_a_pronunciation_of_too_many_units_is_refused(length: int) -> None:
    lexicon = [Pronunciation("a", ("x",)), Pronunciation("b" * length, ("x",) * length)]
    ids = {entry.word: index for index, entry in enumerate(lexicon, start=1)}
    with pytest.raises(UserError, match=f"^b+ has a pronunciation of {length:,} units"):
        make_lexicon_tree(lexicon, {"x": 1}, ids)
    assert make_lexicon_tree(lexicon[:1], {"x": 1}, ids).length.tolist() == [1]

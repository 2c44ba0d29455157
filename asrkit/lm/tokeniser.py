"""Words as the tokens of a neural language model: each word one token, or the units that spell it."""

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from asrkit.lm.tokens import END_ID, UNKNOWN_ID

Sentences = Sequence[Sequence[str]]
NO_WORD = -1  # the word of tokens that belong to none


class Row(NamedTuple):
    """Token ids of a sentence, and the number of the word that each belongs to, NO_WORD for ends."""

    ids: List[int]
    words: List[int]


class Tokeniser:
    """Token ids of words; a word without spelling is <unk>."""

    def __init__(
        self, vocabulary: Sequence[str], spellings: Optional[Mapping[str, Sequence[str]]] = None
    ) -> None:
        """`vocabulary`: tokens, <unk>, <s> and </s> first; `spellings`: tokens by word, None: the word."""
        self.ids: Dict[str, int] = {token: index for index, token in enumerate(vocabulary)}
        self.spellings = spellings

    @property
    def about(self) -> Dict[str, Any]:
        """The arguments of Tokeniser, for the metadata of a file."""
        spelled = {} if self.spellings is None else {"spellings": self.spellings}
        return {"vocabulary": list(self.ids), **spelled}

    def spell(self, word: str) -> List[int]:
        """Token ids of a word, at least one."""
        tokens = [word] if self.spellings is None else self.spellings.get(word, [])
        return [self.ids.get(token, UNKNOWN_ID) for token in tokens] or [UNKNOWN_ID]

    def row(self, words: Sequence[str]) -> Row:
        """A sentence's tokens and its end, which counts as a word."""
        spelled = [*map(self.spell, words), [END_ID]]
        places = [place for place, ids in enumerate(spelled) for _ in ids]
        return Row([token for ids in spelled for token in ids], places)

"""Training text as word ids, without what a language model can't represent."""

import array
import collections
import dataclasses
from pathlib import Path
from typing import DefaultDict, Iterable, Iterator, List

import numpy as np

from asrkit.config.symbols import END, RESERVED_WORDS, START, UNKNOWN
from asrkit.errors import UserError

SPECIAL_WORDS = [UNKNOWN, START, END]  # the first ids of every model estimated here
UNKNOWN_ID, START_ID, END_ID = range(3)

OF_MODEL = "the text of the language model"  # `where` of errors, unless the caller names another text
TOKENS_AT_ONCE = 1 << 22  # counted in memory at once, about 100 bytes each


@dataclasses.dataclass(frozen=True)
class Tokens:
    """Concatenated sentences, each followed by </s>; <s> is implied before each."""

    vocabulary: List[str]  # <unk>, <s>, </s>, then words in code point order
    ids: np.ndarray  # (tokens,) int32, in a file
    appearance: np.ndarray  # (words of the vocabulary,) int32, rank of the word's first appearance
    at_once: int  # tokens per part

    @property
    def parts(self) -> List[slice]:
        """The parts that are counted one by one."""
        starts = range(0, len(self.ids), self.at_once)
        return [slice(start, min(start + self.at_once, len(self.ids))) for start in starts]


def split_sentences(sentences: Iterable[str], where: str = OF_MODEL) -> Iterator[List[str]]:
    """The words of each sentence; a sentence without words is allowed.

    Raises UserError, with the line number, for a reserved word such as <s>, </s> or <unk> and for a NUL
    character; and for a text without any word.
    """
    line, empty = 0, True
    for line, sentence in enumerate(sentences, start=1):
        words = sentence.split()
        if not RESERVED_WORDS.isdisjoint(words) or "\0" in sentence:
            found = next((f"{word} as a word" for word in words if word in RESERVED_WORDS), "a NUL character")
            expected = "words only: the estimator adds sentence boundaries and unknown words"
            raise UserError(f"line {line}: {found}", expected, f"{where}, line {line}", "remove it")
        empty = empty and not words
        yield words
    if empty:
        found = f"no words in {line} lines" if line else "an empty text, 0 lines"
        todo = "check that the training transcripts (and lm.text, if set) contain text"
        raise UserError(found, "one sentence per line", where, todo)


def tokenise(sentences: Iterable[str], scratch: Path, at_once: int = TOKENS_AT_ONCE) -> Tokens:
    """Number the words of a text, in a file in the folder `scratch`.

    Raises UserError as split_sentences does, and for 2^31 tokens or more.
    """
    found: DefaultDict[str, int] = collections.defaultdict()
    found.default_factory = found.__len__  # a new word gets the next id
    for word in SPECIAL_WORDS:
        found[word]
    ids, written = array.array("i"), 0
    with open(scratch / "tokens", "wb") as stream:
        for words in split_sentences(sentences):
            ids.extend(map(found.__getitem__, words))
            ids.append(END_ID)
            if len(ids) >= at_once:
                written += len(ids)
                ids.tofile(stream)
                del ids[:]
        ids.tofile(stream)
    if written + len(ids) >= 1 << 31:
        todo = "use a part of the text, or --set lm.estimator=lmplz"
        raise UserError(f"{written + len(ids):,} words and sentence ends", "less than 2^31", OF_MODEL, todo)
    # From order of appearance to code point order, so that files are sorted
    special = len(SPECIAL_WORDS)
    vocabulary = SPECIAL_WORDS + sorted(list(found)[special:])
    appearance = np.array([found[word] for word in vocabulary], dtype=np.int32)
    renumbered = np.empty_like(appearance)
    renumbered[appearance] = np.arange(len(vocabulary))
    tokens = Tokens(vocabulary, np.memmap(scratch / "tokens", np.int32, "r+"), appearance, at_once)
    for part in tokens.parts:
        tokens.ids[part] = renumbered[tokens.ids[part]]
    return tokens

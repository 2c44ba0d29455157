"""Byte-pair encoding of words by sentencepiece."""

import io
import itertools
import math
from pathlib import Path
from typing import Callable, Dict, Iterable, List, Tuple

from asrkit.corpus.text import WORD_START
from asrkit.errors import UserError

Spelling = Callable[[str], Tuple[str, ...]]


def train_bpe(size: int, sentences: Iterable[str], setting: str) -> bytes:
    """A sentencepiece model of `size` pieces; UserError names `setting` if the text is too small for it."""
    import sentencepiece

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            vocab_size=size,
            model_type="bpe",
            character_coverage=1.0,
            bos_id=-1,
            eos_id=-1,
            normalization_rule_name="identity",  # others split some words, such as don´t
            max_sentence_length=1 << 30,  # bytes; longer ones are skipped
            num_threads=1,  # the same merges on every machine
            minloglevel=2,
        )
    except RuntimeError as error:
        reason = str(error).rpartition("] ")[2] or str(error)
        found = f"BPE with {size} pieces can't be trained on this text: {' '.join(reason.split())}"
        expected = "more pieces than characters, but few enough for the text"
        raise UserError(found, expected, setting, "set another one") from None
    return model.getvalue()


def bpe_spelling(model: bytes) -> Spelling:
    """Spell words with a sentencepiece model; each character that the model lacks is one piece.

    sentencepiece itself joins a sequence of such characters into one piece, which may be a whole word.
    """
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    unknown = processor.unk_id()

    def spell(word: str) -> Tuple[str, ...]:
        pieces = processor.encode(word, out_type=str)
        split = ((piece,) if processor.piece_to_id(piece) != unknown else piece for piece in pieces)
        return tuple(itertools.chain.from_iterable(split))

    return spell


def read_pieces(file: Path) -> Spelling:
    """Spell words without sentencepiece, from the lines "piece<tab>score" of a BPE model.

    As in sentencepiece, the two neighbours whose joined piece has the highest score (the leftmost of equal
    ones) are joined, until no two can be. Raises UserError if the file isn't valid.
    """
    scores: Dict[str, float] = {}
    try:
        for line in file.read_text(encoding="utf-8").split("\n")[:-1]:
            piece, _, score = line.partition("\t")
            scores[piece] = float(score)
        if not all(map(math.isfinite, scores.values())):
            raise ValueError("a score isn't finite")
    except (OSError, ValueError) as error:
        found, todo = f"can't read {file}: {error}", "export the bundle again"
        raise UserError(found, 'lines "piece<tab>score"', str(file), todo) from None

    def spell(word: str) -> Tuple[str, ...]:
        parts: List[str] = [WORD_START, *word]
        while True:
            joined = [a + b for a, b in zip(parts, parts[1:])]
            places = [place for place, piece in enumerate(joined) if piece in scores]
            if not places:
                return tuple(parts)
            best = max(places, key=lambda place: (scores[joined[place]], -place))
            parts[best : best + 2] = [joined[best]]

    return spell

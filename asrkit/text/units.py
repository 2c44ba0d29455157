"""Units that the acoustic model predicts: BPE pieces, characters or phones."""

import contextlib
import io
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Set, Tuple

from asrkit.config import CorpusConfig, UnitsConfig
from asrkit.corpus.text import WORD_START, normalise_word
from asrkit.errors import UserError
from asrkit.storage.files import write_bytes, write_text
from asrkit.text.lexicon import Pronunciation, read_lexicon, write_lexicon

BLANK = "<blk>"
OOV = "oov.txt"  # of the words outside the vocabulary
ANY_CORPUS = CorpusConfig(module="")  # as-is

Spelling = Callable[[str], Tuple[str, ...]]


class Units:
    """The table of units, with the way from words to unit ids and back.

    `spell` gives the units of any word, known or not: for BPE and characters; phones have the lexicon alone,
    in which `unknown_word` stands for all other words.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        lexicon: Sequence[Pronunciation],
        spell: Optional[Spelling] = None,
        unknown_word: Optional[str] = None,
    ) -> None:
        self.symbols = list(symbols)
        self.unknown_word = unknown_word
        self._spell = spell
        self.ids: Dict[str, int] = {symbol: index for index, symbol in enumerate(self.symbols)}
        self.lexicon = list(lexicon)
        self._first: Dict[str, List[int]] = {}
        self._words: Dict[str, str] = {}
        for entry in sorted(self.lexicon, key=lambda entry: -entry.probability):  # of equal ones the first
            self._first.setdefault(entry.word, [self.ids[unit] for unit in entry.units])
            self._words.setdefault(" ".join(entry.units), entry.word)
        self._marked = any(symbol.startswith(WORD_START) for symbol in self.symbols)

    def __len__(self) -> int:
        return len(self.symbols)

    def unknown_words(self, text: str) -> List[str]:
        """Words of `text` that the lexicon lacks, these units can't spell and no unknown word stands for."""
        return [word for word in text.split() if not self._ids_of(word)]

    def encode(self, text: str) -> List[int]:
        """Unit ids of a transcript by each word's most probable pronunciation, of equal ones the first, or by
        its spelling where it has none, or as the unknown word.

        Nothing for a word of unknown_words.
        """
        return [unit for word in text.split() for unit in self._ids_of(word)]

    def _ids_of(self, word: str) -> List[int]:
        if word not in self._first and self._spell is not None:
            units = self._spell(word)
            return [self.ids[unit] for unit in units] if self.ids.keys() >= set(units) else []
        return self._first.get(word, self._first.get(self.unknown_word or "", []))

    def words(self, ids: Sequence[int]) -> List[str]:
        """Words of a unit sequence (blanks and repeats removed already); see word_spans."""
        return [word for word, _, _ in self.word_spans(ids)]

    def word_spans(self, ids: Sequence[int]) -> List[Tuple[str, int, int]]:
        """Words of a unit sequence, each with the positions of its first unit and after its last.

        Marked units (BPE, characters, phones of a lexicon that marks the first one) begin a word at each
        mark; what the lexicon doesn't know is spelled out. Unmarked phones are cut greedily into the
        longest pronunciations of the lexicon; a phone that begins none is kept as it is.
        """
        symbols = [self.symbols[index] for index in ids]
        return list(self._marked_spans(symbols) if self._marked else self._longest_spans(symbols))

    def _marked_spans(self, symbols: Sequence[str]) -> Iterator[Tuple[str, int, int]]:
        starts = [place for place, symbol in enumerate(symbols) if symbol.startswith(WORD_START) or not place]
        for start, end in zip(starts, [*starts[1:], len(symbols)]):
            units = symbols[start:end]
            spelled = self._words.get(" ".join(units), "".join(units))
            for word in spelled.replace(WORD_START, " ").split():
                yield word, start, end

    def _longest_spans(self, symbols: Sequence[str]) -> Iterator[Tuple[str, int, int]]:
        longest = max(len(entry.units) for entry in self.lexicon)
        start = 0
        while start < len(symbols):
            for end in range(min(start + longest, len(symbols)), start, -1):
                word = self._words.get(" ".join(symbols[start:end]))
                if word is not None:
                    break
            yield word if word is not None else symbols[start], start, end
            start = end

    def refuse_lost_words(self, where: str) -> None:
        """Raise UserError where units mark the beginning of words and don't give each of the lexicon back."""
        for entry in self.lexicon if self._marked else ():
            found = self.words([self.ids[unit] for unit in entry.units] * 2)  # another word may be before it
            if len(found) != 2 or (self._spell is not None and found[0] != entry.word):
                raise UserError(
                    f"the units {' '.join(entry.units)} of {entry.word} are read as {' '.join(found[:-1])}",
                    expected=f"{WORD_START} before the first unit of every word and before no other",
                    where=where,
                    todo=f"write {WORD_START}{entry.units[0]} for the first one, in a line of silence too",
                )


def build_units(
    config: UnitsConfig,
    sentences: Sequence[str],
    directory: Path,
    given_lexicon: Optional[Path] = None,
    further_words: Iterable[str] = (),
    corpus: CorpusConfig = ANY_CORPUS,
) -> Units:
    """Make units.txt, lexicon.txt, words.txt (and bpe.model, oov.txt) in `directory` from training sentences.

    The lexicon has those of `further_words` too that the training text's units spell; one of phones is
    `given_lexicon`, whole, its words as `corpus` has them. oov.txt has the unknown word, as in Kaldi. Raises
    UserError when a training word has no units, or these don't give the word back.
    """
    vocabulary = sorted({word for sentence in sentences for word in sentence.split()})
    if not vocabulary:
        raise UserError("no word in the training text", expected="transcripts", where=str(directory))
    for name in ("bpe.model", OOV):  # of an earlier setting: load_units would take it
        with contextlib.suppress(FileNotFoundError):
            (directory / name).unlink()
    unknown_word = normalise_word(config.unknown_word, corpus) if config.unknown_word is not None else None
    if config.kind == "phones":
        lexicon = _phone_lexicon(given_lexicon, vocabulary, unknown_word, corpus)
        trained = {unit for entry in lexicon for unit in entry.units}
    else:
        bpe = config.kind == "bpe"
        spell = _bpe_pieces(config.vocabulary_size, sentences, directory) if bpe else _characters
        lexicon = [Pronunciation(word, spell(word)) for word in vocabulary]
        trained = {unit for entry in lexicon for unit in entry.units}
        further = [Pronunciation(word, spell(word)) for word in sorted({*further_words} - {*vocabulary})]
        lexicon += [entry for entry in further if trained.issuperset(entry.units)]
    symbols = [BLANK, *sorted(trained)]
    write_text(directory / "units.txt", "".join(f"{s} {i}\n" for i, s in enumerate(symbols)))
    words = ["<eps>", *sorted({entry.word for entry in lexicon}), "<s>", "</s>"]
    write_text(directory / "words.txt", "".join(f"{w} {i}\n" for i, w in enumerate(words)))
    write_lexicon(directory / "lexicon.txt", lexicon)
    if unknown_word is not None:
        write_text(directory / OOV, f"{unknown_word}\n")
    units = load_units(directory)
    units.refuse_lost_words(str(given_lexicon or directory / "lexicon.txt"))
    return units


def load_units(directory: Path) -> Units:
    """Open what build_units wrote; raises UserError where its files are damaged or don't fit each other."""
    lexicon = read_lexicon(directory / "lexicon.txt")
    symbols = read_symbols(directory / "units.txt")
    absent = {unit for entry in lexicon for unit in entry.units} - set(symbols)
    if absent:
        raise UserError(
            f"the lexicon has {min(absent)}, which units.txt lacks",
            expected="all units of lexicon.txt",
            where=str(directory / "units.txt"),
            todo="run.sh --stage units",
        )
    spell: Optional[Spelling] = None
    if (directory / "bpe.model").is_file():
        spell = _bpe_spelling((directory / "bpe.model").read_bytes())
    elif all(entry.units == _characters(entry.word) for entry in lexicon):
        spell = _characters
    unknown = (directory / OOV).read_text(encoding="utf-8").strip() if (directory / OOV).exists() else None
    return Units(symbols, lexicon, spell, unknown)


def read_symbols(file: Path) -> List[str]:
    """Read a symbol table of "symbol id" lines whose ids count from 0."""
    symbols: List[str] = []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"can't read {file}: {error}",
            expected='a symbol table: lines "symbol id"',
            where=str(file),
            todo="run.sh --stage units",
        ) from None
    for number, line in enumerate(lines):
        symbol, _, index = line.rpartition(" ")
        if index != str(number):
            raise UserError(
                f"found {line!r}",
                expected=f'"symbol {number}"',
                where=f"{file}, line {number + 1}",
                todo="run.sh --stage units",
            )
        symbols.append(symbol)
    return symbols


def _phone_lexicon(
    file: Optional[Path], vocabulary: Sequence[str], unknown_word: Optional[str], corpus: CorpusConfig
) -> List[Pronunciation]:
    if file is None:
        raise UserError(
            "units.kind is phones, and units.lexicon is not set",
            expected="a lexicon file in the recipe's folder or the corpus's",
            where="units.lexicon",
            todo="set units.lexicon, or units.kind: bpe or characters",
        )
    lexicon = read_lexicon(file, corpus)
    known = {entry.word for entry in lexicon}
    if unknown_word is None:
        _refuse_missing(vocabulary, known, file)
    elif unknown_word not in known:
        raise UserError(
            f"the lexicon lacks {unknown_word}, which units.unknown_word names",
            expected=f"a line of it, such as: {unknown_word} SPN",
            where=str(file),
            todo="add it, or name a word that is there",
        )
    return lexicon


def _refuse_missing(vocabulary: Sequence[str], known: Set[str], file: Path) -> None:
    missing = [word for word in vocabulary if word not in known]
    if missing:
        raise UserError(
            f"{len(missing)} words of the training text are not in the lexicon: {' '.join(missing[:10])}",
            expected="a pronunciation for every training word",
            where=str(file),
            todo="add them, or let a word stand for them: --set 'units.unknown_word=<OOV>'",
        )


def _characters(word: str) -> Tuple[str, ...]:
    return (WORD_START + word[0], *word[1:])


def _bpe_pieces(size: int, sentences: Sequence[str], directory: Path) -> Spelling:
    """Train BPE on the sentences, and return what cuts a word into its pieces."""
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
            normalization_rule_name="identity",  # else it takes some words apart, such as don´t
            max_sentence_length=1 << 30,  # bytes; it leaves longer ones out
            num_threads=1,  # the merges are the same on every machine
            minloglevel=2,
        )
    except RuntimeError as error:
        reason = str(error).rpartition("] ")[2] or str(error)
        raise UserError(
            f"BPE with {size} pieces can't be made of this text: {' '.join(reason.split())}",
            expected="more pieces than there are characters, fewer than the text can give",
            where="units.vocabulary_size",
            todo="set another units.vocabulary_size",
        ) from None
    write_bytes(directory / "bpe.model", model.getvalue())
    return _bpe_spelling(model.getvalue())


def _bpe_spelling(model: bytes) -> Spelling:
    import sentencepiece

    try:
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    except RuntimeError as error:
        raise UserError(
            f"bpe.model is damaged: {' '.join(str(error).split())}",
            expected="what stage units wrote",
            where="units/bpe.model",
            todo="run.sh --stage units --stop-stage units regenerates it",
        ) from None
    return lambda word: tuple(processor.encode(word, out_type=str))

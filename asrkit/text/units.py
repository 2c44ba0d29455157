"""Units that the acoustic model predicts: BPE pieces, characters or phones."""

import contextlib
import copy
import functools
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Optional, Sequence, Set, Tuple

from asrkit.config import CorpusConfig, UnitsConfig
from asrkit.config.symbols import BLANK_SYMBOL, END, EPSILON, START
from asrkit.corpus.text import ANY_CORPUS, WORD_START, normalise_word
from asrkit.errors import UserError
from asrkit.storage.files import write_bytes, write_text
from asrkit.text.bpe import Spelling, bpe_spelling, train_bpe
from asrkit.text.lexicon import Pronunciation, read_lexicon, write_lexicon
from asrkit.text.pronunciation import merge_stress, pronounce

OOV = "oov.txt"  # the word for all out-of-vocabulary words, as in Kaldi


class Units:
    """The unit table, with conversion between words and unit ids.

    `spell` gives the units of any word, for BPE and characters. Phones have only the lexicon, in which
    `unknown_word` stands for all other words.
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
        self.silence: Optional[int] = None  # id of the unit of optional silence; see with_silence
        self._spell = spell
        self.ids: Dict[str, int] = {symbol: index for index, symbol in enumerate(self.symbols)}
        self.lexicon = list(lexicon)
        self._first: Dict[str, List[int]] = {}
        self._words: Dict[str, str] = {}
        for entry in sorted(self.lexicon, key=lambda entry: -entry.probability):  # stable: ties in file order
            self._first.setdefault(entry.word, [self.ids[unit] for unit in entry.units])
            self._words.setdefault(" ".join(entry.units), entry.word)
        self._marked = any(symbol.startswith(WORD_START) for symbol in self.symbols)

    def __len__(self) -> int:
        return len(self.symbols)

    def with_words(self, entries: Sequence[Pronunciation]) -> "Units":
        """The same units with more words in the lexicon."""
        units = Units(self.symbols, [*self.lexicon, *entries], self._spell, self.unknown_word)
        units.silence = self.silence
        return units

    def with_silence(self, symbol: Optional[str]) -> "Units":
        """The same units with `symbol` as optional silence between words; None: only blanks."""
        units = copy.copy(self)
        units.silence = self.ids.get(symbol) if symbol else None
        return units

    @property
    def can_spell(self) -> bool:
        """Whether units spell any word, as BPE and characters do; phones are words only by the lexicon."""
        return self._spell is not None

    def unknown_words(self, text: str) -> List[str]:
        """Words that have no pronunciation, that these units can't spell and no unknown word stands for."""
        return [word for word in text.split() if not self._ids_of(word)]

    def unspelled_words(self, text: str) -> List[str]:
        """Words that have neither a pronunciation nor a spelling, even if the unknown word replaces them."""
        return [word for word in text.split() if not self._own_ids(word)]

    def encode(self, text: str) -> List[int]:
        """Unit ids of a transcript.

        Each word has its most probable pronunciation (the first of equal ones), else its spelling, else that
        of the unknown word; words of unknown_words have none.
        """
        return [unit for word in text.split() for unit in self._ids_of(word)]

    def pronunciations(self, word: str) -> List[Tuple[int, ...]]:
        """All pronunciations of a word in unit ids, or its spelling; none for one of unknown_words."""
        if word in self._first:
            entries = self._by_word.get(word, [])
            return [tuple(self.ids[unit] for unit in entry.units) for entry in entries]
        return [ids] if (ids := tuple(self._ids_of(word))) else []

    def entries(self, words: Iterable[str]) -> List[Pronunciation]:
        """Lexicon entries of words that have units; words outside the lexicon are spelled as by encode."""
        found: List[Pronunciation] = []
        for word in sorted(words):
            spelled = Pronunciation(word, tuple(self.symbols[unit] for unit in self._ids_of(word)))
            found += self._by_word.get(word) or [spelled]
        return found

    @functools.cached_property
    def _by_word(self) -> Dict[str, List[Pronunciation]]:
        by_word: Dict[str, List[Pronunciation]] = {}
        for entry in self.lexicon:
            by_word.setdefault(entry.word, []).append(entry)
        return by_word

    def _own_ids(self, word: str) -> List[int]:
        if word not in self._first and self._spell is not None:
            units = self._spell(word)
            return [self.ids[unit] for unit in units] if self.ids.keys() >= set(units) else []
        return self._first.get(word, [])

    def _ids_of(self, word: str) -> List[int]:
        is_unknown = word not in self._first and self._spell is None
        return self._first.get(self.unknown_word or "", []) if is_unknown else self._own_ids(word)

    def words(self, ids: Sequence[int]) -> List[str]:
        """Words of a unit sequence without blanks and repeats; see word_spans."""
        return [word for word, _, _ in self.word_spans(ids)]

    def word_spans(self, ids: Sequence[int]) -> List[Tuple[str, int, int]]:
        """Words of a unit sequence, each with the positions of its first unit and after its last.

        With word-start marks (BPE, characters, marked phones), a word begins at each mark, and units that
        are no pronunciation are joined. Phones without marks are segmented greedily into the longest
        pronunciations of the lexicon; a phone that begins none is kept. Optional silence is no word.
        """
        symbols = [self.symbols[index] for index in ids]
        spans = self._marked_spans(symbols) if self._marked else self._longest_spans(symbols)
        return [(word, start, end) for word, start, end in spans if list(ids[start:end]) != [self.silence]]

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
        """Raise UserError if units have word-start marks and don't give each word of the lexicon back."""
        for entry in self.lexicon if self._marked else ():
            found = self.words([self.ids[unit] for unit in entry.units] * 2)  # another word may be before it
            if len(found) != 2 or (self._spell is not None and found[0] != entry.word):
                read = f"the units {' '.join(entry.units)} of {entry.word} are read as {' '.join(found[:-1])}"
                expected = f"{WORD_START} before the first unit of every word and before no other"
                todo = f"write {WORD_START}{entry.units[0]} for the first one, also for silence"
                raise UserError(read, expected, where, todo)


def build_units(
    config: UnitsConfig,
    sentences: Sequence[str],
    directory: Path,
    given_lexicon: Optional[Path] = None,
    extra_words: Iterable[str] = (),
    corpus: CorpusConfig = ANY_CORPUS,
    kept: Optional[Path] = None,
) -> Units:
    """Write units.txt, lexicon.txt, words.txt, and maybe bpe.model and oov.txt, from training sentences.

    For BPE and characters, the lexicon also has the `extra_words` that the training text's units spell. For
    phones it is all of `given_lexicon`, with its words normalised, and with units.grapheme_to_phoneme the
    other words of the training text and of `extra_words`, too. `kept`: units of another experiment come
    first, in their order, and its BPE is not trained again. Raises UserError if a training word has no units,
    or units don't give the word back.
    """
    vocabulary = sorted({word for sentence in sentences for word in sentence.split()})
    if not vocabulary:
        raise UserError("no word in the training text", "transcripts", str(directory))
    for name in ("bpe.model", OOV):  # of an earlier setting: load_units would read it
        with contextlib.suppress(FileNotFoundError):
            (directory / name).unlink()
    unknown_word = normalise_word(config.unknown_word, corpus) if config.unknown_word is not None else None
    if config.kind == "phones":
        assert given_lexicon is not None  # a recipe without units.lexicon is refused when it is read
        lexicon = _completed_lexicon(config, {*vocabulary, *extra_words}, given_lexicon, corpus)
        _refuse_missing(vocabulary, {entry.word for entry in lexicon}, unknown_word, given_lexicon)
        trained = {unit for entry in lexicon for unit in entry.units}
    else:
        spell = _spelling(config, sentences, directory, kept)
        lexicon = [Pronunciation(word, spell(word)) for word in vocabulary]
        trained = {unit for entry in lexicon for unit in entry.units}
        trained |= set() if kept is None else set(read_symbols(kept / "units.txt"))
        extra = [Pronunciation(word, spell(word)) for word in sorted({*extra_words} - {*vocabulary})]
        lexicon += [entry for entry in extra if trained.issuperset(entry.units)]
    symbols = [BLANK_SYMBOL] if kept is None else read_symbols(kept / "units.txt")
    _write_symbols(directory / "units.txt", [*symbols, *sorted(trained - set(symbols))])
    _write_symbols(directory / "words.txt", [EPSILON, *sorted({entry.word for entry in lexicon}), START, END])
    write_lexicon(directory / "lexicon.txt", lexicon)
    if unknown_word is not None:
        write_text(directory / OOV, f"{unknown_word}\n")
    units = load_units(directory)
    units.refuse_lost_words(str(given_lexicon or directory / "lexicon.txt"))
    return units


def _completed_lexicon(
    config: UnitsConfig, words: Set[str], given_lexicon: Path, corpus: CorpusConfig
) -> List[Pronunciation]:
    """The given lexicon, and with units.grapheme_to_phoneme the `words` that it lacks."""
    lexicon = read_lexicon(given_lexicon, corpus)
    lexicon = merge_stress(lexicon) if config.merge_stress else lexicon
    if config.grapheme_to_phoneme is not None:
        lexicon += pronounce(sorted(words - {entry.word for entry in lexicon}), lexicon)
    return lexicon


def _spelling(
    config: UnitsConfig, sentences: Sequence[str], directory: Path, kept: Optional[Path]
) -> Spelling:
    """Characters, or BPE pieces of a model that is written: that in `kept`, or one trained on `sentences`."""
    if config.kind != "bpe":
        return _characters
    if kept is not None:
        model = (kept / "bpe.model").read_bytes()
    else:
        model = train_bpe(config.vocabulary_size, sentences, "units.vocabulary_size")
    write_bytes(directory / "bpe.model", model)
    return bpe_spelling(model)


def load_units(directory: Path) -> Units:
    """Read the files of build_units; raises UserError if they are damaged or don't fit each other."""
    lexicon = read_lexicon(directory / "lexicon.txt")
    symbols = read_symbols(directory / "units.txt")
    absent = {unit for entry in lexicon for unit in entry.units} - set(symbols)
    if absent:
        found, where = f"the lexicon has {min(absent)}, which units.txt lacks", str(directory / "units.txt")
        raise UserError(found, "all units of lexicon.txt", where, "run.sh --stage units")
    spell: Optional[Spelling] = None
    if (directory / "bpe.model").is_file():
        spell = bpe_spelling((directory / "bpe.model").read_bytes())
    else:
        spell = character_spelling(lexicon)
    unknown = (directory / OOV).read_text(encoding="utf-8").strip() if (directory / OOV).exists() else None
    return Units(symbols, lexicon, spell, unknown)


def character_spelling(lexicon: Sequence[Pronunciation]) -> Optional[Spelling]:
    """The spelling by characters, if all words of the lexicon are spelled that way; else None."""
    return _characters if all(entry.units == _characters(entry.word) for entry in lexicon) else None


def _write_symbols(file: Path, symbols: Sequence[str]) -> None:
    write_text(file, "".join(f"{symbol} {index}\n" for index, symbol in enumerate(symbols)))


def read_symbols(file: Path) -> List[str]:
    """Read a symbol table of "symbol id" lines with ids from 0; raises UserError if it isn't one."""
    try:
        rows = [line.rpartition(" ") for line in file.read_text(encoding="utf-8").splitlines()]
        for number, (symbol, _, index) in enumerate(rows):
            if index != str(number):
                raise ValueError(f'line {number + 1} is {f"{symbol} {index}"!r}, not "symbol {number}"')
    except (OSError, ValueError) as error:
        found, expected = f"can't read {file}: {error}", 'lines "symbol id", with ids from 0'
        raise UserError(found, expected, str(file), "run.sh --stage units") from None
    return [symbol for symbol, _, _ in rows]


def _refuse_missing(
    vocabulary: Sequence[str], known: Set[str], unknown_word: Optional[str], file: Path
) -> None:
    needed = vocabulary if unknown_word is None else [unknown_word]
    missing = [word for word in needed if word not in known]
    if missing:
        found = f"{len(missing)} words of the training text are not in the lexicon: {' '.join(missing[:10])}"
        todo = "add them, or let one word stand for them: --set 'units.unknown_word=<OOV>'"
        if unknown_word is not None:
            found = f"the lexicon lacks {unknown_word}, the units.unknown_word"
            todo = f"add a line such as: {unknown_word} SPN"
        raise UserError(found, "a pronunciation for every training word", str(file), todo)


def _characters(word: str) -> Tuple[str, ...]:
    return (WORD_START + word[0], *word[1:])

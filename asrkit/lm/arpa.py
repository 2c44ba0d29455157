"""ARPA files: written sorted, read with every line checked."""

import array
import math
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NoReturn, Optional, Tuple, Union

import numpy as np

from asrkit.config.checks import HIGHEST_ORDER
from asrkit.config.symbols import END, RESERVED_WORDS, START, UNKNOWN
from asrkit.errors import UserError
from asrkit.lm.model import NgramIndex, NgramModel, NgramTable
from asrkit.lm.rows import Spellings, format_numbers, join_columns
from asrkit.storage.files import whole_file
from asrkit.text.lines import READ_ERRORS, stream_lines

LARGEST_LOGARITHM = 1000.0  # to base 10; SRILM writes -99 for a probability of 0
_LONGEST_LINE = 1 << 16  # bytes
# Highest compression ratios accepted for an ARPA file: usual are 4 and 6, and 9 for 5-grams of digits
_BEST_COMPRESSION = {".gz": 30, ".xz": 100}
_ROWS_AT_ONCE = 1 << 14  # of about a hundred bytes: they fit a processor's cache


def write_arpa(model: NgramModel, file: Path) -> None:
    """Write an ARPA file, whole or not at all."""
    spellings = Spellings(model.vocabulary)
    with whole_file(file) as temporary, open(temporary, "wb") as stream:
        stream.write(_header(model.counts).encode())
        for order, table in enumerate(model.tables, start=1):
            stream.write(f"\n\\{order}-grams:\n".encode())
            for start in range(0, len(table.words), _ROWS_AT_ONCE):
                part = slice(start, start + _ROWS_AT_ONCE)
                columns: List[Union[np.ndarray, bytes]] = [*format_numbers(table.log_probability[part])]
                for place, ids in enumerate(table.words[part].T):
                    columns += [b" " if place else b"\t", spellings.take(ids)]
                if order < len(model.tables):
                    columns += [b"\t", *format_numbers(table.log_backoff[part])]
                stream.write(join_columns([*columns, b"\n"]))
        stream.write(b"\n\\end\\\n")


def _header(counts: List[int]) -> str:
    return "\\data\\\n" + "".join(f"ngram {order}={count}\n" for order, count in enumerate(counts, start=1))


def read_arpa(file: Path) -> NgramModel:
    """Read an ARPA file, compressed if its name ends in .gz or .xz.

    A back-off may be missing where it has no effect: in the highest order, and if no longer n-gram
    begins with this one. Raises UserError with the line and the reason.
    """
    lines = _Lines(file)
    counts = _read_header(lines)
    ids: Dict[str, int] = {}
    index = NgramIndex(counts[0])
    tables: List[NgramTable] = []
    below = np.zeros(0)  # line numbers of the order below
    for order in range(1, len(counts) + 1):
        table, numbers = _read_section(lines, order, counts, ids)
        tables.append(table)
        if order > 1:
            _check_contexts(lines, tables, numbers, below, index)
        below = numbers
    _read_end(lines)
    for table in tables:
        np.nan_to_num(table.log_backoff, copy=False)  # nan: missing, which is allowed here
    return NgramModel(list(ids), tables)


def ngram_counts(file: Path) -> List[int]:
    """The numbers of n-grams in an ARPA file's header; the rest isn't read."""
    return _read_header(_Lines(file))


def read_vocabulary(file: Path) -> List[str]:
    """The words of an ARPA file; nothing after its unigrams is read."""
    return list(read_unigrams(file))


def read_unigrams(file: Path) -> Dict[str, float]:
    """The words of an ARPA file and their log10 probabilities; nothing after its unigrams is read."""
    return {word: value for word, value in _all_unigrams(file).items() if word not in RESERVED_WORDS}


def _all_unigrams(file: Path) -> Dict[str, float]:
    lines = _Lines(file)
    return {words[0]: value for value, words, _ in _entries(lines, 1, _read_header(lines), {})}


def copy_arpa(
    source: Path, file: Path, order: Optional[int] = None, normalise: Callable[[str], str] = str
) -> int:
    """Copy a user's ARPA file in the layout of write_arpa, which kenlm reads too, and return its order.

    Words are normalised, unless the file already has the normalised form: such variant spellings are kept
    and reported. <UNK> becomes <unk>, since kenlm treats them as the same word. Raises UserError if the order
    isn't `order`, and for a file that asrkit can't read.
    """
    renamed = _normalised_words(source, normalise)
    lines = _Lines(source)
    counts = _read_header(lines)
    found = len(counts)
    if order not in (None, found):
        expected, todo = f"order {order}, as lm.rescore_order", f"set that to {found}, or name another file"
        raise UserError(f"an n-gram model of order {found}", expected, str(source), todo)
    with whole_file(file) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as target:
        target.write(_header(counts))
        ids: Dict[str, int] = {}
        for length in range(1, found + 1):
            target.write(f"\n\\{length}-grams:\n")
            for probability, words, backoff in _entries(lines, length, counts, ids):
                end = "" if math.isnan(backoff) else f"\t{_seven_decimals(backoff)}"
                spelled = " ".join(renamed.get(word, word) for word in words)
                target.write(f"{_seven_decimals(probability)}\t{spelled}{end}\n")
            if length == 1 and not {START, END} <= ids.keys():
                lines.refuse(f"no {START} or no {END} among the 1-grams", expected="both: kenlm needs them")
        _read_end(lines)
        target.write("\n\\end\\\n")
    return found


def _normalised_words(file: Path, normalise: Callable[[str], str]) -> Dict[str, str]:
    unigrams = _all_unigrams(file)
    words = dict.fromkeys(word for word in unigrams if word not in RESERVED_WORDS)
    renamed = {} if UNKNOWN in unigrams else {UNKNOWN.upper(): UNKNOWN}
    variants: List[str] = []
    for word in list(words):
        normal = normalise(word)
        if normal != word and (normal in words or not normal):
            variants.append(word)
        elif normal != word:
            words[normal] = None
            renamed[word] = normal
    if variants:
        some = " ".join(variants[:10])
        print(f"lm: {len(variants):,} words of {file.name} are variant spellings, kept as they are: {some}")
    return renamed


def _seven_decimals(value: float) -> str:
    return f"{round(value, 7) + 0.0:.7f}"  # never -0.0000000


class _Lines:
    """Stripped, non-blank lines of an ARPA file, and errors that name the current one."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.number = 0
        self.text = ""  # of the current line; empty at the end
        self._lines = stream_lines(file, _LONGEST_LINE)

    def __iter__(self) -> Iterator[str]:
        try:
            for line in self._lines:
                self.number += 1
                self.text = line.strip()
                if "\0" in self.text:  # white space for kenlm
                    self.refuse("a NUL character", expected="text in UTF-8")
                if self.text:
                    yield self.text
        except READ_ERRORS as error:
            self.number += not isinstance(error, OSError)
            self.refuse(f"can't read it: {error}", expected="an ARPA file, in UTF-8")
        self.text = ""

    def room(self, order: int) -> int:
        """The most n-grams of this order for which the file has bytes: each has "0", words, a line end."""
        unpacked = self.file.stat().st_size * _BEST_COMPRESSION.get(self.file.suffix, 1)
        return unpacked // (2 + 2 * order)

    def refuse(self, found: str = "", expected: str = "", number: int = 0) -> NoReturn:
        """Raise UserError for the current line or line `number`; `found` is by default its beginning."""
        found = found or (f"found {self.text[:60]!r}" if self.text else "found the end of the file")
        where, todo = str(self.file), "regenerate the ARPA file, or fix that line"
        if number := number or self.number:
            found, where = f"line {number}: {found}", f"{where}, line {number}"
        raise UserError(found, expected, where, todo) from None


def _read_header(lines: _Lines) -> List[int]:
    if not any(text == "\\data\\" for text in lines):
        lines.refuse("not an ARPA file: no line \\data\\", expected="\\data\\, then ngram 1=COUNT ...")
    counts: List[int] = []
    for text in lines:
        if text.startswith("\\"):
            break
        order = len(counts) + 1
        if order > HIGHEST_ORDER:
            lines.refuse(expected=f"a model of order {HIGHEST_ORDER} at most, as for kenlm")
        name, _, count = (part.strip() for part in text.partition("="))
        if name.split() != ["ngram", str(order)] or not (count.isascii() and count.isdecimal()):
            lines.refuse(expected=f"ngram {order}=COUNT")
        if len(count) > 18 or int(count) > lines.room(order):
            lines.refuse(expected="no more n-grams than fit the file's size")
        counts.append(int(count))
    if not (counts and counts[0]):
        lines.refuse(expected="ngram 1=COUNT after \\data\\, 1 or more")
    return counts


def _read_end(lines: _Lines) -> None:
    if lines.text != "\\end\\":
        lines.refuse(expected="\\end\\ after the last n-gram; the file may be truncated")


def _read_section(
    lines: _Lines, order: int, counts: List[int], ids: Dict[str, int]
) -> Tuple[NgramTable, np.ndarray]:
    """The table of one order and the line number of each row; a missing back-off is nan."""
    words, numbers = array.array("i"), array.array("q")
    probabilities, backoffs = array.array("d"), array.array("d")
    for probability, ngram, backoff in _entries(lines, order, counts, ids):
        probabilities.append(probability)
        backoffs.append(backoff)
        words.extend([ids[word] for word in ngram])
        numbers.append(lines.number)
    rows = np.array(words, dtype=np.int32).reshape(-1, order)
    return NgramTable(rows, np.array(probabilities), np.array(backoffs)), np.array(numbers)


def _entries(
    lines: _Lines, order: int, counts: List[int], ids: Dict[str, int]
) -> Iterator[Tuple[float, List[str], float]]:
    """log10 probability, words and log10 back-off of each n-gram of a section; nan for a missing back-off.

    Unigrams' words are numbered in `ids`.
    """
    if lines.text != f"\\{order}-grams:":
        lines.refuse(expected=f"\\{order}-grams:")
    heading, read, count, highest = lines.number, 0, counts[order - 1], order == len(counts)
    for text in lines:
        fields = text.split()
        if text.startswith("\\") and len(fields) == 1:
            break
        if not order < len(fields) <= order + 2 - highest:
            expected = f"a log10 probability, {order} words" + ("" if highest else ", a back-off")
            lines.refuse(f"{len(fields)} fields", expected)
        probability, backoff = _number(lines, fields[0], "log10 probability", 0.0), math.nan
        if len(fields) == order + 2:
            backoff = _number(lines, fields[-1], "log10 back-off", LARGEST_LOGARITHM)
        words = fields[1 : order + 1]
        if order == 1 and ids.setdefault(words[0], read) != read:
            lines.refuse(f"{words[0]} a second time", expected="each word once")
        for word in words:
            if word not in ids:
                lines.refuse(f"{word} isn't among the unigrams", expected="only words of \\1-grams:")
        read += 1
        if read > count:
            break
        yield probability, words, backoff
    if read != count:
        found = f"{read} {order}-grams" + (" or more" if read > count else "")
        lines.refuse(found, f"{count}, as in the header", number=heading)


def _number(lines: _Lines, text: str, name: str, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not -LARGEST_LOGARITHM <= value <= most:
        lines.refuse(f"{name} {text[:60]}", expected=f"a number from {-LARGEST_LOGARITHM:g} to {most:g}")
    return value


def _check_contexts(
    lines: _Lines, tables: List[NgramTable], numbers: np.ndarray, below: np.ndarray, index: NgramIndex
) -> None:
    """Refuse unknown contexts, contexts without back-off and repeated n-grams in the newest table."""
    words = tables[-1].words
    context = index.locate(words[:, :-1])
    lost = np.flatnonzero(context < 0)
    if len(lost):
        length = words.shape[1] - 1
        expected = f"its first {length} words among the {length}-grams"
        lines.refuse("an n-gram without its context", expected, int(numbers[lost[0]]))
    silent = context[np.isnan(tables[-2].log_backoff[context])]
    if len(silent):
        lines.refuse("no back-off", "one: longer n-grams begin with these words", int(below[silent.min()]))
    repeated = index.add(context, words[:, -1])
    if len(repeated):
        lines.refuse("an n-gram a second time", "each n-gram once", int(numbers[repeated.min()]))

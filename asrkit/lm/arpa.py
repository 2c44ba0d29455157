"""ARPA files: written sorted, read with every line checked."""

import array
import gzip
import math
import zlib
from pathlib import Path
from typing import IO, Callable, Dict, Iterator, List, NoReturn, Optional, Tuple, Union

import numpy as np

from asrkit.config.names import RESERVED_WORDS
from asrkit.errors import UserError
from asrkit.lm.kenlm_model import load_kenlm
from asrkit.lm.model import NgramIndex, NgramModel, NgramTable
from asrkit.lm.rows import Spellings, joined_rows, with_seven_decimals
from asrkit.lm.tokens import END, START
from asrkit.storage.files import whole_file

HIGHEST_ORDER = 6  # that kenlm is built for
LARGEST_LOGARITHM = 1000.0  # to base 10; SRILM writes -99 for a probability of 0
_LONGEST_LINE = 1 << 16  # bytes
_BEST_COMPRESSION = 30  # of an ARPA file, at most: 5 is usual
_ROWS_AT_ONCE = 1 << 14  # of a hundred bytes or so: they fit a processor's cache


def write_arpa(model: NgramModel, file: Path) -> None:
    """Write an ARPA file, whole or not at all; gzipped if its name ends in .gz."""
    with whole_file(file) as temporary, open(temporary, "wb") as raw:
        if file.suffix == ".gz":
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as packed:
                _write_model(model, packed)
        else:
            _write_model(model, raw)


def _write_model(model: NgramModel, stream: Union[IO[bytes], gzip.GzipFile]) -> None:
    header = "".join(f"ngram {order}={count}\n" for order, count in enumerate(model.counts, start=1))
    stream.write(f"\\data\\\n{header}".encode())
    spellings = Spellings(model.vocabulary)
    for order, table in enumerate(model.tables, start=1):
        stream.write(f"\n\\{order}-grams:\n".encode())
        for start in range(0, len(table.words), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            columns: List[Union[np.ndarray, bytes]] = [*with_seven_decimals(table.log_probability[part])]
            for place, ids in enumerate(table.words[part].T):
                columns += [b" " if place else b"\t", spellings.take(ids)]
            if order < len(model.tables):
                columns += [b"\t", *with_seven_decimals(table.log_backoff[part])]
            stream.write(joined_rows([*columns, b"\n"]))
    stream.write(b"\n\\end\\\n")


def read_arpa(file: Path) -> NgramModel:
    """Read an ARPA file, gzipped if its name ends in .gz.

    A back-off may be missing only where it has no effect: in the highest order, and where no
    longer n-gram begins with this one. Raises UserError with the line and the reason.
    """
    with _Lines(file) as lines:
        counts = _read_header(lines)
        ids: Dict[str, int] = {}
        tables: List[NgramTable] = []
        numbers: List[np.ndarray] = []  # lines of the rows
        for order, count in enumerate(counts, start=1):
            table, rows = _read_section(lines, order, count, len(counts), ids)
            tables.append(table)
            numbers.append(rows)
            if order == 1:
                index = NgramIndex(len(ids))
            else:
                _check_contexts(lines, tables, numbers, index)
        _read_end(lines)
    for table in tables:
        np.nan_to_num(table.log_backoff, copy=False)  # nan: missing, allowed, and so 0
    return NgramModel(list(ids), tables)


def ngram_counts(file: Path) -> List[int]:
    """The numbers of n-grams that an ARPA file's header states, without reading further."""
    with _Lines(file) as lines:
        return _read_header(lines)


def read_vocabulary(file: Path) -> List[str]:
    """The words of an ARPA file, without reading further than its unigrams."""
    with _Lines(file) as lines:
        counts = _read_header(lines)
        ids: Dict[str, int] = {}
        _read_section(lines, 1, counts[0], len(counts), ids)
    return [word for word in ids if word not in RESERVED_WORDS]


def copy_arpa(
    source: Path, file: Path, order: Optional[int] = None, normalise: Callable[[str], str] = str
) -> int:
    """Copy a user's ARPA file, in the layout of write_arpa, which kenlm reads too, and give its order.

    Words are copied as `normalise` writes them, unless the file has another word that is written so: such a
    second spelling stays as it is, which is printed. Raises UserError if the order isn't `order`, and for a
    file that asrkit or kenlm can't read.
    """
    renamed = _renamed(source, normalise)
    with _Lines(source) as lines:
        counts = _read_header(lines)
        found = len(counts)
        if order not in (None, found):
            raise UserError(
                f"an n-gram model of order {found}",
                expected=f"one of order {order}, as lm.rescore_order says",
                where=str(source),
                todo=f"set lm.rescore_order to {found}, or name another file",
            )
        with whole_file(file) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as target:
            _copy_entries(lines, counts, target, renamed)
    if found > 1:
        load_kenlm(file, given=source)
    return found


def _renamed(file: Path, normalise: Callable[[str], str]) -> Dict[str, str]:
    words = dict.fromkeys(read_vocabulary(file))
    renamed: Dict[str, str] = {}
    second: List[str] = []
    for word in list(words):
        normal = normalise(word)
        if normal != word and (normal in words or not normal):
            second.append(word)
        elif normal != word:
            words[normal] = None
            renamed[word] = normal
    if second:
        some = " ".join(second[:10])
        print(f"lm: {len(second):,} words of {file.name} are second spellings, and left alone: {some}")
    return renamed


def _copy_entries(lines: "_Lines", counts: List[int], target: IO[str], renamed: Dict[str, str]) -> None:
    target.write("\\data\\\n" + "".join(f"ngram {order}={n}\n" for order, n in enumerate(counts, start=1)))
    ids: Dict[str, int] = {}
    for order, count in enumerate(counts, start=1):
        target.write(f"\n\\{order}-grams:\n")
        for probability, words, backoff in _entries(lines, order, count, len(counts), ids):
            end = "" if math.isnan(backoff) else f"\t{_seven_decimals(backoff)}"
            spelled = " ".join(renamed.get(word, word) for word in words)
            target.write(f"{_seven_decimals(probability)}\t{spelled}{end}\n")
        if order == 1 and not {START, END} <= ids.keys():
            lines.refuse(f"no {START} or no {END} among the 1-grams", expected="both: kenlm needs them")
    _read_end(lines)
    target.write("\n\\end\\\n")


def _seven_decimals(value: float) -> str:
    return f"{round(value, 7) + 0.0:.7f}"  # never -0.0000000


class _Lines:
    """Stripped lines of an ARPA file with their numbers; blank ones are passed over."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.number = 0
        self.text = ""
        try:
            self._stream: Union[IO[bytes], gzip.GzipFile] = (
                gzip.open(file, "rb") if file.suffix == ".gz" else open(file, "rb")  # noqa: SIM115
            )
        except OSError as error:
            self.refuse(f"can't read it: {error.strerror or error}", expected="an ARPA file")

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def __iter__(self) -> Iterator[str]:
        try:
            while raw := self._stream.readline(_LONGEST_LINE + 1):
                self.number += 1
                if len(raw) > _LONGEST_LINE:
                    self.refuse(f"a line of more than {_LONGEST_LINE:,} bytes", expected="an ARPA file")
                self.text = raw.decode("utf-8-sig" if self.number == 1 else "utf-8").strip()
                if "\0" in self.text:  # for kenlm, white space
                    self.refuse("a NUL character", expected="text in UTF-8")
                if self.text:
                    yield self.text
        except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
            self.number += not isinstance(error, UnicodeDecodeError)  # the others come before the line
            self.refuse(f"can't read it: {error}", expected="text in UTF-8")
        self.text = ""  # the end

    def room(self, order: int) -> int:
        """How many n-grams of this order the file has bytes for: each has "0", its words and a line end."""
        packed = _BEST_COMPRESSION if self.file.suffix == ".gz" else 1
        return self.file.stat().st_size * packed // (2 + 2 * order)

    @property
    def found(self) -> str:
        """The current line, cut to what a message can hold."""
        return f"found {self.text[:60]!r}" if self.text else "found the end of the file"

    def refuse(self, found: str, expected: str, number: int = 0) -> NoReturn:
        """Raise UserError for the current line, or for line `number`."""
        number = number or self.number
        raise UserError(
            f"line {number}: {found}" if number else found,
            expected=expected,
            where=f"{self.file}, line {number}" if number else str(self.file),
            todo="make the ARPA file again, or fix that line",
        ) from None


def _read_header(lines: _Lines) -> List[int]:
    if not any(text == "\\data\\" for text in lines):
        lines.refuse("not an ARPA file: no line \\data\\", expected="\\data\\, then ngram 1=COUNT ...")
    counts: List[int] = []
    for text in lines:
        if text.startswith("\\"):
            break
        if len(counts) == HIGHEST_ORDER:
            lines.refuse(lines.found, expected=f"a model of order {HIGHEST_ORDER} at most, as kenlm's")
        name, _, count = (part.strip() for part in text.partition("="))
        if name.split() != ["ngram", str(len(counts) + 1)] or not (count.isascii() and count.isdecimal()):
            lines.refuse(lines.found, expected=f"ngram {len(counts) + 1}=COUNT")
        if len(count) > 18 or int(count) > lines.room(len(counts) + 1):
            lines.refuse(lines.found, expected="no more n-grams than the file has room for")
        counts.append(int(count))
    if not (counts and counts[0]):
        lines.refuse(lines.found, expected="ngram 1=COUNT after \\data\\, of one or more")
    return counts


def _read_end(lines: _Lines) -> None:
    if lines.text != "\\end\\":
        lines.refuse(lines.found, expected="\\end\\ after the last n-gram: is the file cut short?")


def _read_section(
    lines: _Lines, order: int, count: int, highest: int, ids: Dict[str, int]
) -> Tuple[NgramTable, np.ndarray]:
    """The table of one order and the line number of each row; a missing back-off is nan."""
    words, numbers = array.array("i"), array.array("q")
    probabilities, backoffs = array.array("d"), array.array("d")
    for probability, ngram, backoff in _entries(lines, order, count, highest, ids):
        probabilities.append(probability)
        backoffs.append(backoff)
        words.extend([ids[word] for word in ngram])
        numbers.append(lines.number)
    rows = np.array(words, dtype=np.int32).reshape(count, order)
    return NgramTable(rows, np.array(probabilities), np.array(backoffs)), np.array(numbers)


def _entries(
    lines: _Lines, order: int, count: int, highest: int, ids: Dict[str, int]
) -> Iterator[Tuple[float, List[str], float]]:
    """log10 probability, words and log10 back-off of each n-gram of a section; nan for a missing back-off.

    The words of unigrams are numbered in `ids`.
    """
    if lines.text != f"\\{order}-grams:":
        lines.refuse(lines.found, expected=f"\\{order}-grams:")
    heading, read = lines.number, 0
    most = order + 2 if order < highest else order + 1
    for text in lines:
        fields = text.split()
        if text.startswith("\\") and len(fields) == 1:
            break
        if not order < len(fields) <= most:
            lines.refuse(
                f"{len(fields)} fields",
                expected=f"a log10 probability, {order} words" + (", a back-off" if order < highest else ""),
            )
        probability, backoff = _number(lines, fields[0], "log10 probability", 0.0), math.nan
        if len(fields) == order + 2:
            backoff = _number(lines, fields[-1], "log10 back-off", LARGEST_LOGARITHM)
        words = fields[1 : order + 1]
        if order == 1 and ids.setdefault(words[0], read) != read:
            lines.refuse(f"{words[0]} a second time", expected="each word once")
        for word in words:
            if word not in ids:
                lines.refuse(f"{word} isn't among the unigrams", expected="words of \\1-grams: only")
        read += 1
        if read > count:
            break
        yield probability, words, backoff
    if read != count:
        found = f"{read} {order}-grams" + (" or more" if read > count else "")
        lines.refuse(found, f"{count}, as the header says", number=heading)


def _number(lines: _Lines, text: str, name: str, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not -LARGEST_LOGARITHM <= value <= most:
        lines.refuse(f"{name} {text[:60]}", expected=f"a number from {-LARGEST_LOGARITHM:g} to {most:g}")
    return value


def _check_contexts(
    lines: _Lines, tables: List[NgramTable], numbers: List[np.ndarray], index: NgramIndex
) -> None:
    """Refuse, in the newest table, unknown contexts, contexts without back-off and repeated n-grams."""
    words = tables[-1].words
    context = index.locate(words[:, :-1])
    lost = np.flatnonzero(context < 0)
    if len(lost):
        lines.refuse(
            "an n-gram whose beginning isn't in the file",
            expected=f"its first {words.shape[1] - 1} words among the {words.shape[1] - 1}-grams",
            number=int(numbers[-1][lost[0]]),
        )
    silent = context[np.isnan(tables[-2].log_backoff[context])]
    if len(silent):
        lines.refuse(
            "no back-off", "one, for longer n-grams begin with these words", int(numbers[-2][silent.min()])
        )
    repeated = index.add(context, words[:, -1])
    if len(repeated):
        lines.refuse("an n-gram a second time", "each n-gram once", int(numbers[-1][repeated.min()]))

"""ARPA files: written sorted, read with every line checked."""

import array
import codecs
import gzip
import math
import re
import shutil
from pathlib import Path
from typing import IO, Callable, Dict, Iterable, Iterator, List, NoReturn, Optional, Tuple, Union

import numpy as np

from asrkit.config.names import RESERVED_WORDS
from asrkit.errors import UserError
from asrkit.lm.model import NgramIndex, NgramModel, NgramTable
from asrkit.lm.rows import Spellings, joined_rows, with_seven_decimals
from asrkit.storage.files import whole_file

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
        if lines.text != "\\end\\":
            lines.refuse(lines.found, expected="\\end\\ after the last n-gram: is the file cut short?")
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
    """Copy an ARPA file, unpacked if it is gzipped, and give its order; UserError if that isn't `order`.

    Words are copied as `normalise` writes them, unless the file has another word that is written so: such a
    second spelling stays as it is, which is printed.
    """
    found = len(ngram_counts(source))
    if order not in (None, found):
        raise UserError(
            f"an n-gram model of order {found}",
            expected=f"one of order {order}, as lm.rescore_order says",
            where=str(source),
            todo=f"set lm.rescore_order to {found}, or name another file",
        )
    try:
        opened = gzip.open(source) if source.suffix == ".gz" else open(source, "rb")  # noqa: SIM115
        renamed = _renamed(source, normalise)
        with opened as stream, whole_file(file) as temporary, open(temporary, "wb") as target:
            if stream.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
                stream.seek(0)
            if renamed:
                target.writelines(_rename(stream, renamed))
            else:
                shutil.copyfileobj(stream, target, 1 << 20)
    except (OSError, EOFError) as error:
        raise UserError(
            f"can't copy {source}: {error}",
            expected="a whole ARPA file, and space for it",
            where=str(source),
            todo="make the ARPA file again, or free some space",
        ) from None
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


def _rename(lines: Iterable[bytes], renamed: Dict[str, str]) -> Iterator[bytes]:
    order = 0
    for line in lines:
        text = line.decode("utf-8")
        heading = re.match(r"\\(\d+)-grams:", text)
        order = int(heading[1]) if heading else order
        fields = text.split()
        if heading or len(fields) <= order or not order:
            yield line
            continue
        words = " ".join(renamed.get(word, word) for word in fields[1 : order + 1])
        yield "\t".join([fields[0], words, *fields[order + 1 :]]).encode() + b"\n"


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
            for raw in self._stream:
                self.number += 1
                self.text = raw.decode("utf-8-sig" if self.number == 1 else "utf-8").strip()
                if self.text:
                    yield self.text
        except (OSError, EOFError, UnicodeDecodeError) as error:
            self.number += not isinstance(error, UnicodeDecodeError)  # the others come before the line
            self.refuse(f"can't read it: {error}", expected="text in UTF-8")
        self.text = ""  # the end

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
            todo="make the ARPA file again, or mend that line",
        ) from None


def _read_header(lines: _Lines) -> List[int]:
    if not any(text == "\\data\\" for text in lines):
        lines.refuse("not an ARPA file: no line \\data\\", expected="\\data\\, then ngram 1=COUNT ...")
    counts: List[int] = []
    for text in lines:
        if text.startswith("\\"):
            break
        name, _, count = text.partition("=")
        if name.split() != ["ngram", str(len(counts) + 1)] or not count.strip().isdecimal():
            lines.refuse(lines.found, expected=f"ngram {len(counts) + 1}=COUNT")
        counts.append(int(count))
    if not counts:
        lines.refuse(lines.found, expected="ngram 1=COUNT after \\data\\")
    return counts


def _read_section(
    lines: _Lines, order: int, count: int, highest: int, ids: Dict[str, int]
) -> Tuple[NgramTable, np.ndarray]:
    """The table of one order and the line number of each row; a missing back-off is nan."""
    if lines.text != f"\\{order}-grams:":
        lines.refuse(lines.found, expected=f"\\{order}-grams:")
    heading = lines.number
    words, numbers = array.array("i"), array.array("q")
    probabilities, backoffs = array.array("d"), array.array("d")
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
        probabilities.append(_number(lines, fields[0], "log10 probability", 0.0))
        backoff = fields[order + 1] if len(fields) == order + 2 else ""
        backoffs.append(_number(lines, backoff, "log10 back-off", math.inf) if backoff else math.nan)
        if order == 1:
            if fields[1] in ids:
                lines.refuse(f"{fields[1]} a second time", expected="each word once")
            ids[fields[1]] = len(ids)
        try:
            words.extend([ids[word] for word in fields[1 : order + 1]])
        except KeyError as error:
            lines.refuse(f"{error.args[0]} isn't among the unigrams", expected="words of \\1-grams: only")
        numbers.append(lines.number)
    if len(numbers) != count:
        lines.refuse(f"{len(numbers)} {order}-grams", f"{count}, as the header says", number=heading)
    rows = np.array(words, dtype=np.int32).reshape(count, order)
    return NgramTable(rows, np.array(probabilities), np.array(backoffs)), np.array(numbers)


def _number(lines: _Lines, text: str, name: str, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value <= most):
        lines.refuse(f"{name} {text}", expected="a number" + (" of 0 or less" if most == 0 else ""))
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

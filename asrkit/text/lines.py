"""Lines of text files of any size, gzipped or not."""

import gzip
import zlib
from pathlib import Path
from typing import Iterator

READ_ERRORS = (OSError, EOFError, ValueError, zlib.error)  # a UnicodeDecodeError is a ValueError


def stream_lines(file: Path, longest: int) -> Iterator[str]:
    """Lines in UTF-8, without byte-order mark, from a file that is gzipped if its name ends in .gz.

    Raises one of READ_ERRORS; ValueError for a line of more than `longest` bytes, because a few compressed
    bytes may unpack to more than memory holds.
    """
    with gzip.open(file) if file.suffix == ".gz" else open(file, "rb") as stream:
        encoding = "utf-8-sig"
        while line := stream.readline(longest + 1):
            if len(line) > longest:
                raise ValueError(f"a line of more than {longest:,} bytes")
            yield line.decode(encoding)
            encoding = "utf-8"

"""Lines of text files of any size, compressed or not."""

import gzip
import lzma
import zlib
from pathlib import Path
from typing import Any, Callable, Dict, Iterator

# A UnicodeDecodeError is a ValueError
READ_ERRORS = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError)
OPEN: Dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}


def stream_lines(file: Path, longest: int) -> Iterator[str]:
    """Lines in UTF-8, without byte-order mark, from a plain file, or from a compressed one named .gz or .xz.

    Raises one of READ_ERRORS; ValueError for a line of more than `longest` bytes, because a few compressed
    bytes may unpack to more than memory holds.
    """
    with OPEN.get(file.suffix, open)(file, "rb") as stream:
        encoding = "utf-8-sig"
        while line := stream.readline(longest + 1):
            if len(line) > longest:
                raise ValueError(f"a line of more than {longest:,} bytes")
            yield line.decode(encoding)
            encoding = "utf-8"

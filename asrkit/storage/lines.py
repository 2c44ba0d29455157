"""Lines of files from elsewhere, limited in length."""

import gzip
import zlib
from typing import IO, Iterator, Union

LONGEST_LINE = 16 << 20  # bytes
UNREADABLE = (OSError, EOFError, UnicodeDecodeError, zlib.error)  # what reading them may raise


def limited_lines(stream: Union[IO[bytes], gzip.GzipFile], longest: int = LONGEST_LINE) -> Iterator[bytes]:
    """Lines of at most `longest` bytes; raises EOFError for a longer one: 3 MB of gzip may hold 3 GB."""
    while line := stream.readline(longest + 1):
        if len(line) > longest:
            raise EOFError(f"a line of more than {longest:,} bytes")
        yield line

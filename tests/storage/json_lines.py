"""Files of gzipped JSON lines, for tests to read."""

from pathlib import Path
from typing import Any, Dict, Iterable

from asrkit.storage.files import jsonl_gz_writer


def write_jsonl_gz(file: Path, rows: Iterable[Dict[str, Any]]) -> None:
    """Write rows as gzipped JSON lines."""
    with jsonl_gz_writer(file) as write:
        for row in rows:
            write(row)

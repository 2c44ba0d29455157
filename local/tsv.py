"""Any corpus as tab-separated tables with columns path, text, speaker and optionally id and split.

Further optional columns: start (or offset) and end or duration in seconds, for a part of a recording;
channel, from 0; gender, age and accent of the speaker. Without a column `split`, the split is the name of the
table, or train if there is only one table.
"""

import functools
import math
from pathlib import Path
from typing import Dict, Iterator, Mapping, NamedTuple, Optional, Tuple

from asrkit.config import CorpusConfig, RecipeConfig
from asrkit.corpus.derived_audio import Derive, write_channel
from asrkit.corpus.transcripts import id_of_path, read_table
from asrkit.corpus.utterance import Utterance, corpus_file, groups_of, listings, refuse_absent
from asrkit.errors import UserError

FACTS = ("gender", "genders", "age", "ages", "accent", "accents")  # columns that groups_of reads
USED = ("path", "text", "speaker", "id", "split", "start", "offset", "end", "duration", "channel", *FACTS)
PREFERRED = {"offset": "start", "duration": "end"}  # column -> the one that is used if both are there


class Segment(NamedTuple):
    """The part of a recording that a row names; times in seconds."""

    start: Optional[float]
    duration: Optional[float]
    channel: Optional[int]


def download(corpus_directory: Path, config: RecipeConfig) -> None:
    """Check that a table exists."""
    tables = listings(corpus_directory, config.corpus, "*.tsv")
    refuse_absent(corpus_directory, tables, config.corpus.listing or "a table, NAME.tsv")


def utterances(corpus_directory: Path, config: CorpusConfig) -> Iterator[Utterance]:
    """An utterance per row; `path` is relative to the corpus's folder, and the id without a column `id`."""
    tables = listings(corpus_directory, config, "*.tsv")
    channels: Dict[Tuple[Path, int], Derive] = {}
    unused: Dict[str, None] = {}
    for table in tables:
        split = table.stem if len(tables) > 1 else config.train
        for number, row in read_table(table, ("path", "text", "speaker")):
            unused.update(dict.fromkeys(_unused(row)))
            path = row["path"].strip()
            segment = _segment(row, f"{table}, line {number}")
            audio = corpus_file(corpus_directory, path)
            derive = None
            if segment.channel is not None:
                key = (audio, segment.channel)
                derive = channels.setdefault(key, functools.partial(write_channel, *key))
            yield Utterance(
                id=row.get("id", "").strip() or _id_of_segment(path, row),
                audio=audio,
                text=row["text"],
                speaker=row["speaker"].strip() or "unknown",
                split=row.get("split", split).strip() or split,
                start=segment.start,
                duration=segment.duration,
                groups=groups_of(row),
                derive=derive,
                made_of=(audio,),
            )
    if unused:
        print(f"columns not used: {', '.join(unused)}")


def _unused(row: Mapping[str, str]) -> Iterator[str]:
    """Columns that have no effect."""
    for name in row:
        if name == "duration" and not {"start", "offset", "end"} & row.keys():
            yield "duration (without start or offset)"
        elif name not in USED or PREFERRED.get(name) in row:
            yield name


def _has_durations(row: Mapping[str, str]) -> bool:
    """Whether `duration` is used. Without a start it often is the rounded duration of the file."""
    return "end" not in row and ("start" in row or "offset" in row)


def _segment(row: Mapping[str, str], where: str) -> Segment:
    """Read the times and the channel of a row. Times outside the recording are left to validation.

    Raises UserError for cells that aren't valid numbers.
    """
    start = _seconds(row, "start" if "start" in row else "offset", where)
    end = _seconds(row, "end", where)
    duration = _seconds(row, "duration", where) if _has_durations(row) else None
    if end is not None:
        duration = end - (start or 0.0)
    if duration is not None and duration <= 0:
        found = f"a part of {duration:g} s from {start or 0:g} s"
        raise UserError(found, "an end after the start; times in seconds", where, "correct the line")
    channel = row.get("channel", "").strip()
    if channel and not (channel.isascii() and channel.isdigit() and len(channel) < 4):
        raise UserError(f"channel {channel!r}", "0 for the first channel, 1, ...", where, "correct the line")
    return Segment(start, duration, int(channel) if channel else None)


def _seconds(row: Mapping[str, str], name: str, where: str) -> Optional[float]:
    """The number in a column; None if it is absent or empty."""
    cell = row.get(name, "").strip()
    try:
        seconds = float(cell) if cell else None
    except ValueError:
        seconds = math.nan
    if seconds is None or 0 <= seconds < math.inf:
        return seconds
    raise UserError(f"{name} {cell!r}", "seconds, such as 1.5", where, "correct the line")


def _id_of_segment(path: str, row: Mapping[str, str]) -> str:
    """The id of a row that has none: its path, start and channel."""
    parts = (row.get(name, "").strip() for name in ("start", "offset", "channel"))
    return "-".join([id_of_path(path), *filter(None, parts)])

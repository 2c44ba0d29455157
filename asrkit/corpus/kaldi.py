"""Kaldi data directories: wav.scp, segments, text, utt2spk, spk2utt (kaldi-asr.org/doc/data_prep.html)."""

import collections
import dataclasses
import functools
import re
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, NamedTuple, Optional, Tuple

from asrkit.corpus.derived_audio import (
    Derive,
    copy_archived,
    files_of_command,
    refuse_commands,
    run_command,
    write_channel,
)
from asrkit.corpus.transcripts import KeyedLines, read_keyed_lines
from asrkit.corpus.utterance import Utterance, corpus_file, groups_of
from asrkit.errors import UserError
from asrkit.storage.files import write_text

ARCHIVED = re.compile(r"(.*):(\d+)")  # ARCHIVE:BYTE, the entry at an offset of a Kaldi archive
MARK = ".asrkit-export"  # file in exported data directories, which a later export may overwrite
RANGE = re.compile(r"\[[\d:,]*\]$")


class Segment(NamedTuple):
    """A line of `segments`; times in seconds."""

    recording: str
    start: Optional[float] = None
    end: Optional[float] = None
    channel: Optional[int] = None


def data_directories(folder: Path, name: str) -> Dict[str, Path]:
    """Split name -> data directory: `folder` itself as split `name`, or else its subdirectories."""
    if (folder / "wav.scp").exists():
        return {name: folder}
    found = (file.parent for file in sorted(folder.glob("*/wav.scp")))
    return {directory.name: directory for directory in found if not directory.name.startswith(".")}


def read_data_directory(directory: Path, split: str, root: Path, allow_pipes: bool) -> Iterator[Utterance]:
    """An utterance per line of `text`; relative paths in wav.scp are relative to `root`.

    A segment (without segments: a recording) that is missing in `text` gives an utterance with empty text,
    which validation rejects and lists. Audio of piped commands, archives and channels is derived.
    Raises UserError, with line numbers, for malformed lines, and for commands without `allow_pipes`.
    """
    recordings = read_keyed_lines(directory / "wav.scp")
    _refuse_ranges(recordings, directory / "wav.scp")
    if not allow_pipes:
        places = [(f"line {number}", place) for number, place in recordings.values() if _is_pipe(place)]
        refuse_commands(places, directory / "wav.scp")
    segments = _read_segments(directory / "segments", recordings)
    audio: Dict[Tuple[str, Optional[int]], Tuple[Path, Optional[Derive]]] = {}  # by recording and channel
    files: Dict[str, Tuple[Path, ...]] = {}  # recording id -> its audio files
    speakers = read_keyed_lines(directory / "utt2spk")
    tables = {kind: directory / f"spk2{kind}" for kind in ("gender", "age", "accent")}
    facts = {kind: read_keyed_lines(file) for kind, file in tables.items() if file.exists()}
    texts = read_keyed_lines(directory / "text")
    for id in segments or recordings:
        if id not in texts:
            texts[id] = (0, "")
            speakers.setdefault(id, (0, "unknown"))
    for id, (number, text) in texts.items():
        where = f"{directory / 'text'}, line {number}"
        segment = segments.get(id, Segment(id))
        if segment.recording not in recordings or (segments and id not in segments):
            found = f"{id} has no {'segment' if segments else 'recording'}"
            expected = f"a line for it in {'segments' if segments else 'wav.scp'}"
            raise UserError(found, expected, where, "add it, or run Kaldi's utils/fix_data_dir.sh")
        if id not in speakers:
            todo = "add it; if speakers are unknown, use the utterance's id"
            raise UserError(f"{id} has no speaker", "a line for it in utt2spk", where, todo)
        key = (segment.recording, segment.channel)
        if key not in audio:
            audio[key] = _audio(recordings[segment.recording][1], segment.channel, root)
        file, derive = audio[key]
        if derive is not None and segment.recording not in files:
            files[segment.recording] = tuple(_files_of(recordings[segment.recording][1], root))
        made_of = files.get(segment.recording, ())
        start, end = segment.start, segment.end
        duration = None if start is None or end is None else end - start
        speaker = speakers[id][1]
        groups = groups_of({kind: lines[speaker][1] for kind, lines in facts.items() if speaker in lines})
        one = Utterance(id, file, text, speaker, split, start, duration, groups=groups, derive=derive)
        yield one if derive is None else dataclasses.replace(one, made_of=made_of)


def refuse_other_directory(directory: Path) -> None:
    """Raise UserError unless the folder is new, empty, or an earlier export."""
    is_own = not directory.exists() or (directory / MARK).exists()
    if not is_own and (not directory.is_dir() or any(directory.iterdir())):
        found = f"{directory} holds other data, or an export of an earlier version"
        todo = "name another DIRECTORY, or remove it yourself"
        raise UserError(found, "a new folder", str(directory), todo)


def write_data_directory(directory: Path, cuts: Iterable[Any]) -> None:
    """Write lhotse cuts with one supervision each, sorted as by LC_ALL=C, with absolute paths.

    `segments` is written only if a cut is a part of its recording; otherwise recordings have the ids of
    their utterances. Raises UserError for a path that Kaldi would take for a command, archive or range.
    """
    cuts = sorted(cuts, key=lambda cut: cut.id.encode())
    whole = all(cut.num_samples == cut.recording.num_samples for cut in cuts)
    files: Dict[str, Dict[str, str]] = {name: {} for name in ("wav.scp", "text", "utt2spk", "segments")}
    utterances = collections.defaultdict(list)
    for cut in cuts:
        (supervision,) = cut.supervisions
        recording = cut.id if whole else cut.recording.id
        files["wav.scp"][recording] = _plain_path(cut.recording.sources[0].source)
        files["text"][cut.id] = supervision.text
        files["utt2spk"][cut.id] = "_".join(supervision.speaker.split())
        files["segments"][cut.id] = f"{recording} {cut.start:.6f} {cut.end:.6f}"
        utterances[files["utt2spk"][cut.id]].append(cut.id)
    files["spk2utt"] = {speaker: " ".join(ids) for speaker, ids in utterances.items()}
    write_text(directory / MARK, "")
    if whole:
        (directory / "segments").unlink(missing_ok=True)
        del files["segments"]
    for name, lines in files.items():
        ordered = sorted(lines.items(), key=lambda line: line[0].encode())
        write_text(directory / name, "".join(f"{key} {value}\n" for key, value in ordered))


def _refuse_ranges(recordings: KeyedLines, file: Path) -> None:
    for number, place in recordings.values():
        if RANGE.search(place):
            raise UserError(
                f"{place!r} is a range of an archive's entry",
                "whole recordings",
                f"{file}, line {number}",
                "write the part to a file of its own, or use segments",
            )


def _is_pipe(place: str) -> bool:
    return place.endswith("|") or place.startswith("|")


def _audio(place: str, channel: Optional[int], root: Path) -> Tuple[Path, Optional[Derive]]:
    """The audio file; for audio that must be derived, the function that writes it."""
    archived = ARCHIVED.fullmatch(place)
    write: Optional[Derive] = None
    if _is_pipe(place):
        write = functools.partial(run_command, place.rstrip("|").strip(), root)
    elif archived and not corpus_file(root, place).exists():
        write = functools.partial(copy_archived, corpus_file(root, archived[1]), int(archived[2]))
    elif channel is None:
        return corpus_file(root, place), None
    if channel is not None:
        write = functools.partial(write_channel, write or corpus_file(root, place), channel)
    return root, write


def _files_of(place: str, root: Path) -> Iterator[Path]:
    """The files that an entry of wav.scp reads: one file, or those named in its command."""
    archived = ARCHIVED.fullmatch(place)
    if _is_pipe(place):
        yield from files_of_command(place.strip("|"), root)
    elif archived and not corpus_file(root, place).exists():
        yield corpus_file(root, archived[1])
    else:
        yield corpus_file(root, place)


def _read_segments(file: Path, recordings: KeyedLines) -> Dict[str, Segment]:
    """Segments by utterance id; an end of -1 is the end of the recording, as in Kaldi."""
    segments: Dict[str, Segment] = {}
    for id, (number, rest) in read_keyed_lines(file).items() if file.exists() else ():
        found = f"the line {id} {rest}"
        try:
            recording, start, end, *channels = rest.split()
            (channel,) = map(int, channels) if channels else (None,)
            segments[id] = Segment(recording, float(start), float(end) if float(end) != -1 else None, channel)
            if channel is not None and channel < 0:
                raise ValueError
            if recording not in recordings:
                found = f"{recording} is not in wav.scp"
                raise ValueError
        except ValueError:
            expected = "UTTERANCE RECORDING START END [CHANNEL]; times in seconds, channels from 0"
            raise UserError(found, expected, f"{file}, line {number}", "correct the line") from None
    return segments


def _plain_path(source: str) -> str:
    special = _is_pipe(source) or ARCHIVED.fullmatch(source) or RANGE.search(source)
    if special or source != source.strip() or "\n" in source:
        raise UserError(
            f"the path {source!r}",
            "a path without |, :17, [1:2] or leading and trailing spaces, which have a meaning in Kaldi",
            "the audio of the experiment",
            "rename the file, and run stage manifests again",
        )
    return source

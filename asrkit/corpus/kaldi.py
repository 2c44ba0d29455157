"""Kaldi data directories: wav.scp, segments, text, utt2spk, spk2utt (kaldi-asr.org/doc/data_prep.html)."""

import collections
import functools
import re
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, Optional, Tuple

from asrkit.corpus.derived_audio import Derive, copy_archived, refuse_commands, run_command, write_channel
from asrkit.corpus.transcripts import KeyedLines, read_keyed_lines
from asrkit.corpus.utterance import Utterance, corpus_file
from asrkit.errors import UserError
from asrkit.storage.files import write_text

ARCHIVED = re.compile(r"(.*):(\d+)")  # a file, and the byte in it where an entry begins
RANGE = re.compile(r"\[[\d:,]*\]$")


def data_directories(folder: Path, name: str) -> Dict[str, Path]:
    """`folder` itself as split `name` if it is a data directory, else those in it by their names."""
    if (folder / "wav.scp").exists():
        return {name: folder}
    return {file.parent.name: file.parent for file in sorted(folder.glob("*/wav.scp"))}


def read_data_directory(directory: Path, split: str, root: Path, allow_pipes: bool) -> Iterator[Utterance]:
    """An utterance a line of `text`; relative paths in wav.scp count from `root`.

    Where a segment, or without segments a recording, has no such line, its utterance has an empty text, by
    which validation lists it. A recording that a command makes has `derive`, which runs it. Raises
    UserError, with the numbers of the lines, for commands unless `allow_pipes`, and for a line that can't
    be understood.
    """
    recordings = read_keyed_lines(directory / "wav.scp")
    _refuse_ranges(recordings, directory / "wav.scp")
    if not allow_pipes:
        places = [(f"line {number}", place) for number, place in recordings.values() if _is_pipe(place)]
        refuse_commands(places, directory / "wav.scp")
    segments = _read_segments(directory / "segments", recordings)
    audio: Dict[Tuple[str, Optional[int]], Tuple[Path, Optional[Derive]]] = {}  # by recording and channel
    speakers = read_keyed_lines(directory / "utt2spk")
    texts = read_keyed_lines(directory / "text")
    for id in segments or recordings:
        if id not in texts:
            texts[id] = (0, "")
            speakers.setdefault(id, (0, "unknown"))
    for id, (number, text) in texts.items():
        recording, start, end, channel = segments.get(id, (id, None, None, None))
        if recording not in recordings or (segments and id not in segments):
            raise UserError(
                f"{id} has no {'segment' if segments else 'recording'}",
                expected=f"a line for it in {'segments' if segments else 'wav.scp'}",
                where=f"{directory / 'text'}, line {number}",
                todo="add it, or take the line out; Kaldi's utils/fix_data_dir.sh does that",
            )
        if id not in speakers:
            raise UserError(
                f"{id} has no speaker",
                expected="a line for it in utt2spk",
                where=f"{directory / 'text'}, line {number}",
                todo="add it; where speakers are unknown, the utterance's own id is usual",
            )
        if (recording, channel) not in audio:
            audio[recording, channel] = _audio(recordings[recording][1], channel, root)
        file, derive = audio[recording, channel]
        duration = None if start is None or end is None else end - start
        speaker = speakers[id][1]
        yield Utterance(id, file, text, speaker, split, start=start, duration=duration, derive=derive)


def write_data_directory(directory: Path, cuts: Iterable[Any]) -> None:
    """Write lhotse cuts of one supervision each, sorted as LC_ALL=C sorts.

    Paths are whole. `segments` appears only where a cut is not the whole of its recording, and
    recordings have the ids of their utterances where it doesn't. Raises UserError for a path that
    Kaldi would take for a command.
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
                expected="whole recordings; parts of them have lines in segments",
                where=f"{file}, line {number}",
                todo="write the part to a file of its own, or name it in segments",
            )


def _is_pipe(place: str) -> bool:
    return place.endswith("|") or place.startswith("|")


def _audio(place: str, channel: Optional[int], root: Path) -> Tuple[Path, Optional[Derive]]:
    """The file; of what no mono file holds, what writes one, the same object for all of its utterances."""
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


def _read_segments(
    file: Path, recordings: KeyedLines
) -> Dict[str, Tuple[str, float, Optional[float], Optional[int]]]:
    """Recording, start, end and channel by id; an end of -1 is that of the recording, as in Kaldi."""
    segments: Dict[str, Tuple[str, float, Optional[float], Optional[int]]] = {}
    for id, (number, rest) in read_keyed_lines(file).items() if file.exists() else ():
        try:
            recording, start, end, *channels = rest.split()
            (channel,) = map(int, channels) if channels else (None,)
            segments[id] = (recording, float(start), float(end) if float(end) != -1 else None, channel)
            if channel is not None and channel < 0:
                raise ValueError
        except ValueError:
            raise _bad_segment(f"the line {id} {rest}", file, number) from None
        if recording not in recordings:
            raise _bad_segment(f"{recording} is not in wav.scp", file, number)
    return segments


def _bad_segment(found: str, file: Path, number: int) -> UserError:
    expected = (
        "UTTERANCE RECORDING START END [CHANNEL], in seconds, of a recording in wav.scp; channels from 0"
    )
    return UserError(found, expected=expected, where=f"{file}, line {number}", todo="correct the line")


def _plain_path(source: str) -> str:
    special = _is_pipe(source) or ARCHIVED.fullmatch(source) or RANGE.search(source)
    if special or source != source.strip() or "\n" in source:
        raise UserError(
            f"the path {source!r}",
            expected="one without |, :17, [1:2] or blanks at its end, which have a meaning in Kaldi",
            where="the audio of the experiment",
            todo="rename the file, and run stage manifests again",
        )
    return source

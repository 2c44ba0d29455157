"""Kaldi data directories: wav.scp, segments, text, utt2spk, spk2utt (kaldi-asr.org/doc/data_prep.html)."""

import collections
import functools
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, Optional, Tuple

from asrkit.corpus.derived_audio import run_command
from asrkit.corpus.transcripts import KeyedLines, read_keyed_lines
from asrkit.corpus.utterance import Utterance, corpus_file
from asrkit.errors import UserError
from asrkit.storage.files import write_text


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
    if not allow_pipes:
        _refuse_pipes(recordings, directory / "wav.scp")
    audio = {name: _audio(place, root) for name, (_, place) in recordings.items()}
    segments = _read_segments(directory / "segments", audio)
    speakers = read_keyed_lines(directory / "utt2spk")
    texts = read_keyed_lines(directory / "text")
    for id in segments or recordings:
        if id not in texts:
            texts[id] = (0, "")
            speakers.setdefault(id, (0, "unknown"))
    for id, (number, text) in texts.items():
        recording, start, end = segments.get(id, (id, None, None))
        if recording not in audio or (segments and id not in segments):
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
        file, derive = audio[recording]
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


def _refuse_pipes(recordings: KeyedLines, file: Path) -> None:
    pipes = [(number, place) for number, place in recordings.values() if _is_pipe(place)]
    if pipes:
        shown = "".join(f"\n    line {number}: {place}" for number, place in pipes[:5])
        more = f"\n    and {len(pipes) - 5} more" if len(pipes) > 5 else ""
        raise UserError(
            f"{len(pipes)} recordings are what commands put out:{shown}{more}",
            expected="paths of audio files: a command may do anything that you may",
            where=str(file),
            todo="if you trust all of them, corpus.allow_pipes: true, or asrkit new-recipe --allow-pipes",
        )


def _is_pipe(place: str) -> bool:
    return place.endswith("|") or place.startswith("|")


def _audio(place: str, root: Path) -> Tuple[Path, Optional[Callable[[Path], None]]]:
    """The file; of a command what writes one, the same object for all utterances of the recording."""
    if _is_pipe(place):
        return root, functools.partial(run_command, place.rstrip("|").strip())
    return corpus_file(root, place), None


def _read_segments(file: Path, recordings: Dict[str, Any]) -> Dict[str, Tuple[str, float, float]]:
    if not file.exists():
        return {}
    segments: Dict[str, Tuple[str, float, float]] = {}
    for id, (number, rest) in read_keyed_lines(file).items():
        try:
            recording, start, end = rest.split()[:3]
            segments[id] = (recording, float(start), float(end))
        except ValueError:
            raise _bad_segment(f"the line {id} {rest}", file, number) from None
        if recording not in recordings:
            raise _bad_segment(f"{recording} is not in wav.scp", file, number)
    return segments


def _bad_segment(found: str, file: Path, number: int) -> UserError:
    expected = "UTTERANCE RECORDING START END, in seconds, of a recording in wav.scp"
    return UserError(found, expected=expected, where=f"{file}, line {number}", todo="correct the line")


def _plain_path(source: str) -> str:
    if _is_pipe(source) or source != source.strip() or "\n" in source:
        raise UserError(
            f"the path {source!r}",
            expected="one that doesn't end in | or blanks, which Kaldi takes for a command or drops",
            where="the audio of the experiment",
            todo="rename the file, and run stage 1 again",
        )
    return source

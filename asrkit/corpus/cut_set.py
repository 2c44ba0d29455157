"""Utterances of a lhotse CutSet from strangers."""

import dataclasses
import functools
import os
from pathlib import Path
from typing import Any, Iterator, List, Optional, Sequence, Tuple, Union

import msgspec
import numpy as np

from asrkit.corpus.audio import check_file, open_audio, open_whole, read_blocks
from asrkit.corpus.containers import FileState, file_state
from asrkit.corpus.cut_manifest import (
    Cut,
    Entry,
    MixedCut,
    MonoCut,
    PaddingCut,
    Recording,
    Source,
    Supervision,
    check_extent,
    read_entries,
    recordings,
)
from asrkit.corpus.derived_audio import files_of_command, refuse_commands, run_command, write_wav
from asrkit.corpus.utterance import Utterance, corpus_file, groups_of
from asrkit.corpus.validation import MAX_OVERSHOOT, MAX_RECORDING
from asrkit.errors import AudioProblem, UserError
from asrkit.pipeline.experiment import remembered_corpus
from asrkit.pipeline.inputs import IN_EXPERIMENT

LONGEST_MARGIN = 0.5  # seconds of a cut outside its supervision; if there are more, the cut is trimmed
LARGEST_PIECE = 1 << 26  # samples of all channels that are read at once


def read_cut_set(file: Path, option: str, allow_pipes: bool) -> List[Entry]:
    """Read the manifest that the user named with `option`, in any of lhotse's text formats.

    Paths in a manifest of an asrkit experiment become absolute. Raises UserError if the file can't be read,
    is empty, has no supervisions, or has commands without `allow_pipes`.
    """
    entries = _read(file, option)
    _check(entries, file, allow_pipes)
    return entries


def read_cut_sets(
    files: Sequence[Path], option: str, allow_pipes: bool
) -> Iterator[Tuple[Path, List[Entry]]]:
    """Read CutSets as read_cut_set does; among several, those without supervisions (noise) are skipped."""
    skipped = []
    for file in files:
        entries = _read(file, option)
        if len(files) > 1 and entries and not any(entry.supervisions for entry in entries):
            print(f"{file.name}: {len(entries)} cuts without supervisions are not used")
            skipped.append(file)
            continue
        _check(entries, file, allow_pipes)
        yield file, entries
    if skipped and len(skipped) == len(files):
        raise _no_supervisions(f"no cut of {len(files)} CutSets has a supervision", files[0].parent)


def _read(file: Path, option: str) -> List[Entry]:
    try:
        entries = list(read_entries(file))
        _resolve_paths(entries, file)
        trimmed = sum(_trim(entry) for entry in entries)
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        expected = "a lhotse CutSet: .jsonl, .jsonl.gz, .json or .yaml"
        todo = "check the file with: lhotse validate FILE"
        raise UserError(f"can't read {file}: {reason}", expected, option, todo) from None
    if trimmed:
        print(f"{file.name}: {trimmed} cuts trimmed to their supervisions")
    return entries


def _trim(entry: Entry) -> bool:
    """Trim a cut to its only supervision if that is much shorter, since the text doesn't cover the rest."""
    cut = entry.cut
    if not isinstance(cut, MonoCut) or len(entry.supervisions) != 1:
        return False
    start, duration = entry.supervisions[0].start, entry.supervisions[0].duration
    if start is None or duration is None:
        return False
    first, end = max(start, 0.0), min(start + duration, cut.duration)
    if cut.duration - (end - first) <= LONGEST_MARGIN:
        return False
    if not first < end:  # also for NaN
        found = f"{start:.3f} s to {start + duration:.3f} s of a cut of {cut.duration:.3f} s"
        entry.cut = AudioProblem("supervision outside its cut", found)
        return False
    # Rounded, because 2.3 - 1.3 isn't 1.0
    place = {"start": round(cut.start + first, 8), "duration": round(end - first, 8)}
    entry.cut = msgspec.structs.replace(cut, **place)
    return True


def _check(entries: Sequence[Entry], file: Path, allow_pipes: bool) -> None:
    if not any(entry.supervisions for entry in entries):
        found = f"none of the {len(entries)} cuts has a supervision" if entries else f"no cuts in {file}"
        raise _no_supervisions(found, file)
    if not allow_pipes:
        commands = [
            (f"{entry.id} (cut {entry.line})", source.source)
            for entry in entries
            for source in _sources(entry)
            if source.type == "command"
        ]
        refuse_commands(commands, file)


def _no_supervisions(found: str, where: Path) -> UserError:
    expected = "cuts with one supervision each, whose text is the reference"
    todo = "add the transcripts to the cuts, for example with: lhotse cut simple -s SUPERVISIONS ..."
    return UserError(found, expected, str(where), todo)


def cut_utterances(
    entries: Sequence[Entry], split: str, root: Path, max_duration: float
) -> Iterator[Utterance]:
    """An utterance per cut; relative paths are relative to `root`.

    A cut of an untransformed mono file refers to that file. The audio of other cuts (mixed, padded,
    perturbed, one of several channels) is derived, unless it is longer than `max_duration` seconds.
    """
    for entry in entries:
        cut, supervisions = entry.cut, entry.supervisions
        speaker = next((each.speaker for each in supervisions if each.speaker), "unknown")
        text = " ".join(each.text for each in supervisions if each.text)
        groups = tuple(dict.fromkeys([*entry.groups, *_groups(supervisions)]))
        plain = Utterance(entry.id, root, text, speaker, split, snr=entry.snr, groups=groups)
        source = _own_file(cut) if isinstance(cut, MonoCut) and len(supervisions) == 1 else None
        if source is not None and isinstance(cut, MonoCut) and cut.duration <= max_duration:
            audio = corpus_file(root, source)
            yield dataclasses.replace(plain, audio=audio, start=cut.start, duration=cut.duration)
        else:
            derive = functools.partial(_write_audio, entry, root, max_duration)
            yield dataclasses.replace(plain, derive=derive, made_of=tuple(_files_of(entry, root)))


def _groups(supervisions: Sequence[Supervision]) -> Tuple[str, ...]:
    """Of all speakers of the cut."""
    facts = [
        {**(each.custom or {}), **({"gender": each.gender} if each.gender else {})} for each in supervisions
    ]
    return tuple(dict.fromkeys(group for each in facts for group in groups_of(each)))


def _sources(entry: Entry) -> Iterator[Source]:
    if not isinstance(entry.cut, AudioProblem):
        for recording in recordings(entry.cut):
            yield from recording.sources


def _files_of(entry: Entry, root: Path) -> Iterator[Path]:
    for source in _sources(entry):
        if source.type == "command":
            yield from files_of_command(source.source, root)
        else:
            yield corpus_file(root, source.source)


def _resolve_paths(entries: Sequence[Entry], file: Path) -> None:
    """Make paths absolute in a manifest of an experiment, relative to its corpus or to the experiment."""
    place = Path(os.path.realpath(file))
    directory = place.parent.parent
    if place.parent.name not in ("manifests", "features") or not (directory / "recipe.yaml").is_file():
        return
    corpus = remembered_corpus(directory) or directory  # an evaluation has its audio in its own folder
    for source in (source for entry in entries for source in _sources(entry) if source.type == "file"):
        derived = source.source.startswith(IN_EXPERIMENT)
        found = directory / source.source[len(IN_EXPERIMENT) :] if derived else corpus / source.source
        if ".." not in found.parts:  # such a path is refused later
            source.source = str(found)


def _own_file(cut: MonoCut) -> Optional[str]:
    """The mono file with the cut's untransformed recording, if there is one."""
    recording = cut.recording
    if recording is None or recording.transforms or len(recording.sources) != 1:
        return None
    (source,) = recording.sources
    return source.source if source.type == "file" and len(source.channels) == 1 else None


def _write_audio(entry: Entry, root: Path, max_duration: float, file: Path) -> None:
    """Write the audio that lhotse makes of a cut, in float32; raises AudioProblem."""
    from lhotse.audio.backend import set_current_audio_backend
    from lhotse.cut.set import deserialize_cut

    if isinstance(entry.cut, AudioProblem):
        raise entry.cut
    if len(entry.supervisions) != 1:
        found = f"found {len(entry.supervisions)}, expected 1; see lhotse cut trim-to-supervisions"
        raise AudioProblem("other than one supervision", found)
    check_extent(entry.cut, max_duration)
    cut = msgspec.convert(msgspec.to_builtins(entry.cut), Cut)  # a copy
    _clip(cut)
    for number, recording in enumerate(recordings(cut)):
        _find_sources(recording, root, file.with_name(f"{file.stem}-{number}"))
    set_current_audio_backend(_backend())  # lhotse would call sph2pipe for SPHERE
    try:
        made = deserialize_cut(msgspec.to_builtins(cut))
        samples = made.load_audio(**({"mono_downmix": True} if isinstance(cut, MixedCut) else {}))
    except Exception as error:  # lhotse raises many types, with details from the second line on
        raise AudioProblem("not readable audio", str(error).partition("\n")[0]) from None
    finally:
        for left in file.parent.glob(f"{file.stem}-*"):
            left.unlink()
    if samples.shape[0] != 1:  # (channel, sample)
        raise AudioProblem("more than one channel", f"found {samples.shape[0]}, expected 1")
    write_wav(file, [samples[0]], made.sampling_rate)


def _clip(cut: Cut) -> None:
    """End a cut with its recording, if it is less than MAX_OVERSHOOT longer; raises AudioProblem if more."""
    for piece in [track.cut for track in cut.tracks] if isinstance(cut, MixedCut) else [cut]:
        if isinstance(piece, PaddingCut):
            continue
        if piece.recording is None:
            raise AudioProblem("no recording in the cut")
        left = piece.recording.duration - piece.start
        if left <= 0 or piece.duration >= left + MAX_OVERSHOOT:
            found = f"{piece.start:.3f} s to {piece.start + piece.duration:.3f} s of audio"
            raise AudioProblem("segment outside its audio", f"{found} of {piece.recording.duration:.3f} s")
        piece.duration = min(piece.duration, left)


def _find_sources(recording: Recording, root: Path, output: Path) -> None:
    """Make the paths of a recording absolute, after checks; the output of a command becomes a file."""
    rates = [one.kwargs.source_sampling_rate for one in recording.transforms or [] if one.name == "Resample"]
    rate = rates[0] if rates else recording.sampling_rate
    for number, source in enumerate(recording.sources):
        file = corpus_file(root, source.source)
        if source.type == "command":
            file = output.with_name(f"{output.name}-{number}")
            run_command(source.source, root, file)
        check_file(file)
        held = _rate_or_problem(file, file_state(file))
        if isinstance(held, AudioProblem):
            raise AudioProblem(held.kind, held.detail)
        if held != rate:
            found = f"found {held} Hz in {file}, expected {rate} Hz as in the manifest"
            raise AudioProblem("other sampling rate", found)
        source.type, source.source = "file", str(file)


@functools.lru_cache(maxsize=16)  # consecutive cuts are often of the same recording
def _rate_or_problem(file: Path, state: FileState) -> Union[int, AudioProblem]:
    """Sampling rate in Hz, or why the file can't be used; `state` makes the cache notice changes."""
    try:
        with open_whole(file, MAX_RECORDING) as sound:
            return int(sound.samplerate)
    except AudioProblem as problem:
        return problem


@functools.lru_cache(maxsize=1)
def _backend() -> Any:
    """A lhotse audio backend that reads files as asrkit does, with a limit on memory."""
    from lhotse.audio.backend import LibsndfileBackend
    from lhotse.utils import compute_num_samples

    class Backend(LibsndfileBackend):  # type: ignore[misc]
        def read_audio(
            self, path_or_fd: Any, offset: float = 0.0, duration: Optional[float] = None, **_: Any
        ) -> Tuple[np.ndarray, int]:
            with open_audio(Path(path_or_fd)) as sound:
                rate = sound.samplerate
                first = compute_num_samples(offset, rate) if offset > 0 else 0
                count = sound.frames if duration is None else compute_num_samples(duration, rate)
                if count * sound.channels > LARGEST_PIECE:
                    raise AudioProblem("too long", f"{count} samples of {path_or_fd}")
                blocks = list(read_blocks(sound, first, count))
            samples = np.concatenate([block.reshape(len(block), -1) for block in blocks])
            return samples.T, rate  # (channel, sample)

    return Backend()

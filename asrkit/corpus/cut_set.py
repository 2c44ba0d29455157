"""Utterances of any lhotse CutSet, as the corpus modules give those of a corpus."""

import dataclasses
import functools
import os
from pathlib import Path
from typing import Any, Iterator, List, Optional, Sequence, Tuple

import msgspec
import numpy as np

from asrkit.corpus.audio import open_audio, open_whole, read_blocks
from asrkit.corpus.cut_manifest import (
    Cut,
    Entry,
    Mixture,
    Piece,
    Recording,
    Silence,
    check_extent,
    read_entries,
    recordings,
)
from asrkit.corpus.derived_audio import refuse_commands, run_command, write_wav
from asrkit.corpus.utterance import Utterance, corpus_file
from asrkit.corpus.validation import MAX_OVERSHOOT, MAX_RECORDING
from asrkit.errors import AudioProblem, UserError
from asrkit.pipeline.experiment import remembered_corpus
from asrkit.pipeline.inputs import IN_EXPERIMENT

LARGEST_PIECE = 1 << 26  # samples of all channels that are read at once


def read_cut_set(file: Path, option: str, allow_pipes: bool) -> List[Entry]:
    """The cuts of a manifest in any of lhotse's text formats, which `option` names.

    Raises UserError when it can't be read, is empty, or when no cut has a supervision; for commands unless
    `allow_pipes`. In a manifest of an experiment, the paths of audio are made whole.
    """
    try:
        entries = list(read_entries(file))
        _resolve(entries, file)
    except (ValueError, OSError) as error:
        raise UserError(
            f"can't read {file}: {' '.join(str(error).split()) or type(error).__name__}",
            expected="a lhotse CutSet: .jsonl, .jsonl.gz, .json or .yaml",
            where=option,
            todo="check the file with: lhotse validate FILE",
        ) from None
    if not any(entry.supervisions for entry in entries):
        raise UserError(
            f"none of the {len(entries)} cuts has a supervision" if entries else f"{file} holds no cut",
            expected="cuts with one supervision each, whose text is the reference",
            where=str(file),
            todo="join cuts and transcripts first, for example with: lhotse cut simple -s SUPERVISIONS ...",
        )
    if not allow_pipes:
        refuse_commands(_commands(entries), file)
    return entries


def cut_utterances(
    entries: Sequence[Entry], split: str, root: Path, max_duration: float
) -> Iterator[Utterance]:
    """An utterance of each cut; relative paths count from `root`.

    A cut of a mono recording in one file is taken from there. The audio of any other (mixed, padded,
    perturbed, one channel of several) is to be derived, unless it is longer than `max_duration`.
    """
    for entry in entries:
        spoken = entry.supervisions
        speaker = next((each.speaker for each in spoken if each.speaker), "unknown")
        text = " ".join(each.text for each in spoken if each.text)
        plain = Utterance(entry.id, root, text, speaker, split, snr=entry.snr)
        cut = entry.cut
        source = _own_file(cut) if isinstance(cut, Piece) and len(spoken) == 1 else None
        if source is not None and isinstance(cut, Piece) and cut.duration <= max_duration:
            audio = corpus_file(root, source)
            yield dataclasses.replace(plain, audio=audio, start=cut.start, duration=cut.duration)
        else:
            derive = functools.partial(_write_audio, entry, root, max_duration)
            yield dataclasses.replace(plain, derive=derive)


def _resolve(entries: Sequence[Entry], file: Path) -> None:
    """Make paths whole that count from the corpus or the experiment, as those of stage manifests do."""
    place = Path(os.path.realpath(file))
    directory = place.parent.parent
    if place.parent.name not in ("manifests", "features") or not (directory / "recipe.yaml").is_file():
        return
    corpus = remembered_corpus(directory) or directory  # of an evaluation, whose audio lies in its folder
    for entry in entries:
        of_cut = [] if isinstance(entry.cut, AudioProblem) else recordings(entry.cut)
        for source in (source for recording in of_cut for source in recording.sources):
            if source.type == "file":
                made_here = source.source.startswith(IN_EXPERIMENT)
                root = directory if made_here else corpus
                found = root / (source.source[len(IN_EXPERIMENT) :] if made_here else source.source)
                if ".." not in found.parts:  # else it stays as it is, to be refused
                    source.source = str(found)


def _commands(entries: Sequence[Entry]) -> List[Tuple[str, str]]:
    """Id and command of each source that is one."""
    return [
        (f"{entry.id} (cut {entry.line})", source.source)
        for entry in entries
        if not isinstance(entry.cut, AudioProblem)
        for recording in recordings(entry.cut)
        for source in recording.sources
        if source.type == "command"
    ]


def _own_file(cut: Piece) -> Optional[str]:
    """The file that holds the cut's recording and nothing else, where there is one."""
    recording = cut.recording
    if recording is None or recording.transforms or len(recording.sources) != 1:
        return None
    (source,) = recording.sources
    return source.source if source.type == "file" and len(source.channels) == 1 else None


def _write_audio(entry: Entry, root: Path, max_duration: float, file: Path) -> None:
    """Write what lhotse hears in a cut, in float32; raises AudioProblem for one that can't be used."""
    from lhotse.audio.backend import set_current_audio_backend
    from lhotse.cut import MixedCut
    from lhotse.cut.set import deserialize_cut

    if isinstance(entry.cut, AudioProblem):
        raise entry.cut
    if len(entry.supervisions) != 1:
        found = f"found {len(entry.supervisions)}, expected 1; see lhotse cut trim-to-supervisions"
        raise AudioProblem("other than one supervision", found)
    check_extent(entry.cut, max_duration)
    whole = msgspec.convert(msgspec.to_builtins(entry.cut), Cut)  # a copy
    _clip(whole)
    for number, recording in enumerate(recordings(whole)):
        _find_sources(recording, root, file.with_name(f"{file.stem}-{number}"))
    set_current_audio_backend(_backend())  # for SPHERE lhotse calls sph2pipe else
    try:
        cut = deserialize_cut(msgspec.to_builtins(whole))
        samples = cut.load_audio(mono_downmix=True) if isinstance(cut, MixedCut) else cut.load_audio()
    except Exception as error:  # lhotse raises all kinds, with all it knows from the second line on
        raise AudioProblem("not readable audio", str(error).partition("\n")[0]) from None
    finally:
        for left in file.parent.glob(f"{file.stem}-*"):
            left.unlink()
    if samples.shape[0] != 1:  # (channel, sample)
        raise AudioProblem("more than one channel", f"found {samples.shape[0]}, expected 1")
    write_wav(file, [samples[0]], cut.sampling_rate)


def _clip(cut: Cut) -> None:
    """Cut off what lies shortly after a recording's end, as times that are rounded do."""
    for piece in [track.cut for track in cut.tracks] if isinstance(cut, Mixture) else [cut]:
        if isinstance(piece, Silence):
            continue
        if piece.recording is None:
            raise AudioProblem("no recording in the cut")
        left = piece.recording.duration - piece.start
        if left <= 0 or piece.duration >= left + MAX_OVERSHOOT:
            found = f"{piece.start:.3f} s to {piece.start + piece.duration:.3f} s of audio"
            raise AudioProblem("segment outside its audio", f"{found} of {piece.recording.duration:.3f} s")
        piece.duration = min(piece.duration, left)


def _find_sources(recording: Recording, root: Path, made: Path) -> None:
    """Name each source of a recording by its whole path; what a command puts out becomes the file `made`."""
    rates = [one.kwargs.source_sampling_rate for one in recording.transforms or [] if one.name == "Resample"]
    rate = rates[0] if rates else recording.sampling_rate
    for number, source in enumerate(recording.sources):
        file = corpus_file(root, source.source)
        if source.type == "command":
            file = made.with_name(f"{made.name}-{number}")
            run_command(source.source, root, file)
        with open_whole(file, MAX_RECORDING) as sound:
            if sound.samplerate != rate:
                found = f"found {sound.samplerate} Hz in {file}, expected {rate} Hz as the manifest has it"
                raise AudioProblem("other sampling rate", found)
        source.type, source.source = "file", str(file)


@functools.lru_cache(maxsize=1)
def _backend() -> Any:
    """What lhotse reads audio with: as asrkit does, and no more at once than fits into memory."""
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
            return samples.T, rate

    return Backend()

"""Derived audio: output of commands, entries of archives, single channels, lhotse mixtures."""

import concurrent.futures
import dataclasses
import os
import subprocess
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np

from asrkit.config import CorpusConfig
from asrkit.corpus.audio import check_file, open_whole, read_blocks
from asrkit.corpus.rejection import Rejection
from asrkit.corpus.utterance import Utterance
from asrkit.corpus.validation import MAX_RECORDING, reject
from asrkit.errors import AudioProblem, UserError
from asrkit.storage.files import whole_file

LARGEST_FILE = 1 << 34  # bytes of a command's output: a day at 48 kHz in 32 bits

Derive = Callable[[Path], None]


def derive_audio(
    utterances: Sequence[Utterance], config: CorpusConfig, folder: Path, jobs: int
) -> Tuple[List[Utterance], List[Rejection]]:
    """Write derived audio to `folder`, once per recording; returns usable utterances, and rejections."""
    derivations: Dict[Derive, Path] = {}
    for utterance in utterances:
        if utterance.derive is not None:
            derivations.setdefault(utterance.derive, folder / f"{len(derivations):06d}.wav")
    with concurrent.futures.ThreadPoolExecutor(max(1, jobs)) as pool:
        problems = dict(zip(derivations, pool.map(_derive, derivations, derivations.values())))
    derived: List[Utterance] = []
    rejections: List[Rejection] = []
    for utterance in utterances:
        if utterance.derive is None:
            derived.append(utterance)
        elif (problem := problems[utterance.derive]) is not None:
            rejections.append(reject(utterance, problem, config))
        else:
            derived.append(dataclasses.replace(utterance, audio=derivations[utterance.derive], derive=None))
    return derived, rejections


def refuse_commands(commands: Sequence[Tuple[str, str]], file: Path) -> None:
    """Raise UserError if there are any commands, given as (place in `file`, command)."""
    if commands:
        shown = "".join(f"\n    {place}: {command}" for place, command in commands[:5])
        more = f"\n    and {len(commands) - 5} more" if len(commands) > 5 else ""
        raise UserError(
            f"{len(commands)} recordings are piped commands:{shown}{more}",
            "paths of audio files: commands run with your privileges",
            str(file),
            "if you trust them all, use --allow-pipes of asrkit new-recipe or asrkit evaluate, "
            "or set corpus.allow_pipes: true in recipe.yaml",
        )


def files_of_command(command: str, folder: Path) -> Iterator[Path]:
    """The existing files among the words of a shell command."""
    for word in command.split():
        file = folder / word.strip("'\"")
        if os.path.isfile(file):  # Path.is_file raises OSError if the name is too long
            yield file


def run_command(command: str, folder: Path, file: Path) -> None:
    """Write the standard output of a shell command to `file`; raises AudioProblem if it fails.

    It runs in `folder` and is stopped after LARGEST_FILE bytes.
    """
    limited = f'ulimit -f {LARGEST_FILE // 512}; exec sh -c "$0"'
    with whole_file(file) as temporary, open(temporary, "wb") as stream:
        done = subprocess.run(
            ["sh", "-c", limited, command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.PIPE,
        )
        if done.returncode:
            message = " ".join(done.stderr.decode(errors="replace").split())[:200]
            raise AudioProblem("command failed", f"{command}: exit status {done.returncode}; {message}")


def copy_archived(archive: Path, offset: int, file: Path) -> None:
    """Copy the WAV file at byte `offset` of a Kaldi archive; raises AudioProblem if there is none."""
    check_file(archive)
    with open(archive, "rb") as stream:
        stream.seek(min(offset, archive.stat().st_size))
        head = stream.read(12)
        left = int.from_bytes(head[4:8], "little") - 4
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            raise AudioProblem("no WAV file in the archive", f"found {head[:4]!r} at {archive}:{offset}")
        if left > archive.stat().st_size - stream.tell():
            raise AudioProblem(
                "truncated", f"{left + 12} bytes at {archive}:{offset}, but the archive ends before"
            )
        with whole_file(file) as temporary, open(temporary, "wb") as copy:
            copy.write(head)
            while left > 0:
                copy.write(stream.read(min(left, 1 << 20)))
                left -= 1 << 20


def write_channel(source: Union[Path, Derive], channel: int, file: Path) -> None:
    """Write one channel (from 0) of a file, or of the audio that `source` writes; raises AudioProblem."""
    made = file.with_name(f"{file.stem}-all")
    try:
        if not isinstance(source, Path):
            source(made)
        audio = source if isinstance(source, Path) else made
        with open_whole(audio, MAX_RECORDING) as sound:
            if channel >= sound.channels:
                found = f"found {sound.channels} in {audio}, expected {channel + 1}"
                raise AudioProblem("no such channel", found)
            blocks = (block.reshape(len(block), -1)[:, channel] for block in read_blocks(sound))
            write_wav(file, blocks, sound.samplerate)
    finally:
        made.unlink(missing_ok=True)


def write_wav(file: Path, blocks: Iterable[np.ndarray], rate: int) -> None:
    """Write blocks (sample,) as a float32 WAV file; raises UserError if that fails."""
    import soundfile

    with whole_file(file) as temporary:
        sound = soundfile.SoundFile(str(temporary), "w", rate, 1, "FLOAT", format="WAV")
        for block in blocks:
            try:
                sound.write(block)
            except (soundfile.LibsndfileError, AssertionError) as error:  # the latter if the disk is full
                raise OSError(str(error) or "no space left on device") from None
        sound.close()


def _derive(derive: Derive, file: Path) -> Optional[AudioProblem]:
    try:
        derive(file)
        return None
    except AudioProblem as problem:
        return problem

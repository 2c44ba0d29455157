"""Read recordings of any format, rate and number of channels that libsndfile reads."""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator, List, Tuple, Union

import numpy as np

from asrkit.corpus.audio import check_samples, open_content, open_whole, read_blocks
from asrkit.errors import AudioProblem, UserError

LONGEST = 24 * 3600.0  # seconds
MOST_SAMPLES = 24 * 3600 * 16000  # 5.5 GB; a small file of compressed silence may hold far more
UPLOAD = "the recording"  # what errors call audio that was given as bytes
AUDIO_ENDINGS = (
    *(".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus"),
    *(".aiff", ".aif", ".au", ".caf", ".w64", ".sph"),
)


def read_recording(source: Union[Path, bytes], longest: float = LONGEST) -> Tuple[np.ndarray, int]:
    """Samples (sample,) float32, the mean of all channels, and their rate in Hz, of a file or its content.

    Raises AudioProblem for a file that is damaged, truncated, longer than `longest` seconds, or no audio.
    """
    if isinstance(source, Path):
        return _read(open_whole, Path(os.path.abspath(source)), str(source), longest)
    if not source:
        raise AudioProblem("empty file")
    with _file_of(source) as file:
        try:
            return _read(open_content, file, UPLOAD, longest)
        except AudioProblem as problem:  # the name of the temporary file means nothing to the user
            detail = problem.detail.replace(f"{file}: ", "").replace(str(file), UPLOAD)
            raise AudioProblem(problem.kind, detail) from None


def _read(
    open_file: Callable[[Path, float], Any], file: Path, name: str, longest: float
) -> Tuple[np.ndarray, int]:
    with open_file(file, longest) as sound:
        rate, count, place = int(sound.samplerate), int(sound.frames), 0
        if count > MOST_SAMPLES:
            raise AudioProblem("too long", f"{count:,} samples, the limit is {MOST_SAMPLES:,}")
        samples = np.empty(count, np.float32)
        for block in read_blocks(sound):
            mono = block if block.ndim == 1 else block.mean(axis=1, dtype=np.float32)
            check_samples(mono, f"in {name}")
            samples[place : place + len(mono)] = mono
            place += len(mono)
    return samples, rate


@contextlib.contextmanager
def _file_of(content: bytes) -> Iterator[Path]:
    """A temporary file with this content, for functions that need a path.

    On Linux the file has no name in any folder, so nothing is left if the process is killed.
    """
    with tempfile.TemporaryFile() as unnamed:
        file = Path(f"/proc/self/fd/{unnamed.fileno()}")
        if file.exists():
            unnamed.write(content)
            unnamed.flush()
            yield file
            return
    with tempfile.NamedTemporaryFile(prefix="asrkit-") as named:
        named.write(content)
        named.flush()
        yield Path(named.name)


def find_recordings(names: Tuple[Path, ...]) -> List[Path]:
    """The files that are named, and the audio files below each folder, by name; raises UserError for none."""
    found: List[Path] = []
    for name in names:
        if name.is_dir():
            inside = sorted(file for file in name.rglob("*") if file.suffix.lower() in AUDIO_ENDINGS)
            if not inside:
                raise UserError(
                    f"no audio in {name}",
                    expected=f"files that end in {', '.join(AUDIO_ENDINGS)}",
                    where=str(name),
                    todo="name the files themselves, or convert them: ffmpeg -i IN OUT.flac",
                )
            found.extend(inside)
        elif str(name) == "-" or name.exists():
            found.append(name)
        else:
            expected = "an audio file, a folder, or - for stdin"
            raise UserError(f"{name} is missing", expected=expected, todo="check the name")
    return found


def as_samples(samples: np.ndarray, rate: int) -> Tuple[np.ndarray, int]:
    """A caller's samples (sample,) as float32 from -1 to 1, with their rate.

    Raises UserError for another shape or type, and AudioProblem for NaN, infinity and numbers out of range.
    """
    given = np.asarray(samples)
    where = "the samples given to the recogniser"
    if given.ndim != 1:
        todo = "samples.mean(axis=1) for (sample, channel), samples[0] for (channel, sample)"
        raise UserError(f"samples of shape {given.shape}", "one channel: (sample,)", where, todo)
    if given.dtype.kind == "i":
        return (given / -float(np.iinfo(given.dtype).min)).astype(np.float32), rate
    if given.dtype.kind != "f":
        expected = "floating-point numbers from -1 to 1, or signed integers"
        raise UserError(f"samples of type {given.dtype}", expected, where, "samples.astype('float32')")
    check_samples(given, where)
    return given.astype(np.float32), rate

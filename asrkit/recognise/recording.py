"""Read recordings of any format, rate and number of channels that libsndfile reads."""

import os
import tempfile
from pathlib import Path
from typing import List, Tuple, Union

import numpy as np

from asrkit.corpus.audio import check_samples, open_whole, read_blocks
from asrkit.errors import AudioProblem, UserError

LONGEST = 24 * 3600.0  # seconds; a day of audio at 16 kHz takes 5.5 GB
AUDIO_ENDINGS = (
    *(".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus"),
    *(".aiff", ".aif", ".au", ".caf", ".w64", ".sph"),
)


def read_recording(source: Union[Path, bytes], longest: float = LONGEST) -> Tuple[np.ndarray, int]:
    """Samples (sample,) float32, the mean of all channels, and their rate in Hz, of a file or its content.

    Raises AudioProblem for a file that is damaged, truncated, longer than `longest` seconds, or no audio.
    """
    if isinstance(source, bytes):  # checks of containers read files
        with tempfile.NamedTemporaryFile(prefix="asrkit-") as file:
            file.write(source)
            file.flush()
            try:
                return read_recording(Path(file.name), longest)
            except AudioProblem as problem:  # nobody knows the temporary file's name
                detail = problem.detail.replace(file.name, "").lstrip(": ")
                raise AudioProblem(problem.kind, detail) from None
    blocks: List[np.ndarray] = []
    with open_whole(Path(os.path.abspath(source)), longest) as sound:
        rate = int(sound.samplerate)
        for block in read_blocks(sound):
            blocks.append(block if block.ndim == 1 else block.mean(axis=1, dtype=np.float32))
            check_samples(blocks[-1], f"in {source}" if isinstance(source, Path) else "")
    return np.concatenate([np.empty(0, np.float32), *blocks]), rate


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

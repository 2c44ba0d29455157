"""Recognizer.transcribe with soundfile's default float64, integers or two channels raised errors of torch.

A (1, n) array gave an empty text of 0 s, and NaN was recognised. FLAC piped to --stream was read as samples.
"""

import io

import numpy as np
import pytest

from asrkit.errors import AudioProblem, UserError
from asrkit.recognise.live import read_pipe
from asrkit.recognise.recording import as_samples

WAVE = np.array([0.5, -0.25, 0.0])


@pytest.mark.parametrize(
    "samples", [WAVE, WAVE.astype("f4"), (WAVE * 32768).astype("i2"), (WAVE * 2.0**31).astype("i4")]
)
def test_floats_and_integers_are_the_same_samples(samples: np.ndarray) -> None:
    found, rate = as_samples(samples, 8000)
    assert (found.dtype, rate) == (np.float32, 8000)
    assert found.tolist() == WAVE.tolist()


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (WAVE[None], r"samples of shape \(1, 3\)"),
        (np.stack([WAVE, WAVE], axis=1), r"samples of shape \(3, 2\)"),
        (WAVE.astype(np.complex64), "samples of type complex64"),
        (np.zeros(3, np.uint8), "samples of type uint8"),
    ],
)
def test_other_shapes_and_types_are_refused(samples: np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=message):
        as_samples(samples, 8000)


def test_what_a_file_may_not_have_a_caller_may_not_give() -> None:
    with pytest.raises(AudioProblem, match="NaN"):
        as_samples(np.array([0.1, np.nan]), 8000)
    with pytest.raises(AudioProblem, match="out of range"):
        as_samples(32768 * WAVE, 8000)


@pytest.mark.parametrize("mark", [b"RIFF", b"fLaC", b"OggS", b"ID3\x03", b"FORM", b"NIST"])
def test_a_file_on_stdin_is_refused(mark: bytes) -> None:
    with pytest.raises(UserError, match="a file on stdin"):
        list(read_pipe(io.BytesIO(mark + bytes(100)), 8000))


@pytest.mark.parametrize("count", [1, 2, 9])
def test_a_few_samples_are_read(count: int) -> None:
    given = np.arange(1, count + 1, dtype="<i2")
    found = np.concatenate(list(read_pipe(io.BytesIO(given.tobytes()), 8000)))
    assert (found * 32768).tolist() == given.tolist()

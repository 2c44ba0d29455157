"""MPEG audio of constant bit rate without a frame count was refused as truncated, or lost its last frames."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asrkit.corpus.audio import inspect_audio, open_whole, read_blocks
from asrkit.corpus.containers import _mpeg_frame
from asrkit.errors import AudioProblem
from asrkit.signal.audio import read_samples

DELAY = 529  # samples; libsndfile removes the decoder's delay if there is a frame count
LAYER_2 = bytes.fromhex("fffd80c4")  # 44.1 kHz, 128 kbit/s, mono, no CRC: 417 or 418 bytes


def constant(rate: int) -> bytes:
    """Two seconds of MP3 without the first frame, which contains the frame count."""
    stream = io.BytesIO()
    samples = 0.3 * np.random.default_rng(1).standard_normal(2 * rate)
    options = {"bitrate_mode": "CONSTANT", "compression_level": 0.6}
    soundfile.write(stream, samples, rate, "MPEG_LAYER_III", format="MP3", **options)
    content = stream.getvalue()
    frame = _mpeg_frame(content, 0)
    assert frame is not None and b"Info" in content[: frame.length]
    return content[frame.length :]


def count(content: bytes) -> int:
    frames = at = 0
    while (frame := _mpeg_frame(content, at)) is not None:
        at, frames, samples = at + frame.length, frames + 1, frame.samples
    return frames * samples


def tagged(content: bytes, size: int) -> bytes:
    return b"ID3\x04\0\0\0\0" + bytes([size >> 7, size & 127]) + bytes(size) + content


def in_wav(content: bytes) -> bytes:
    fmt = struct.pack("<HHIIHHHHIHHH", 0x55, 1, 44100, 8000, 1, 0, 12, 1, 2, 208, 1, 0)
    chunks = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(content))
    return b"RIFF" + struct.pack("<I", len(chunks) + len(content)) + chunks + content


@pytest.mark.parametrize("what", ["alone", "tag before", "tag after", "in WAV"])
def test_mp3_is_read_to_its_end(tmp_path: Path, what: str) -> None:
    content = constant(44100)
    whole = {
        "alone": content,
        "tag before": tagged(content, 256),
        "tag after": content + b"APETAGEX" + struct.pack("<IIII", 2000, 64, 0, 0) + bytes(40),
        "in WAV": in_wav(content),
    }[what]
    (tmp_path / "a").write_bytes(whole)
    samples = inspect_audio(tmp_path / "a", 1e4).samples
    assert samples == count(content) - DELAY
    with soundfile.SoundFile(io.BytesIO(content)) as sound:
        expected = sound.read(samples + DELAY, dtype="float32")[DELAY:]
    decoded = read_samples(tmp_path / "a", 0, samples)
    assert np.abs(decoded[: len(expected)] - expected).max() < 1e-5
    np.testing.assert_allclose(read_samples(tmp_path / "a", samples - 999, 999), decoded[-999:], atol=1e-6)


def test_a_file_whose_length_libsndfile_finds_is_read_as_before(tmp_path: Path) -> None:
    content = constant(16000)
    (tmp_path / "a").write_bytes(content)
    assert inspect_audio(tmp_path / "a", 1e4).samples == count(content)


@pytest.mark.parametrize("tag", [0, 45, 3000])
def test_layer_two_is_read_to_its_end(tmp_path: Path, tag: int) -> None:
    padded = (int.from_bytes(LAYER_2, "big") | 1 << 9).to_bytes(4, "big")
    frames = [LAYER_2 + bytes(413), *[padded + bytes(414), LAYER_2 + bytes(413)] * 20]
    file = tmp_path / "a"
    file.write_bytes(tagged(b"".join(frames), tag) if tag else b"".join(frames))
    with open_whole(file, 1e4) as sound:
        assert sum(len(block) for block in read_blocks(sound)) == 41 * 1152
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(AudioProblem, match="truncated: 9 bytes"):
        open_whole(file, 1e4)

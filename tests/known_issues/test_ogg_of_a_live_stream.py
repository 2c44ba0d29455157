"""The recording of a live Ogg stream, whose sample positions don't start at 0, was refused as too long."""

import io
import struct
from pathlib import Path
from typing import List

import numpy as np
import pytest
import soundfile

from asrkit.corpus.audio import inspect_audio
from asrkit.errors import AudioProblem
from asrkit.signal.audio import read_samples

RATE = 16000
SAMPLES = 6 * RATE


def encode(subtype: str) -> bytes:
    stream = io.BytesIO()
    samples = 0.3 * np.random.default_rng(1).standard_normal(SAMPLES)
    soundfile.write(stream, samples, RATE, subtype, format="OGG")
    return stream.getvalue()


def pages(content: bytes) -> List[bytes]:
    found = []
    while content:
        segments = content[26]
        end = 27 + segments + sum(content[27 : 27 + segments])
        found.append(content[:end])
        content = content[end:]
    return found


def position(page: bytes) -> int:
    count: int = struct.unpack("<q", page[6:14])[0]
    return count


def check_sum(page: bytes) -> int:
    """CRC-32 of a page as in RFC 3533."""
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
    return value


def later(page: bytes, samples: int) -> bytes:
    """The same page in a stream that began `samples` earlier."""
    if position(page) <= 0:
        return page
    page = page[:6] + struct.pack("<q", position(page) + samples) + page[14:22] + bytes(4) + page[26:]
    return page[:22] + struct.pack("<I", check_sum(page)) + page[26:]


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("begin", ["later", "pages left out"])
def test_a_recorded_stream_is_valid(tmp_path: Path, subtype: str, begin: str) -> None:
    whole = pages(encode(subtype))
    audio = next(number for number, page in enumerate(whole) if position(page) > 0)
    if begin == "later":
        content, missing = b"".join(later(page, 100 * RATE) for page in whole), 0
    else:
        content = b"".join(whole[:audio] + whole[audio + 2 :])
        missing = position(whole[audio + 1]) * RATE // (48000 if subtype == "OPUS" else RATE)
    (tmp_path / "a.ogg").write_bytes(content)
    samples = inspect_audio(tmp_path / "a.ogg", 1e4).samples
    assert abs(samples - (SAMPLES - missing)) < 0.1 * RATE
    assert len(read_samples(tmp_path / "a.ogg", samples - RATE, RATE)) == RATE


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("begin", [0, 100 * RATE])
def test_a_missing_page_is_found(tmp_path: Path, subtype: str, begin: int) -> None:
    whole = [later(page, begin) for page in pages(encode(subtype))]
    middle = len(whole) // 2 + 1
    (tmp_path / "a.ogg").write_bytes(b"".join(whole[:middle] + whole[middle + 1 :]))
    with pytest.raises(AudioProblem, match=f"truncated: page {middle + 1} follows page {middle - 1}"):
        inspect_audio(tmp_path / "a.ogg", 1e4)

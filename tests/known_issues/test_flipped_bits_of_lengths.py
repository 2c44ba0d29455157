"""A flipped bit in the length of a W64, CAF, RF64 or SPHERE file, or a time of 1e305 s, ended the stage."""

import contextlib
import io
import struct
from pathlib import Path
from typing import Optional

import numpy as np
import pytest
import soundfile

from asrkit.corpus import audio
from asrkit.corpus.audio import AudioFacts, inspect_audio
from asrkit.corpus.utterance import Utterance
from asrkit.corpus.validation import _place
from asrkit.errors import AudioProblem

SAMPLES = 800


def encode(container: str) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, np.sin(np.arange(SAMPLES)), 16000, "PCM_16", format=container)
    return stream.getvalue()


@pytest.mark.parametrize("container", ["RF64", "W64", "CAF", "NIST", "WAV", "AIFF"])
def test_a_flipped_bit_rejects_only_its_file(tmp_path: Path, container: str) -> None:
    content = encode(container)
    for at in range(128):
        for bit in (0x80, 0x40):
            (tmp_path / "a").write_bytes(content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :])
            with contextlib.suppress(AudioProblem):
                inspect_audio(tmp_path / "a", 1e4)


def damaged(container: str) -> bytes:
    content = encode(container)
    mark = {"W64": content.index(b"data") + 16, "CAF": content.index(b"data") + 4, "RF64": 28}[container]
    form = ">q" if container == "CAF" else "<q"
    return content[:mark] + struct.pack(form, (1 << 63) - 200) + content[mark + 8 :]


@pytest.mark.parametrize("container", ["W64", "CAF", "RF64"])
def test_a_length_larger_than_any_file_is_rejected(tmp_path: Path, container: str) -> None:
    (tmp_path / "a").write_bytes(damaged(container))
    with pytest.raises(AudioProblem) as caught:
        inspect_audio(tmp_path / "a", 1e4)
    assert caught.value.kind == "truncated"


@pytest.mark.parametrize(("count", "kind"), [(-5, None), (10**20, "truncated")])
def test_impossible_counts_in_a_sphere_header(tmp_path: Path, count: int, kind: Optional[str]) -> None:
    old, new = (b"sample_count -i %d\n" % number for number in (SAMPLES, count))
    content = encode("NIST").replace(old, new)
    (tmp_path / "a").write_bytes(content[:1024].rstrip(b" \0").ljust(1024) + content[-2 * SAMPLES :])
    if kind is None:
        assert inspect_audio(tmp_path / "a", 1e4).samples == SAMPLES
        return
    with pytest.raises(AudioProblem) as caught:
        inspect_audio(tmp_path / "a", 1e4)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    "error", [kind("bad") for kind in (OSError, ValueError, OverflowError, struct.error)]
)
def test_errors_of_parsing_name_the_file(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    (tmp_path / "a").write_bytes(encode("WAV"))
    for name in ("check_size", "count_samples"):
        with monkeypatch.context() as patch:
            patch.setattr(audio, name, fail)
            with pytest.raises(AudioProblem, match=f"not readable audio: {tmp_path}/a: bad"):
                inspect_audio(tmp_path / "a", 1e4)


@pytest.mark.parametrize(("start", "duration"), [(1e305, 1e305), (0.0, 1e305), (1e305, None)])
def test_times_too_large_to_convert_to_samples_are_rejected(start: float, duration: Optional[float]) -> None:
    utterance = Utterance("u", Path("a"), "a", "s", "train", start, duration)
    with pytest.raises(AudioProblem, match="segment outside its audio"):
        _place(utterance, AudioFacts(16000, SAMPLES, ""))

"""A long recording was parsed from start to end for each of its segments or cuts."""

import io
from pathlib import Path
from typing import Any, Callable, List

import numpy as np
import pytest
import soundfile

from asrkit.corpus import containers, cut_set
from asrkit.corpus.containers import Spliced, _mpeg_frame
from asrkit.corpus.cut_manifest import Recording, Source
from asrkit.errors import AudioProblem
from asrkit.signal.audio import read_samples

RATE = 16000


def counted_calls(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> List[Any]:
    calls: List[Any] = []
    function: Callable[..., Any] = getattr(module, name)

    def called(*values: Any) -> Any:
        calls.append(values)
        return function(*values)

    monkeypatch.setattr(module, name, called)
    return calls


def mp3(seed: int) -> bytes:
    """MP3 with a variable bit rate, without the frame that contains the frame count."""
    samples = np.random.default_rng(seed).standard_normal(2 * RATE) * np.linspace(0.001, 0.3, 2 * RATE)
    stream = io.BytesIO()
    soundfile.write(stream, samples, RATE, "MPEG_LAYER_III", format="MP3", bitrate_mode="VARIABLE")
    frame = _mpeg_frame(stream.getvalue(), 0)
    assert frame is not None
    return stream.getvalue()[frame.length :]


def test_an_mp3_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp3").write_bytes(mp3(1))
    (tmp_path / "b.mp3").write_bytes(mp3(2))
    monkeypatch.setattr(containers, "JUST_NOW", 0)
    parsed = counted_calls(monkeypatch, containers, "_mpeg_frames")
    whole = read_samples(tmp_path / "a.mp3", 0, RATE)
    for first in range(0, RATE - 800, 1000):
        heard = read_samples(tmp_path / "a.mp3", first, 800)
        np.testing.assert_allclose(heard, whole[first : first + 800], atol=1e-6)
        read_samples(tmp_path / "b.mp3", first, 800)
    assert len(parsed) == 2


def test_a_changed_file_is_parsed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = counted_calls(monkeypatch, containers, "_mpeg_frames")
    for seed in (1, 2):  # perhaps within one step of the clock
        (tmp_path / "a.mp3").write_bytes(mp3(seed))
        read_samples(tmp_path / "a.mp3", 0, RATE)
    assert len(parsed) == 2


@pytest.mark.parametrize("whole", [True, False])
def test_the_recording_of_many_cuts_is_checked_once(
    tmp_path: Path, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "a.flac", np.random.default_rng(1).normal(size=RATE) / 9, RATE)
    if not whole:
        (tmp_path / "a.flac").write_bytes((tmp_path / "a.flac").read_bytes()[:-9999])
    monkeypatch.setattr(containers, "JUST_NOW", 0)
    opened = counted_calls(monkeypatch, cut_set, "open_whole")
    for number in range(3):
        source = Source("file", [0], "a.flac")
        recording = Recording("r", [source], RATE, RATE, 1.0)
        if whole:
            cut_set._find_sources(recording, tmp_path, tmp_path / f"{number}.wav")
            assert source.source == str(tmp_path / "a.flac")
        else:
            with pytest.raises(AudioProblem, match="truncated"):
                cut_set._find_sources(recording, tmp_path, tmp_path / f"{number}.wav")
    assert len(opened) == 1


def test_a_file_with_another_beginning(tmp_path: Path) -> None:
    content = bytes(range(200))
    (tmp_path / "a").write_bytes(content)
    expected = io.BytesIO(b"head" + content[30:])
    with io.BufferedReader(Spliced(tmp_path / "a", b"head", 30), 16) as spliced:
        assert spliced.seek(0, 2) == 174
        for place in (0, 2, 4, 100, 170, 174, 3):
            assert spliced.seek(place) == expected.seek(place) == spliced.tell()
            assert spliced.read(40) == expected.read(40)

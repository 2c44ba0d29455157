"""Kaldi data directories as found: rounded ends, channels, archives of WAV, relative commands."""

import io
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np
import pytest
import soundfile

from asrkit.config.recipe import CorpusConfig
from asrkit.corpus.derived_audio import derive_audio
from asrkit.corpus.kaldi import read_data_directory
from asrkit.corpus.validation import ValidUtterance, validate
from asrkit.errors import UserError
from tests.corpus.sound import noise, write_audio

RATE = 8000
CALL = noise(2, 7, RATE, channels=2)


def read(root: Path, allow_pipes: bool = False, **files: str) -> Tuple[List[ValidUtterance], Dict[str, str]]:
    """Valid utterances, and reasons for rejection by id; each utterance has its own speaker."""
    folder = root / "train"
    folder.mkdir(parents=True, exist_ok=True)
    ids = [line.split()[0] for line in files.get("segments", files["wav_scp"]).splitlines()]
    files = {
        "text": "".join(f"{id} ONE\n" for id in ids),
        "utt2spk": "".join(f"{id} s{id}\n" for id in ids),
        **files,
    }
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)
    config = CorpusConfig(module="kaldi")
    listed = list(read_data_directory(folder, "train", root, allow_pipes))
    utterances, damaged = derive_audio(listed, config, root / "derived", jobs=1)
    valid, unusable = validate(utterances, config, jobs=1)
    return valid, {one.id: f"{one.kind}: {one.detail}" for one in damaged + unusable}


def samples(one: ValidUtterance) -> np.ndarray:
    found, _ = soundfile.read(one.utterance.audio, one.samples, one.first_sample, dtype="float32")
    return found


def as_wav(content: np.ndarray, container: str = "WAV") -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, content, RATE, "PCM_16", format=container)
    return stream.getvalue()


def test_segments_slightly_longer_than_the_recording_end_with_it(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", noise(1, 1, RATE), RATE)
    ends = {"exact": 1.0, "rounded": 1.01, "late": 1.49, "too-late": 1.5, "far": 3, "to-the-end": -1}
    segments = "".join(f"{id} r 0.25 {end}\n" for id, end in ends.items())
    valid, reasons = read(tmp_path, wav_scp="r a.wav\n", segments=segments + "after r 1.1 1.2\n")
    assert {one.utterance.id: (one.first_sample, one.samples) for one in valid} == dict.fromkeys(
        ("exact", "rounded", "late", "to-the-end"), (2000, 6000)
    )
    assert {id: reason.partition(":")[0] for id, reason in reasons.items()} == dict.fromkeys(
        ("too-late", "far", "after"), "segment outside its audio"
    )


def test_channels_of_a_call_are_two_cuts_with_different_speakers(tmp_path: Path) -> None:
    write_audio(tmp_path / "call.wav", CALL, RATE)
    segments = "a call 0 1.5 0\nb call 0.5 2 1\nc call 0.25 1 1\nd call 0 1 2\n"
    valid, reasons = read(tmp_path, wav_scp="call call.wav\n", segments=segments)
    assert [(one.utterance.id, one.utterance.speaker) for one in valid] == [
        ("a", "sa"),
        ("b", "sb"),
        ("c", "sc"),
    ]
    channels = soundfile.read(tmp_path / "call.wav", dtype="float32")[0].T
    np.testing.assert_array_equal(samples(valid[0]), channels[0, :12000])
    np.testing.assert_array_equal(samples(valid[1]), channels[1, 4000:])
    np.testing.assert_array_equal(samples(valid[2]), channels[1, 2000:8000])
    assert valid[1].utterance.audio == valid[2].utterance.audio != valid[0].utterance.audio
    assert reasons == {"d": f"no such channel: found 2 in {tmp_path}/call.wav, expected 3"}


def test_a_stereo_recording_needs_a_channel(tmp_path: Path) -> None:
    write_audio(tmp_path / "call.wav", CALL, RATE)
    _, reasons = read(tmp_path, wav_scp="call call.wav\n", segments="a call 0 1.5\n")
    assert reasons == {"a": "more than one channel: found 2, expected 1"}


@pytest.mark.parametrize("channel", ["-1", "A", "0.5", "0 0"])
def test_an_invalid_channel_is_an_error_with_its_line(tmp_path: Path, channel: str) -> None:
    with pytest.raises(UserError, match=r"(?s)the line b r 0 1 .*segments, line 2"):
        read(tmp_path, wav_scp="r a.wav\n", segments=f"a r 0 1 0\nb r 0 1 {channel}\n")


def test_commands_run_in_the_corpus_folder_and_give_channels_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    write_audio(tmp_path / "train" / "call.wav", CALL, RATE)
    scp, segments = "r cat train/call.wav |\nlost cat absent.wav |\n", "a r 0 1 1\nb lost 0 1 1\n"
    valid, reasons = read(tmp_path, allow_pipes=True, wav_scp=scp, segments=segments)
    channels = soundfile.read(tmp_path / "train" / "call.wav", dtype="float32")[0].T
    np.testing.assert_array_equal(samples(valid[0]), channels[1, :8000])
    assert reasons["b"].startswith("command failed: cat absent.wav: exit status 1")
    assert [file.name for file in (tmp_path / "derived").iterdir()] == ["000000.wav"]


def test_wav_files_in_an_archive_are_read(tmp_path: Path) -> None:
    parts = {id: noise(0.5, number, RATE) for number, id in enumerate(("one", "two", "cut"))}
    archive, places = b"", {}
    for id, content in parts.items():
        archive += f"{id} ".encode()
        places[id] = len(archive)
        archive += as_wav(content)
    call = len(archive)
    archive += as_wav(CALL)
    (tmp_path / "wav.ark").write_bytes(archive[:-9])
    (tmp_path / "flac.ark").write_bytes(as_wav(parts["one"], "FLAC"))
    scp = "".join(f"{id} wav.ark:{place}\n" for id, place in places.items() if id != "cut")
    scp += (
        f"short wav.ark:{call}\nbeside wav.ark:3\nafter wav.ark:{10**30}\nflac flac.ark:0\nno absent.ark:5\n"
    )
    scp += "out ../wav.ark:4\nsystem /proc/self/environ:4\n"
    valid, reasons = read(tmp_path, wav_scp=scp)
    for one in valid:
        expected, _ = soundfile.read(io.BytesIO(as_wav(parts[one.utterance.id])), dtype="float32")
        np.testing.assert_array_equal(samples(one), expected)
    assert [one.utterance.id for one in valid] == ["one", "two"]
    assert {id: reason.partition(":")[0] for id, reason in reasons.items()} == {
        **dict.fromkeys(("beside", "after", "flac"), "no WAV file in the archive"),
        "short": "truncated",
        "no": "missing audio file",
        "out": "path outside the corpus",
        "system": "not a regular file",
    }


def test_a_file_name_with_colon_and_digits_is_not_an_archive(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", noise(1, 1, RATE), RATE).rename(tmp_path / "at 12:30")
    valid, reasons = read(tmp_path, wav_scp="a at 12:30\n")
    assert (len(valid), reasons) == (1, {})


@pytest.mark.parametrize("place", ["wav.ark:17[0:99]", "a.wav[10:20]", "wav.ark:17[0:99,0:1]"])
def test_ranges_are_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(UserError, match=r"(?s)is a range of an archive's entry.*wav.scp, line 2"):
        read(tmp_path, wav_scp=f"a a.wav\nb {place}\n")

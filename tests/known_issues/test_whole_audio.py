"""libsndfile stops where a header says, whatever follows: audio is read whole or rejected."""

import io
import struct
from pathlib import Path
from typing import Callable, Dict, Tuple

import numpy as np
import pytest
import soundfile

from asrkit.corpus.audio import inspect_audio
from asrkit.corpus.containers import _mpeg_frame
from asrkit.errors import AudioProblem
from asrkit.signal.audio import read_samples

RATE, SAMPLES = 16000, 160_000
LOUD = 0.3 * np.random.default_rng(1).standard_normal(SAMPLES)
SOFT = 0.01 * np.sin(np.arange(SAMPLES) / 20)
FIRST = {
    "loud": np.where(np.arange(SAMPLES) < 48000, LOUD, SOFT),
    "soft": np.where(np.arange(SAMPLES) < 112000, SOFT, LOUD),
}


def encode(
    container: str, subtype: str = "PCM_16", rate: int = RATE, samples: np.ndarray = LOUD, **options: object
) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples.astype(np.float32), rate, subtype, format=container, **options)
    return stream.getvalue()


def put(content: bytes, after: bytes, skip: int, value: bytes) -> bytes:
    """The content with `value` some bytes after a mark."""
    place = content.index(after) + len(after) + skip
    return content[:place] + value + content[place + len(value) :]


def little(number: int) -> bytes:
    return struct.pack("<I", number)


def big(number: int) -> bytes:
    return struct.pack(">I", number)


def flac_total(content: bytes, samples: int) -> bytes:
    kept = int.from_bytes(content[18:26], "big") >> 36 << 36
    return content[:18] + (kept | samples).to_bytes(8, "big") + content[26:]


def variable(first: str, rate: int = RATE) -> bytes:
    return encode("MP3", "MPEG_LAYER_III", rate, FIRST[first], bitrate_mode="VARIABLE", compression_level=0.5)


def headless(content: bytes) -> bytes:
    frame = _mpeg_frame(content, 0)
    assert frame is not None and (b"Xing" in content[: frame.length] or b"Info" in content[: frame.length])
    return content[frame.length :]


def xing(content: bytes, frames: int) -> bytes:
    mark = b"Xing" if b"Xing" in content else b"Info"
    return put(content, mark, 4, big(frames))


def inspect(folder: Path, content: bytes) -> int:
    (folder / "audio").write_bytes(content)
    return inspect_audio(folder / "audio", 1e4).samples


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100])
@pytest.mark.parametrize("first", FIRST)
def test_mp3_without_a_frame_count_is_read_to_its_end(tmp_path: Path, first: str, rate: int) -> None:
    whole = variable(first, rate)
    samples = inspect(tmp_path, headless(whole))
    assert abs(samples - SAMPLES) < 3000  # with the codec's padding, which is in the header
    with soundfile.SoundFile(io.BytesIO(whole)) as sound:
        expected = sound.read(dtype="float32")
    heard = read_samples(tmp_path / "audio", 0, samples)
    delay = max(range(2400), key=lambda d: float(np.dot(heard[d : d + 9000], expected[:9000])))
    assert np.abs(heard[delay : delay + 100_000] - expected[:100_000]).max() < 0.01
    for at in (samples - 500, 47_500, 111_900):
        np.testing.assert_allclose(read_samples(tmp_path / "audio", at, 500), heard[at : at + 500], atol=1e-6)


MP3: Dict[str, Callable[[bytes], bytes]] = {
    "too few": lambda whole: xing(whole, 40),
    "one too few": lambda whole: xing(
        whole, int.from_bytes(whole[whole.index(b"Xing") + 8 :][:4], "big") - 1
    ),
    "none": lambda whole: xing(whole, 0),
    "not told": lambda whole: put(whole, b"Xing", 0, big(0x0E)),
    "tag before": lambda whole: b"ID3\x04\0\0\0\0\x01\0" + b"\xff\xfb\x90\x64" * 32 + headless(whole),
    "tag after": lambda whole: headless(whole) + b"TAG" + b"x" * 125,
}


@pytest.mark.parametrize("change", MP3)
def test_mp3_with_a_wrong_frame_count_is_read_to_its_end(tmp_path: Path, change: str) -> None:
    assert abs(inspect(tmp_path, MP3[change](variable("loud"))) - SAMPLES) < 3000


WAV, FLAC, AIFF, AU = encode("WAV"), encode("FLAC"), encode("AIFF"), encode("AU")
ULAW, GSM = encode("WAV", "ULAW", 8000), encode("WAV", "GSM610", 8000)
VORBIS, OPUS = encode("OGG", "VORBIS"), encode("OGG", "OPUS")
HALF = SAMPLES  # bytes of half the audio
MORE, LESS = "longer than the header declares", "truncated"
DAMAGED: Dict[str, Tuple[bytes, str]] = {
    "wav half": (put(WAV, b"data", 0, little(HALF)), MORE),
    "wav half, riff too": (put(put(WAV, b"data", 0, little(HALF)), b"RIFF", 0, little(HALF + 36)), MORE),
    "wav nothing": (put(WAV, b"data", 0, little(0)), MORE),
    "wav twice": (put(WAV, b"data", 0, little(4 * HALF)), LESS),
    "wav and more": (WAV + WAV[100:9000], MORE),
    "wav and a file": (WAV + WAV, MORE),
    "wav cut": (WAV[:99999], LESS),
    "ulaw half": (put(ULAW, b"data", 0, little(HALF // 2)), MORE),
    "gsm half": (put(GSM, b"data", 0, little(65 * 200)), MORE),
    "extensible half": (put(encode("WAVEX"), b"data", 0, little(HALF)), MORE),
    "rf64 cut": (encode("RF64")[:99999], LESS),
    "w64 cut": (encode("W64")[:99999], LESS),
    "caf cut": (encode("CAF")[:99999], LESS),
    "svx cut": (encode("SVX")[:99999], LESS),
    "aiff half": (put(AIFF, b"SSND", 0, big(HALF + 8)), MORE),
    "aiff cut": (AIFF[:99999], LESS),
    "au half": (put(AU, b".snd", 4, big(HALF)), MORE),
    "au twice": (put(AU, b".snd", 4, big(4 * HALF)), LESS),
    "sphere cut": (encode("NIST")[:99999], LESS),
    "flac half": (flac_total(FLAC, SAMPLES // 2), MORE),
    "flac one": (flac_total(FLAC, 1), MORE),
    "flac half, tag": (flac_total(FLAC, SAMPLES // 2) + b"TAG" + bytes(125), MORE),
    "tag, flac half": (b"ID3\x04\0\0\0\0\0\x16" + bytes(22) + flac_total(FLAC, SAMPLES // 2), MORE),
    "flac twice": (flac_total(FLAC, 2 * SAMPLES), LESS),
    "flac unknown": (flac_total(FLAC, 0), "no length in the header"),
    "flac cut": (FLAC[:-50_000], LESS),
    "flac and a file": (FLAC + FLAC, "several FLAC streams"),
    "vorbis cut": (VORBIS[: len(VORBIS) * 2 // 3], LESS),
    "opus cut": (OPUS[: len(OPUS) * 2 // 3], LESS),
    "vorbis and a file": (VORBIS + VORBIS, "several Ogg streams"),
    "opus and a file": (OPUS + OPUS, "several Ogg streams"),
    "mp3 cut": (variable("loud")[:-1000], LESS),
    "mp3 cut, headless": (headless(variable("loud"))[:-1000], LESS),
    "mp3 twice": (xing(variable("loud"), 2000), LESS),
    "no length to check": (encode("IRCAM"), "unusable audio format"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_length_unlike_the_header_is_rejected(tmp_path: Path, what: str) -> None:
    content, kind = DAMAGED[what]
    with pytest.raises(AudioProblem) as caught:
        inspect(tmp_path, content)
    assert caught.value.kind == kind


def test_both_lengths_are_reported(tmp_path: Path) -> None:
    with pytest.raises(AudioProblem, match="160044 bytes, the file has 320044"):
        inspect(tmp_path, DAMAGED["wav half"][0])
    with pytest.raises(AudioProblem, match="the header declares 80000 samples, the file has 160000"):
        inspect(tmp_path, DAMAGED["flac half"][0])


SOUND: Dict[str, bytes] = {
    "wav to a pipe": put(WAV, b"data", 0, little(0xFFFFFFFF)),
    "wav by sox to a pipe": put(WAV, b"data", 0, little(0x7FFFF000)),
    "wav, riff nothing": put(WAV, b"RIFF", 0, little(0)),
    "wav, list": WAV + b"LIST" + little(2000) + b"INFO" * 500,
    "wav, tag": WAV + b"TAG" + b"x" * 125,
    "wav, zeros": WAV + bytes(5000),
    "wav, odd list": WAV + b"LIST" + little(5) + b"INFO\0",
    "wav, facts wrong": put(ULAW, b"fact", 4, little(17)),
    "aiff, count wrong": put(AIFF, b"COMM", 6, big(17)),
    "sphere, count wrong": encode("NIST").replace(b"sample_count -i 160000", b"sample_count -i 000017"),
    "au to a pipe": put(AU, b".snd", 4, big(0xFFFFFFFF)),
    "flac, tag": FLAC + b"TAG" + bytes(125),
    "tag, flac": b"ID3\x04\0\0\0\0\0\x16" + bytes(22) + FLAC,
    "flac of 24 bits": encode("FLAC", "PCM_24"),
    "flac of silence": encode("FLAC", samples=np.r_[LOUD[:1000], np.zeros(SAMPLES - 1000)]),
    "vorbis": VORBIS,
    "opus": OPUS,
    "mp3": variable("loud"),
    **{name: encode(name) for name in ("RF64", "W64", "CAF", "SVX", "NIST", "WAVEX")},
}


@pytest.mark.parametrize("what", SOUND)
def test_whole_files_are_valid(tmp_path: Path, what: str) -> None:
    assert inspect(tmp_path, SOUND[what]) == SAMPLES


def test_an_odd_chunk_without_padding(tmp_path: Path) -> None:
    wav = encode("WAV", "PCM_U8", samples=LOUD[:999])
    end = wav.index(b"data") + 8 + 999
    assert inspect(tmp_path, wav[:end] + b"LIST" + little(2000) + b"INFO" * 500) == 999


SEEKLESS = [
    ("WAV", "GSM610"),
    ("WAV", "G721_32"),
    ("WAV", "NMS_ADPCM_32"),
    ("W64", "GSM610"),
    ("AU", "G723_24"),
]
SEEKING = [
    ("WAV", "IMA_ADPCM"),
    ("WAV", "MS_ADPCM"),
    ("WAV", "ALAW"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
]


@pytest.mark.parametrize(("container", "subtype"), SEEKLESS + SEEKING)
def test_formats_without_seek_are_read_from_the_beginning(
    tmp_path: Path, container: str, subtype: str
) -> None:
    samples = inspect(tmp_path, encode(container, subtype, 8000, LOUD[:30_000]))
    whole = read_samples(tmp_path / "audio", 0, samples)
    for first, count in ((0, 10), (1, 8000), (10_003, 10_000), (samples - 7, 7)):
        part = read_samples(tmp_path / "audio", first, count)
        np.testing.assert_array_equal(part, whole[first : first + count])
    with pytest.raises(AudioProblem, match="truncated"):
        read_samples(tmp_path / "audio", samples - 7, 8)

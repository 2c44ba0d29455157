"""Noise, rooms and channels: ratios, levels, lengths, and errors that name the file."""

from pathlib import Path
from typing import Any, Optional, Type

import numpy as np
import pytest

from asrkit.config import (
    BabbleConfig,
    BandPassConfig,
    ClippingConfig,
    CodecConfig,
    FeaturesConfig,
    HissConfig,
    HumConfig,
    NoiseConfig,
    ReverberationConfig,
    RumbleConfig,
)
from asrkit.errors import UserError
from asrkit.signal.degradation import (
    WAVEFORM,
    Babble,
    Noise,
    Reverberation,
    Speech,
    WaveformTransform,
    convolve,
    limit_band,
    synthesise_rir,
)
from asrkit.signal.filterbank import FilterBank
from asrkit.signal.recordings import Recordings, find_recordings
from tests.corpus.sound import noise, write_audio

RATE = 16000
SPEECH = noise(1.0, 1).astype(np.float32)


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def made(
    kind: Type[WaveformTransform], folder: Path, samples: np.ndarray, rate: int = 16000
) -> WaveformTransform:
    """A transform by a folder's only recording."""
    write_audio(folder / "deep" / "er" / "sound.WAV", samples, rate)
    return of_folder(kind, folder)


def of_folder(kind: Type[WaveformTransform], folder: Path, snr: float = 0.0) -> WaveformTransform:
    name = f"augment.{kind.__name__.lower()}.directory"
    recordings = Recordings(find_recordings(folder, name), RATE, name)
    if kind is Noise:
        return Noise(NoiseConfig(directory="x", snr=(snr, snr)), RATE, recordings)
    return Reverberation(ReverberationConfig(directory="x"), RATE, recordings)


@pytest.mark.parametrize("snr", [-5.0, 0.0, 17.3])
@pytest.mark.parametrize(
    ("seconds", "rate", "channels"),
    [(3.0, 16000, 1), (0.3, 16000, 1), (1.7, 44100, 2)],
    ids=["long", "short", "other rate and channels"],
)
def test_noise_is_added_at_the_snr(
    tmp_path: Path, snr: float, seconds: float, rate: int, channels: int
) -> None:
    write_audio(tmp_path / "noise.wav", noise(seconds, 2, rate, channels), rate)
    added = of_folder(Noise, tmp_path, snr)(SPEECH, seeded(), "u") - SPEECH
    assert added.shape == SPEECH.shape
    ratio = 10 * np.log10(np.mean(SPEECH.astype(np.float64) ** 2) / np.mean(added.astype(np.float64) ** 2))
    assert ratio == pytest.approx(snr, abs=0.01)


def test_each_draw_of_noise_takes_another_segment(tmp_path: Path) -> None:
    transform = made(Noise, tmp_path, noise(3.0, 2))
    random = np.random.default_rng(0)
    first, second = (transform(SPEECH, random, "u") for _ in range(2))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(transform(SPEECH, seeded(), "u"), first)


def test_a_unit_impulse_as_rir_changes_nothing(tmp_path: Path) -> None:
    impulse = np.zeros(4000)
    impulse[100] = 0.5  # after the time that sound takes through the room
    reverberated = made(Reverberation, tmp_path, impulse)(SPEECH, seeded(), "u")
    np.testing.assert_allclose(reverberated, SPEECH, atol=1e-6)
    bank = FilterBank(FeaturesConfig())
    assert np.abs(bank.extract_steps(reverberated).astype(int) - bank.extract_steps(SPEECH)).max() <= 1


def test_an_echo_comes_after_its_delay_and_the_level_is_kept(tmp_path: Path) -> None:
    rir = np.zeros((2000, 2))
    rir[[50, 850], 0] = 0.8, 0.4
    rir[:, 1] = 0.1  # a second microphone, which isn't used
    reverberated = made(Reverberation, tmp_path, rir)(SPEECH, seeded(), "u")
    expected = SPEECH + np.concatenate([np.zeros(800), 0.5 * SPEECH[:-800]])
    expected *= np.sqrt(np.mean(SPEECH**2) / np.mean(expected**2))
    np.testing.assert_allclose(reverberated, expected, atol=1e-5)


def test_folders_and_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"augment\.reverberation\.directory: no such folder"):
        of_folder(Reverberation, tmp_path / "none")
    (tmp_path / "README").write_text("no audio")
    with pytest.raises(UserError, match="no audio file there") as caught:
        of_folder(Reverberation, tmp_path)
    assert ".flac, .ogg" in caught.value.expected and caught.value.where == str(tmp_path)
    (tmp_path / "text.wav").write_text("no audio")
    with pytest.raises(UserError, match=r"augment\.noise\.directory: can't use .*text\.wav"):
        of_folder(Noise, tmp_path)


def test_a_silent_rir_and_a_file_that_was_removed_are_named(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    reverberation = made(Reverberation, tmp_path, np.zeros(2000))
    silent = r"augment\.reverberation\.directory: can't use .*sound\.WAV: silence"
    with pytest.raises(UserError, match=silent):
        reverberation(SPEECH, random, "u")
    added = of_folder(Noise, tmp_path)
    (tmp_path / "deep/er/sound.WAV").unlink()
    with pytest.raises(UserError, match=r"augment\.noise\.directory: can't use .*sound\.WAV"):
        added(SPEECH, random, "u")


@pytest.mark.parametrize(("samples", "taps"), [(100, 7), (40_000, 8000), (9000, 12_000)])
def test_convolution_in_blocks_is_convolution(samples: int, taps: int) -> None:
    random = np.random.default_rng(0)
    x, response = (random.normal(0, 1, count).astype(np.float32) for count in (samples, taps))
    found, expected = convolve(x, response), np.convolve(x, response)
    np.testing.assert_allclose(found[: len(expected)], expected, atol=1e-3)
    assert not np.abs(found[len(expected) :]).max(initial=0) > 1e-3


def test_silence_around_a_noise_is_not_used(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", np.concatenate([noise(1.0, 2), np.zeros(4 * RATE)]))
    added = of_folder(Noise, tmp_path)(SPEECH, seeded(), "u") - SPEECH
    frames = np.square(added.reshape(-1, 1600)).mean(axis=1)
    assert frames.min() > 0.5 * frames.max()


def test_a_synthetic_room_decays_by_60_db_in_its_time() -> None:
    response = synthesise_rir(0.8, 3.0, RATE, seeded())
    assert response[0] == response.max() == 1.0 and len(response) == 0.8 * RATE + 1
    assert 10 * np.log10(1 / np.square(response[1:]).sum()) == pytest.approx(3.0, abs=0.1)
    early, late = (np.square(response[start : start + 800]).sum() for start in (1, 6401))
    assert 10 * np.log10(early / late) == pytest.approx(30, abs=2)  # half of the time later
    settings = ReverberationConfig(rt60=(0.8, 0.8))
    reverberated = Reverberation(settings, RATE)(SPEECH, seeded(), "u")
    assert np.square(reverberated).sum() == pytest.approx(np.square(SPEECH).sum(), rel=1e-3)


def voices(speakers: "dict[str, Optional[str]]") -> Speech:
    """An utterance per speaker, a tone of its own frequency: the place in the list, in 100 Hz."""
    time, ids = np.arange(RATE) / RATE, list(speakers)
    return Speech(ids, speakers.__getitem__, lambda id: np.sin(2 * np.pi * 100 * (1 + ids.index(id)) * time))


@pytest.mark.parametrize("speakers", ["aabc", "aaaa", [None] * 4], ids=["several", "one", "not known"])
def test_babble_is_of_other_speakers_else_of_other_utterances(speakers: Any) -> None:
    speech = voices(dict(zip("wxyz", speakers)))
    settings = BabbleConfig(snr=(0.0, 0.0), voices=(3, 3))
    heard = set()
    for seed in range(10):
        added = Babble(settings, RATE, speech=speech)(SPEECH, seeded(seed), "w") - SPEECH
        ratio = np.square(SPEECH).mean() / np.square(added).mean()
        assert 10 * np.log10(ratio) == pytest.approx(0.0, abs=0.1)
        power = np.abs(np.fft.rfft(added))[[100, 200, 300, 400]]
        heard |= set(np.flatnonzero(power > 0.1 * power.max()).tolist())
    assert heard == ({2, 3} if speakers == "aabc" else {1, 2, 3})


def test_band_limits_are_at_3_db_and_steep() -> None:
    time = np.arange(RATE) / RATE
    for hertz, decibels in ((1000, 0), (300, -3), (150, -24), (3400, -3), (6800, -24)):
        tone = np.sin(2 * np.pi * hertz * time)
        power = np.square(limit_band(tone, RATE, 300, 3400)).mean()
        assert 10 * np.log10(power / np.square(tone).mean()) == pytest.approx(decibels, abs=0.3)


ALL = [
    ReverberationConfig(),
    BabbleConfig(),
    RumbleConfig(),
    HumConfig(),
    HissConfig(),
    BandPassConfig(),
    ClippingConfig(share=(0.1, 0.1)),
    *(CodecConfig(codecs=(codec,)) for codec in ("mp3", "opus", "gsm", "mulaw")),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("settings", ALL, ids=str)
def test_the_same_random_values_give_the_same_samples_in_step_with_the_speech(
    settings: Any, rate: int
) -> None:
    speech = limit_band(noise(1.3, 1, rate), rate, 200, 2000).astype(np.float32)
    before = speech.copy()
    transform = WAVEFORM[type(settings)](settings, rate, speech=voices(dict(zip("uv", "ab"))))
    degraded = transform(speech, seeded(1), "u")
    assert degraded.dtype == np.float32 and degraded.shape == speech.shape and np.isfinite(degraded).all()
    assert np.array_equal(degraded, transform(speech, seeded(1), "u")) and np.array_equal(speech, before)
    assert not np.array_equal(degraded, speech)
    shift = np.correlate(degraded[1000:-1000], speech[2000:-2000], "valid").argmax() - 1000
    assert abs(shift) <= 1
    assert not np.array_equal(degraded, transform(speech, seeded(2), "u")) or isinstance(
        settings, (ClippingConfig, CodecConfig)
    )

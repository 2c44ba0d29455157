import math
from pathlib import Path
from typing import Type, get_args

import numpy as np
import pytest
import torch

from asrkit.config import (
    Augmentation,
    ConcatenateConfig,
    FeaturesConfig,
    GainAndTiltConfig,
    NoiseConfig,
    ReverberationConfig,
    SpecAugmentConfig,
    VtlpConfig,
)
from asrkit.errors import UserError
from asrkit.signal.augmentation import (
    DECIBEL,
    FEATURES,
    WAVEFORM,
    FeatureTransform,
    GainAndTilt,
    Noise,
    Reverberation,
    SpecAugment,
    Vtlp,
    WaveformTransform,
    augment_features,
    convolve,
    warp_time,
)
from asrkit.signal.filterbank import FilterBank
from tests.corpus.sound import noise, write_audio

MASKS = SpecAugmentConfig(time_masks=2, time_mask_fraction=0.2, frequency_masks=2, frequency_mask_bins=8)
LENGTHS = torch.tensor([100, 60, 100])
SPEECH = noise(1.0, 1).astype(np.float32)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def augment(seed: int) -> torch.Tensor:
    return SpecAugment(MASKS)(torch.ones(3, 100, 40), LENGTHS, seeded(seed))


def test_each_settings_class_has_one_transform_in_the_same_order() -> None:
    assert get_args(Augmentation) == (ConcatenateConfig, *WAVEFORM, *FEATURES)


def test_masks_are_bands_of_zeros_no_wider_than_set() -> None:
    for seed in range(20):
        masked = augment(seed)
        frames_masked = (masked == 0).all(dim=2)[:, :].sum(dim=1)
        bins_masked = (masked == 0).all(dim=1).sum(dim=1)
        assert set(masked.unique().tolist()) <= {0.0, 1.0}
        assert int(frames_masked.max()) <= 2 * 20
        assert int(bins_masked.max()) <= 2 * 8
        assert not (masked[1] == 0).all(dim=1)[60:].any()  # time masks stay within the utterance


def test_the_same_seed_gives_the_same_masks() -> None:
    assert torch.equal(augment(3), augment(3))
    assert not torch.equal(augment(3), augment(4))


@pytest.mark.parametrize("top_hertz", [4000.0, 8000.0])
def test_frequencies_move_by_the_factor_and_padding_stays_zero(top_hertz: float) -> None:
    features = torch.arange(80.0).expand(50, 30, 80).clone()  # each bin holds its own number
    features[0, 20:] = 0.0
    lengths = torch.full((50,), 30)
    vtlp = Vtlp(VtlpConfig(max_warp=0.2), top_hertz=top_hertz)
    warped = vtlp(features, lengths, seeded(1))
    top = math.log1p(top_hertz / 700)
    hertz = math.expm1(59 / 79 * top)  # bin 59, in units of 700 Hz
    factors = torch.expm1(warped[:, 0, 59] / 79 * top) / hertz
    assert 0.79 < float(factors.min()) < 0.9 and 1.1 < float(factors.max()) < 1.21
    assert not warped[0, 20:].any()


def test_time_warping_shifts_a_frame_and_keeps_the_order_of_frames() -> None:
    moved = set()
    for seed in range(20):
        ramp = torch.arange(100.0)[:, None].repeat(1, 3)
        warp_time(ramp, 20, seeded(seed))
        steps = ramp[1:, 0] - ramp[:-1, 0]
        assert ramp.shape == (100, 3) and float(steps.min()) >= 0
        assert float(ramp[0, 0]) <= 20 and float(ramp[-1, 0]) >= 79
        moved.add(round(float((ramp[:, 0] - torch.arange(100.0)).abs().max())))
    assert max(moved) > 10 and max(moved) <= 20


def test_a_short_utterance_is_not_warped() -> None:
    ramp = torch.arange(41.0)[:, None]
    warp_time(ramp, 20, seeded(0))
    assert torch.equal(ramp, torch.arange(41.0)[:, None])


def test_padding_does_not_change_what_is_drawn() -> None:
    transforms = (
        GainAndTilt(GainAndTiltConfig(), torch.ones(40)),
        Vtlp(VtlpConfig(max_warp=0.2)),
        SpecAugment(SpecAugmentConfig(time_warp_frames=10, frequency_mask_bins=8)),
    )
    features, lengths = torch.randn(3, 100, 40), torch.tensor([100, 15, 60])
    for row, length in enumerate(lengths.tolist()):
        features[row, length:] = 0.0

    def augmented(padding: int) -> torch.Tensor:
        padded = torch.nn.functional.pad(features, (0, 0, 0, padding))
        return augment_features(transforms, padded, lengths, seeded(1))

    longer = augmented(50)
    assert torch.equal(longer[:, :100], augmented(0)) and not longer[:, 100:].any()
    assert not longer[1, 15:].any() and not longer[2, 60:].any()


def test_gain_and_tilt_are_the_drawn_decibels_of_the_energy() -> None:
    settings = GainAndTiltConfig(max_gain=6.0, max_tilt=10.0)
    features, lengths = torch.randn(200, 30, 40), torch.full((200,), 30)
    features[0, 20:], lengths[0] = 0.0, 20
    deviation = torch.linspace(2.0, 4.0, 40)
    change = (GainAndTilt(settings, 1 / deviation)(features, lengths, seeded(1)) - features) * deviation
    assert not change[0, 20:].any()
    decibels = 10 * torch.log10(torch.exp(change[:, :20]))
    assert float((decibels - decibels[:, :1]).abs().max()) < 1e-3  # the same in all frames
    lowest, highest = decibels[:, 0, 0], decibels[:, 0, -1]
    middle = decibels[:, 0, 19:21].mean(dim=1)
    torch.testing.assert_close(middle, (lowest + highest) / 2, atol=1e-3, rtol=0)
    for drawn, widest in ((middle, 6.0), (highest - lowest, 10.0)):
        assert 0.9 * widest < float(drawn.max()) <= widest + 1e-3
        assert 0.9 * widest < -float(drawn.min()) <= widest + 1e-3


def test_a_gain_equals_that_of_the_audio() -> None:
    bank = FilterBank(FeaturesConfig())
    samples = noise(0.5, 1).astype(np.float32)
    quiet, loud = (torch.from_numpy(bank.extract(gain * samples)) for gain in (1.0, 10 ** (3 / 20)))
    assert float((loud - quiet - 3 * DECIBEL).abs().max()) <= 1.5 / 1024


@pytest.mark.parametrize(
    "transform",
    [GainAndTilt(GainAndTiltConfig(max_gain=0.0, max_tilt=0.0)), Vtlp(VtlpConfig(max_warp=0.0))],
    ids=["gain and tilt", "VTLP"],
)
def test_a_transform_with_a_range_of_0_draws_nothing(transform: FeatureTransform) -> None:
    generator, features = seeded(1), torch.randn(2, 5, 4)
    assert transform(features, torch.tensor([5, 5]), generator) is features
    assert torch.equal(generator.get_state(), seeded(1).get_state())


def test_views_of_a_batch_are_drawn_one_after_the_other() -> None:
    transforms = (Vtlp(VtlpConfig()), SpecAugment(MASKS))
    features, generator = torch.randn(3, 100, 40), seeded(1)
    views = augment_features(transforms, features, LENGTHS, seeded(1), views=2).chunk(2)
    for view in views:
        assert torch.equal(view, augment_features(transforms, features, LENGTHS, generator))
    assert not torch.equal(*views)


def made(
    kind: Type[WaveformTransform], folder: Path, samples: np.ndarray, rate: int = 16000
) -> WaveformTransform:
    """A transform by a folder's only recording."""
    write_audio(folder / "deep" / "er" / "sound.WAV", samples, rate)
    return of_folder(kind, folder)


def of_folder(kind: Type[WaveformTransform], folder: Path, snr: float = 0.0) -> WaveformTransform:
    if kind is Noise:
        return Noise(NoiseConfig(directory="x", snr=(snr, snr)), folder, 16000)
    return Reverberation(ReverberationConfig(directory="x"), folder, 16000)


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
    added = of_folder(Noise, tmp_path, snr).draw(np.random.default_rng(0))(SPEECH) - SPEECH
    assert added.shape == SPEECH.shape
    ratio = 10 * np.log10(np.mean(SPEECH.astype(np.float64) ** 2) / np.mean(added.astype(np.float64) ** 2))
    assert ratio == pytest.approx(snr, abs=0.01)


def test_each_draw_of_noise_takes_another_segment(tmp_path: Path) -> None:
    transform = made(Noise, tmp_path, noise(3.0, 2))
    random = np.random.default_rng(0)
    first, second = (transform.draw(random)(SPEECH) for _ in range(2))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(transform.draw(np.random.default_rng(0))(SPEECH), first)


def test_a_unit_impulse_as_rir_changes_nothing(tmp_path: Path) -> None:
    impulse = np.zeros(4000)
    impulse[100] = 0.5  # after the time that sound takes through the room
    reverberated = made(Reverberation, tmp_path, impulse).draw(np.random.default_rng(0))(SPEECH)
    np.testing.assert_allclose(reverberated, SPEECH, atol=1e-6)
    bank = FilterBank(FeaturesConfig())
    assert np.abs(bank.extract_steps(reverberated).astype(int) - bank.extract_steps(SPEECH)).max() <= 1


def test_an_echo_comes_after_its_delay_and_the_level_is_kept(tmp_path: Path) -> None:
    rir = np.zeros((2000, 2))
    rir[[50, 850], 0] = 0.8, 0.4
    rir[:, 1] = 0.1  # a second microphone, which isn't used
    reverberated = made(Reverberation, tmp_path, rir).draw(np.random.default_rng(0))(SPEECH)
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
        reverberation.draw(random)(SPEECH)
    added = of_folder(Noise, tmp_path).draw(random)
    (tmp_path / "deep/er/sound.WAV").unlink()
    with pytest.raises(UserError, match=r"augment\.noise\.directory: can't use .*sound\.WAV"):
        added(SPEECH)


@pytest.mark.parametrize(("samples", "taps"), [(100, 7), (40_000, 8000), (9000, 12_000)])
def test_convolution_in_blocks_is_convolution(samples: int, taps: int) -> None:
    random = np.random.default_rng(0)
    x, response = (random.normal(0, 1, count).astype(np.float32) for count in (samples, taps))
    found, expected = convolve(x, response), np.convolve(x, response)
    np.testing.assert_allclose(found[: len(expected)], expected, atol=1e-3)
    assert not np.abs(found[len(expected) :]).max(initial=0) > 1e-3

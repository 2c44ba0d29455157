"""Samples from log-Mel features: the Mel filters are undone, phases are found by Griffin-Lim."""

import torch
import torch.nn.functional as F
from torch import Tensor

from asrkit.config.recipe import FeaturesConfig
from asrkit.signal.filterbank import FilterBank

PREEMPHASIS = 0.97  # of the filter bank
ECHO = 512  # taps that undo it: 0.97**512 is 2e-7
UNFOLDING = 60  # multiplicative updates of the power spectrum
ITERATIONS = 60  # of Griffin-Lim
MOMENTUM = 0.99  # Perraudin et al. 2013; 0 is the original of Griffin and Lim 1984
SEED = 1  # of the first phases
PEAK = 0.99  # louder samples would clip


def to_samples(features: Tensor, config: FeaturesConfig) -> Tensor:
    """Samples (sample,) of log-Mel features (frame, bin), a frame shift per frame; the same every time."""
    filters = FilterBank(config).mel_filters()  # (frequency, bin)
    magnitudes = unfold_mel(features.exp(), filters).sqrt()
    shift, length = (round(config.sampling_rate * each) for each in (config.frame_shift, config.frame_length))
    window = torch.hann_window(length, periodic=False) ** 0.85  # Kaldi's povey, as the filter bank has it
    emphasised = griffin_lim(magnitudes.T, window, shift)
    # Frames of the filter bank have their centres half a shift later than those of torch.stft
    emphasised = F.pad(emphasised, (shift // 2, len(features) * shift - shift // 2 - len(emphasised)))
    echo = PREEMPHASIS ** torch.arange(ECHO - 1, -1, -1.0)
    samples = F.conv1d(F.pad(emphasised, (ECHO - 1, 0))[None, None], echo[None, None])[0, 0]
    return samples * min(1.0, PEAK / max(float(samples.abs().max()), 1e-9))


def unfold_mel(energies: Tensor, filters: Tensor) -> Tensor:
    """A power spectrum (frame, frequency), not negative, whose filtered energies are `energies` (frame, bin).

    Multiplicative updates for least squares (Lee and Seung 2001); `filters` (frequency, bin).
    """
    target = energies @ filters.T
    power = target.clone()
    for _ in range(UNFOLDING):
        power = power * target / ((power @ filters) @ filters.T).clamp_min(1e-12)
    return power


def griffin_lim(magnitudes: Tensor, window: Tensor, shift: int) -> Tensor:
    """Samples whose short-time spectrum has nearly these magnitudes (frequency, frame).

    Fast Griffin-Lim (Perraudin et al. 2013): phases of the spectrum of the samples that the last spectrum
    gave, pushed on by MOMENTUM.
    """
    size = 2 * (len(magnitudes) - 1)
    how = {"n_fft": size, "hop_length": shift, "win_length": len(window), "window": window}
    generator = torch.Generator().manual_seed(SEED)
    angles = 2 * torch.pi * torch.rand(magnitudes.shape, generator=generator)
    phases, before = torch.polar(torch.ones_like(angles), angles), torch.zeros(())
    for _ in range(ITERATIONS):
        samples = torch.istft(magnitudes * phases, **how)
        spectrum = torch.stft(samples, **how, pad_mode="constant", return_complex=True)
        pushed = spectrum - MOMENTUM / (1 + MOMENTUM) * before
        phases, before = pushed / pushed.abs().clamp_min(1e-12), spectrum
    return torch.istft(magnitudes * phases, **how)

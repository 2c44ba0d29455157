"""In a room whose impulse response has a negative peak, speech came early: the largest tap is an echo."""

from pathlib import Path

import numpy as np

from asrkit.config import ReverberationConfig
from asrkit.signal.degradation import Reverberation
from asrkit.signal.recordings import Recordings
from tests.corpus.sound import write_audio

RATE = 16000
CLICK = 4000  # samples after the start


def test_it_comes_when_the_direct_sound_does(tmp_path: Path) -> None:
    response = np.zeros(2000)
    response[[100, 450]] = -0.8, 0.4
    room = write_audio(tmp_path / "room.wav", response, RATE)
    speech = np.zeros(RATE, dtype=np.float32)
    speech[CLICK] = 1.0
    settings = ReverberationConfig(directory=str(tmp_path))
    reverberate = Reverberation(settings, RATE, Recordings([room], RATE, "augment.reverberation.directory"))
    reverberated = reverberate(speech, np.random.default_rng(0), "u")
    assert int(np.argmax(np.abs(reverberated))) == CLICK

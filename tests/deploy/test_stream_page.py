"""The page's microphone in Chromium, recognised while it records."""

from pathlib import Path

import pytest
import soundfile

pytest.importorskip("starlette", reason="needs the extra [serve]")
pytest.importorskip("websockets", reason="needs the extra [serve]")

from asrkit.deploy.server import ServerOptions
from asrkit.deploy.streams import StreamWorkers
from tests.deploy.test_server import serving
from tests.recognise.test_stream import make_recognizer, noise
from tests.show.browser import CHROMIUM, open_tab

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
TEXT = "document.getElementById('text').innerText"


def test_words_are_shown_while_the_microphone_records(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "noise.wav", noise(3.0), 16000)
    microphone = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={tmp_path / 'noise.wav'}",
    )
    streams = StreamWorkers(make_recognizer, count=1, most=1)
    with serving(ServerOptions(model="live"), streams=streams) as address:
        with open_tab(tmp_path / "profile", *microphone) as tab:
            tab.open(f"{address}/")
            tab.wait("streamingRate === 16000")
            tab.run("document.getElementById('speak').click()")
            tab.wait(f"{TEXT}.trim()")  # a partial text
            assert tab.run("document.getElementById('speak').textContent") == "Stop"
            assert tab.run("document.getElementById('player').hidden")
            tab.run("document.getElementById('speak').click()")
            tab.wait("!document.getElementById('player').hidden")
            assert tab.run("document.querySelectorAll('#words tr').length") > 0
            # Its duration isn't asked for: Chromium without a sound device sometimes doesn't load the sound
            assert tab.run("document.getElementById('player').src.startsWith('blob:')")
        assert not tab.problems
        assert not any("transcriptions" in each for each in tab.requests)  # nothing was uploaded
    streams.end()

"""The server's page failed in Firefox, without https, with an API key, and after a double click on Speak."""

from typing import Any, Iterator

import pytest
import soundfile

pytest.importorskip("starlette", reason="needs the extra [serve]")
pytest.importorskip("websockets", reason="needs the extra [serve]")

from asrkit.deploy.server import ServerOptions
from asrkit.deploy.streams import StreamWorkers
from tests.deploy.test_server import serving
from tests.recognise.test_stream import make_recognizer, noise
from tests.show.browser import CHROMIUM, Tab, open_tab

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")

KEY = "schl\u00fcssel/+"
STATE, TEXT = "document.getElementById('state').innerText", "document.getElementById('text').innerText"
# Records the microphone streams and object URLs that the page gets from the browser
WATCH = """
  window.streams = []; window.addresses = new Set();
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (given) => {
    const one = await ask(given);
    streams.push(one);
    return one;
  };
  const create = URL.createObjectURL, revoke = URL.revokeObjectURL;
  URL.createObjectURL = (blob) => { const url = create(blob); addresses.add(url); return url; };
  URL.revokeObjectURL = (url) => { addresses.delete(url); revoke(url); };
"""
LIKE_FIREFOX = """
  const connect = AudioContext.prototype.createMediaStreamSource;
  AudioContext.prototype.createMediaStreamSource = function (stream) {
    if (this.sampleRate === 16000) throw new DOMException("different sample-rate", "NotSupportedError");
    return connect.call(this, stream);
  };
"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    folder = tmp_path_factory.mktemp("page")
    soundfile.write(folder / "noise.wav", noise(3.0), 16000)
    microphone = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={folder / 'noise.wav'}",
    )
    streams = StreamWorkers(make_recognizer, count=1, most=2)
    try:
        with serving(ServerOptions(model="live", api_key=KEY), streams=streams) as address:
            with open_tab(folder / "profile", *microphone) as tab:
                tab.open(f"{address}/")
                tab.address = f"{address}/"  # type: ignore[attr-defined]
                yield tab
            assert not [each for each in tab.problems if "401" not in each]
    finally:
        streams.end()


def opened(tab: Tab, script: str = "") -> Tab:
    """Load the page again, and run a script that changes the browser's functions."""
    tab.open(tab.address)  # type: ignore[attr-defined]
    tab.run(f"sessionStorage.setItem('asrkit-key', {KEY!r})")
    tab.open(tab.address)  # type: ignore[attr-defined]
    tab.run(f"(() => {{ {WATCH} {script} }})()")
    tab.wait("streamingRate === 16000")
    return tab


def click(tab: Tab, name: str) -> None:
    tab.run(f"document.getElementById('{name}').click()")


def has_ended(tab: Tab) -> Any:
    return tab.run("streams.every((one) => one.getTracks().every((track) => track.readyState === 'ended'))")


def test_a_key_is_asked_for_and_kept(tab: Tab) -> None:
    tab.wait("!document.getElementById('key-part').hidden")
    set_key = (
        "(key) => { const field = document.getElementById('key'); field.value = key; field.onchange(); }"
    )
    tab.run(f"({set_key})({KEY!r})")
    tab.wait("streamingRate === 16000")
    tab.open(tab.address)  # type: ignore[attr-defined]
    tab.wait("streamingRate === 16000")  # without typing it again
    assert tab.run("document.getElementById('key-part').hidden")


@pytest.mark.parametrize("browser", ["", LIKE_FIREFOX], ids=["chromium", "like firefox"])
def test_words_are_shown_while_the_microphone_records(tab: Tab, browser: str) -> None:
    opened(tab, browser)
    click(tab, "speak")
    click(tab, "speak")  # disabled while it starts
    tab.wait(f"{TEXT}.trim()")
    assert tab.run("streams.length") == 1
    tab.wait("document.getElementById('speak').textContent === 'Stop'")
    click(tab, "speak")
    tab.wait("!document.getElementById('player').hidden")
    assert has_ended(tab)
    assert tab.run("document.getElementById('player').src.startsWith('blob:')")
    assert tab.run("addresses.size") == 2  # the sound and the subtitles of the last recording only


def test_the_microphone_is_released_when_it_cannot_be_used(tab: Tab) -> None:
    opened(tab, "window.AudioWorkletNode = class { constructor() { throw new Error('no worklet'); } };")
    click(tab, "speak")
    tab.wait(f"{STATE}.includes('no worklet')")
    assert has_ended(tab) and tab.run("addresses.size") == 0
    assert not tab.run("document.getElementById('speak').disabled")


def test_pages_without_https_say_so(tab: Tab) -> None:
    hide = "Object.defineProperty(navigator, 'NAME', { value: undefined, configurable: true });"
    opened(tab, hide.replace("NAME", "mediaDevices") + hide.replace("NAME", "clipboard"))
    click(tab, "speak")
    tab.wait(f"{STATE}.includes('only on https or localhost pages')")
    tab.run("document.getElementById('result').hidden = false")
    tab.run("document.getElementById('text').textContent = 'ONE'")
    click(tab, "copy")
    tab.wait(f"{STATE}.includes('press Ctrl-C')")
    assert tab.run("getSelection().toString().trim()") == "ONE"


def test_samples_keep_their_loudness_at_another_rate(tab: Tab) -> None:
    for hertz, expected in ((440, 0.5), (3000, 0.5), (12000, 0.0)):
        for rate in (48000, 44100):
            script = f"""(() => {{
              const change = resampler({rate}, 16000), found = [];
              const tone = (place) => 0.5 * Math.sin(2 * Math.PI * {hertz} * place / {rate});
              for (let first = 0; first < {rate}; first += 128) {{
                const block = Float32Array.from({{ length: 128 }}, (_, index) => tone(first + index));
                found.push(...change(block));
              }}
              return [found.length, Math.max(...found.slice(1000, 3000).map(Math.abs))];
            }})()"""
            count, peak = tab.run(script)
            assert count == pytest.approx(16000, abs=60) and peak == pytest.approx(expected, abs=0.02)

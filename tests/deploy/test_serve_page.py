"""The server's page in Chromium: a file, a microphone, subtitles, a phone's width."""

from typing import Any, Callable, Iterator, Tuple

import numpy as np
import pytest
import soundfile

pytest.importorskip("starlette", reason="needs the extra [serve]")

from asrkit.deploy.server import ServerOptions
from asrkit.deploy.workers import Request
from asrkit.recognise.transcript import Segment, Word
from tests.deploy.test_server import serving
from tests.show.browser import CHROMIUM, Tab, open_tab

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")


def hear(request: Request) -> Iterator[Tuple[str, Any]]:
    """Finds TONE in loud audio and <b>HUSH</b> in any other."""
    from asrkit.recognise.recording import read_recording

    samples, rate = read_recording(request.audio)
    seconds = len(samples) / rate
    yield "duration", seconds
    loud = float(np.abs(samples).max()) > 0.1 if len(samples) else False
    word = Word("TONE" if loud else "<b>HUSH</b>", 0.0, seconds, 0.9 if loud else 0.2)
    yield "segment", Segment(0.0, seconds, (word,))


def open_hearing() -> Callable[[Request], Iterator[Tuple[str, Any]]]:
    return hear


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    folder = tmp_path_factory.mktemp("page")
    time = np.arange(16000) / 16000
    soundfile.write(folder / "tone.wav", 0.5 * np.sin(2 * np.pi * 440 * time), 16000)
    soundfile.write(folder / "quiet.wav", 0.01 * np.sin(2 * np.pi * 440 * time), 16000)
    microphone = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={folder / 'tone.wav'}",
    )
    with serving(ServerOptions(model="hearing"), opener=open_hearing) as address:
        with open_tab(folder / "profile", *microphone) as tab:
            tab.open(f"{address}/")
            tab.folder = folder  # type: ignore[attr-defined]
            yield tab
        assert not tab.problems
        assert all(each.startswith((address, "blob:", "data:")) for each in tab.requests)


def upload(tab: Tab, name: str) -> None:
    root = tab.send("DOM.getDocument")["root"]["nodeId"]
    node = tab.send("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    tab.send("DOM.setFileInputFiles", nodeId=node, files=[str(tab.folder / name)])  # type: ignore[attr-defined]
    tab.wait("!document.getElementById('result').hidden")


def text(tab: Tab, selector: str) -> str:
    return str(tab.run(f"document.querySelector('{selector}').innerText"))


def test_a_file_gives_text_times_and_subtitles(tab: Tab) -> None:
    tab.wait("document.getElementById('model').textContent === 'with hearing'")
    upload(tab, "tone.wav")
    assert text(tab, "#text").strip() == "TONE"
    cells = tab.run("[...document.querySelectorAll('#words td')].map((cell) => cell.textContent)")
    assert cells == ["TONE", "0.00", "1.00", "0.90"]
    assert not tab.run("document.querySelector('#text .unsure')")
    assert tab.run("document.getElementById('srt').href").startswith("blob:")
    subtitles = tab.run("subtitles([{start: 0, end: 1, text: 'TONE'}, {start: 1, end: 2, text: ''}])")
    assert subtitles == "1\n00:00:00,000 --> 00:00:01,000\nTONE\n\n"


def test_unsure_words_are_marked_and_nothing_in_a_word_is_markup(tab: Tab) -> None:
    upload(tab, "quiet.wav")
    assert text(tab, "#text .unsure") == "<b>HUSH</b>"
    assert not tab.run("document.querySelector('#text b')")


def test_the_microphone_is_recorded_and_recognised(tab: Tab) -> None:
    tab.run("document.getElementById('result').hidden = true")
    tab.run("document.getElementById('speak').click()")
    tab.wait("document.getElementById('speak').textContent === 'Stop'")
    tab.run("new Promise((done) => setTimeout(done, 1500))")
    tab.run("document.getElementById('speak').click()")
    tab.wait("!document.getElementById('result').hidden")
    assert text(tab, "#text").strip() == "TONE"
    assert tab.run("document.getElementById('player').src.startsWith('blob:')")


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_a_phone(tab: Tab, dark: bool) -> None:
    tab.resize(390, 844, dark)
    upload(tab, "tone.wav")
    assert tab.run("document.documentElement.scrollWidth") <= 390
    background = tab.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(", "))) < 3 * 128) == dark
    tab.screenshot(tab.folder / f"phone-{dark}.png")  # type: ignore[attr-defined]

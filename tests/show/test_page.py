"""The page in Chromium: sorted, filtered and opened as a user does, without network and errors."""

import dataclasses
from pathlib import Path
from typing import Iterator

import pytest

from asrkit.pipeline.experiment import Experiment
from asrkit.show.data import collect
from asrkit.show.page import write_page
from tests.show.browser import CHROMIUM, Tab, open_tab
from tests.show.conftest import HOSTILE, HYPOTHESES, REFERENCES, make_experiment

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
IDS = (
    "[...document.querySelectorAll('#list button')].map(each => each.querySelector('.top span').textContent)"
)
OPENED = (
    "document.querySelector('#detail[data-drawn=true]') && document.querySelector('#detail h3').textContent"
)
BREAKDOWN = "[...document.querySelectorAll('#breakdown button')]"
# Of a copy, for a canvas that is read more than once makes Chromium warn
PIXELS = """
(canvas => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', {willReadFrequently: true});
  copy.drawImage(canvas, 0, 0);
  return copy.getImageData(0, 0, canvas.width, canvas.height).data;
})"""


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Tab]:
    with open_tab(tmp_path / "profile") as opened:
        opened.resize(1280, 900)
        yield opened
        assert opened.problems == []
        assert all(each.startswith(("file:///", "blob:", "data:")) for each in opened.requests)
        assert len([each for each in opened.requests if each.startswith("file:")]) == 1


@pytest.fixture
def page(experiment: Experiment, tmp_path: Path) -> str:
    write_page(tmp_path / "page.html", collect({"tiny": experiment}))
    return (tmp_path / "page.html").as_uri()


def choose(tab: Tab, select: str, value: str) -> None:
    tab.run(
        f"(() => {{ const select = document.getElementById('{select}'); select.value = '{value}'; "
        "select.dispatchEvent(new Event('change')); })()"
    )


def text(tab: Tab, selector: str) -> str:
    found: str = tab.run(f"document.querySelector('{selector}').innerText")
    return found


def open_utterance(tab: Tab, name: str) -> None:
    tab.run(
        "[...document.querySelectorAll('#list button')]"
        f".find(each => each.querySelector('.top span').textContent === '{name}').click()"
    )
    tab.wait(f"{OPENED} === '{name}'")


def test_figures_are_drawn(tab: Tab, page: str) -> None:
    tab.open(page)
    assert tab.run("document.title") == "tiny · asrkit"
    assert text(tab, "#headline b") == "21.43 %"
    assert "3 errors in 14 words" in text(tab, "#headline")
    assert tab.run("document.querySelectorAll('#curves figure').length") == 2
    assert text(tab, "#sweeps td.best") == "0"
    assert "TO → TWO" in text(tab, "#breakdown") and "2/5 = 40.00 %" in text(tab, "#breakdown")
    assert tab.run("document.querySelectorAll('#breakdown svg circle').length") == 1


def test_beams_are_listed(tab: Tab, experiment: Experiment, tmp_path: Path) -> None:
    page = collect({"tiny": experiment})
    row = {"beam": 8.0, "errors": 3, "reference": 14, "rtf": 0.0123, "chosen": False}
    page.main["systems"][0]["beams"] = [row, {**row, "beam": 20.0, "errors": 2, "chosen": True}]
    write_page(tmp_path / "page.html", page)
    tab.open((tmp_path / "page.html").as_uri())
    assert text(tab, ".beams tbody tr").split("\t") == ["8", "3/14 = 21.43 %", "0.012"]
    assert text(tab, ".beams tr.best").startswith("20\t")


def test_sorting_filtering_and_searching(tab: Tab, page: str) -> None:
    tab.open(page)
    assert tab.run(IDS) == ["u2", "u3", "u1", "u4", "u5"]  # errors, then rate
    choose(tab, "sort", "name")
    assert tab.run(IDS) == ["u1", "u2", "u3", "u4", "u5"]
    choose(tab, "filter-speaker", "ben")
    assert tab.run(IDS) == ["u3", "u4", "u5"]
    assert text(tab, "#count") == "3 of 5 utterances"
    choose(tab, "filter-errors", "without errors")
    assert tab.run(IDS) == ["u4", "u5"]
    choose(tab, "filter-length", "5-8")
    assert tab.run(IDS) == ["u5"]
    for select in ("filter-speaker", "filter-length"):
        choose(tab, select, "")
    choose(tab, "filter-errors", "any")
    tab.run("document.getElementById('search').focus()")
    tab.send("Input.insertText", text="two")
    assert tab.run(IDS) == ["u1"]
    tab.run("document.getElementById('search').value = ''")
    tab.run(f"{BREAKDOWN}.find(each => each.innerText === 'TO → TWO').click()")
    assert tab.run(IDS) == ["u1"]
    tab.run("document.getElementById('pair').click()")
    assert len(tab.run(IDS)) == 5


def test_an_utterance_is_opened(tab: Tab, page: str) -> None:
    tab.open(page)
    for name, expected in (
        ("u1", [["GO", "GO", ""], ["TO", "TWO", "S"], ["TEN", "TEN", ""]]),
        ("u2", [["STOP", "STOP", ""], ["NOW", "·", "D"]]),
        ("u3", [["GO", "GO", ""], ["ON", "ON", ""], ["·", "ON", "I"]]),
    ):
        open_utterance(tab, name)
        pairs = tab.run(
            "[...document.querySelectorAll('.pairs li[data-kind]')].map(each =>"
            " [...each.children].map(part => part.textContent))"
        )
        found = sorted(pairs) if name == "u3" else pairs  # which ON is the inserted one is a matter of taste
        assert found == (sorted(expected) if name == "u3" else expected)
    assert tab.run("document.querySelectorAll('.stage .word.wrong').length") == 1
    assert "GO ON" in text(tab, ".nbest tbody")
    words = "[...document.querySelectorAll('.graph .label')].map(each => each.firstChild.data)"
    assert tab.run(words) == ["GO", "ON"]


def test_signal_is_drawn_where_the_tone_is(tab: Tab, page: str) -> None:
    tab.open(page)
    open_utterance(tab, "u1")
    tab.wait("document.querySelector('audio').readyState >= 1")
    tab.press("p")
    tab.wait("document.querySelector('audio').currentTime > 0.1")
    assert tab.run("getComputedStyle(document.querySelector('.cursor')).visibility") == "visible"
    assert tab.run("document.querySelector('audio').duration") == pytest.approx(1.0, abs=0.01)
    place, least, most = tab.run(
        f"""(() => {{
          const canvas = document.getElementById('spectrogram');
          const data = {PIXELS}(canvas);
          const middle = canvas.width >> 1;
          const levels = [...Array(canvas.height).keys()].map(y => data[4 * (y * canvas.width + middle)]);
          const least = Math.min(...levels);
          return [levels.indexOf(least) / canvas.height, least, Math.max(...levels)];
        }})()"""
    )
    assert 1 - place == pytest.approx(1 / 8, abs=0.03)  # 1 of 8 kHz, from below
    assert most - least > 100
    filled = f"[...document.querySelectorAll('.stage canvas')].map(each => {PIXELS}(each).some(Boolean))"
    assert tab.run(filled) == [True, True, True]


def test_keys(tab: Tab, page: str) -> None:
    tab.open(page)
    assert tab.run("document.querySelector('#detail h3').textContent") == "u2"  # the first one is open
    for key, name in (("j", "u3"), ("j", "u1"), ("k", "u3")):
        tab.press(key)
        tab.wait(f"{OPENED} === '{name}'")
    assert tab.run("location.hash") == "#u=test%2Fu3"
    tab.press("/")
    assert tab.run("document.activeElement.id") == "search"
    tab.press("Escape")
    assert tab.run("document.activeElement.closest('#list') !== null")
    tab.press("ArrowDown")
    assert tab.run("document.activeElement.querySelector('.top span').textContent") == "u1"


def test_words_are_never_markup(tab: Tab, page: str) -> None:
    tab.open(page)
    open_utterance(tab, "u4")
    assert HOSTILE in tab.run("document.querySelector('.pairs').textContent")
    assert HOSTILE in tab.run("document.querySelector('#list').textContent")
    assert tab.run("document.title") == "tiny · asrkit"


@pytest.mark.parametrize("dark", [False, True])
def test_phone_width_and_dark_mode(tab: Tab, page: str, dark: bool) -> None:
    tab.resize(360, 740, dark)
    tab.open(page)
    light = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0] > 128"
    assert tab.run(light) is not dark
    open_utterance(tab, "u5")
    assert tab.run("document.documentElement.scrollWidth") == 360
    assert tab.run("document.querySelector('.list').offsetParent === null")
    tab.run("document.querySelector('.back').click()")
    assert tab.run("document.querySelector('.detail').offsetParent === null")


def test_two_experiments_side_by_side(tab: Tab, experiment: Experiment, tmp_path: Path) -> None:
    better = make_experiment(
        tmp_path / "b", experiment.corpus_directory, {**HYPOTHESES, "u1": REFERENCES["u1"]}
    )
    write_page(tmp_path / "page.html", collect({"a": experiment, "b": dataclasses.replace(better)}))
    tab.open((tmp_path / "page.html").as_uri())
    assert "−7.14 %" in text(tab, "#headline")
    choose(tab, "filter-errors", "different errors")
    assert tab.run(IDS) == ["u1"]
    assert text(tab, "#list .top b") == "1 → 0 / 3"
    open_utterance(tab, "u1")
    columns = "[...document.querySelectorAll('.pairs li[data-kind]')]"
    assert tab.run(f"{columns}.map(each => each.innerText.split('\\n'))") == [
        ["GO", "GO", "GO"],
        ["TO", "TWO", "S", "TO"],
        ["TEN", "TEN", "TEN"],
    ]
    assert tab.run("[...document.querySelectorAll('.pairs .differs')].length") == 1
    found = {"b right, a wrong": ["u1"], "a right, b wrong": [], "both wrong": ["u2", "u3"]}
    for chosen, ids in found.items():
        choose(tab, "filter-errors", chosen)
        assert tab.run(IDS) == ids


def test_synthetic_speech_is_beside_the_recording(tab: Tab, experiment: Experiment, tmp_path: Path) -> None:
    found = collect({"tiny": experiment})
    detail, row = found.details[0], found.main["utterances"][0]
    detail["synthetic"] = {"audio": detail["audio"], "speaker": "s", "words": ["SPOKEN"]}
    write_page(tmp_path / "page.html", found)
    tab.open((tmp_path / "page.html").as_uri() + f"#u={row['set']}/{row['id']}")
    tab.wait("document.querySelectorAll('.beside canvas').length == 2")
    assert "SPOKEN" in tab.run("document.querySelector('#detail').textContent")

"""asrkit corpus report: suspicious utterances are found, and the page shows them safely."""

import html
import re
import urllib.parse
from pathlib import Path
from typing import Any, Dict, List

import msgspec
import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from asrkit.cli.corpus import command
from asrkit.errors import UserError
from asrkit.pipeline.experiment import remember_corpus
from asrkit.stages import manifests
from asrkit.storage.files import read_json
from tests.corpus.sound import SmallCorpus, noise, write_audio
from tests.known_issues.test_changed_experiment import finish

WORDS = ("no", "perhaps", "yes", "certainly", "never")


def report(corpus: SmallCorpus) -> Path:
    """Run the report; returns EXP/corpus."""
    experiment = corpus.experiment()
    manifests.run(experiment)
    settings = yaml.safe_dump(msgspec.to_builtins(experiment.config))
    (experiment.directory / "recipe.yaml").write_text(settings)
    remember_corpus(experiment)
    finish(experiment.directory, ["manifests"])
    arguments = ["report", "--exp", str(experiment.directory), "--nj", "1"]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return experiment.directory / "corpus"


def spoken(
    corpus: SmallCorpus, id: str, text: str, split: str = "train", says: str = "", **place: Any
) -> None:
    """Add noise as long as speech of `says`, or else of the text."""
    count = len((says or text).replace(" ", ""))
    seconds = count / 15 * (1 + 0.1 * np.sin(len(corpus.rows)))  # speakers differ
    write_audio(corpus.directory / f"{id}.wav", noise(seconds, len(corpus.rows)))
    corpus.add(id, split, text=text, audio=f"{id}.wav", **place)


@pytest.fixture
def corpus(tmp_path: Path) -> SmallCorpus:
    made = SmallCorpus(tmp_path)
    made.directory.mkdir()
    for number in range(40):
        text = " ".join(WORDS[number % 5] for _ in range(4 + number % 3))
        spoken(made, f"u{number:02d}", text, speaker=f"s{number % 4}")
    spoken(made, "d", "never again", "dev", speaker="s0")
    spoken(made, "t", "certainly yes", "test")
    return made


def suspects(folder: Path) -> Dict[str, List[str]]:
    return {
        kind: [row["id"] for row in rows]
        for kind, rows in read_json(folder / "report.json")["suspects"].items()
    }


def test_a_clean_corpus_has_no_suspects_and_right_counts(corpus: SmallCorpus) -> None:
    folder = report(corpus)
    assert suspects(folder) == {}
    found = read_json(folder / "report.json")
    train = found["splits"]["train"]
    assert (train["utterances"], train["speakers"]) == (40, 4)
    assert train["sampling_rates"] == {"16000": 40}
    assert train["hours"] == pytest.approx(train["seconds"] / 3600, abs=1e-4)
    assert sum(train["seconds_of_speakers"].values()) == pytest.approx(train["seconds"], abs=0.5)
    assert [pair["speakers"] for pair in found["overlaps"]] == [1, 0, 0]
    rarest = found["symbols"][0]
    assert (rarest["symbol"], rarest["name"], rarest["count"]) == ("g", "LATIN SMALL LETTER G", 1)
    assert rarest["example"] == "d"


def test_swapped_transcripts_clipping_silence_and_low_level_are_suspects(corpus: SmallCorpus) -> None:
    short, long = "no", "certainly perhaps never certainly perhaps"
    spoken(corpus, "swapped-a", long, says=short)
    spoken(corpus, "swapped-b", short, says=long)
    write_audio(corpus.directory / "clipped.wav", np.clip(20 * noise(2, 91), -1, 1))
    corpus.add("clipped", "train", text=" ".join(["certainly"] * 3), audio="clipped.wav")
    quiet = np.concatenate([noise(2, 92), 0.001 * noise(8, 93)])
    write_audio(corpus.directory / "silent.wav", quiet)
    corpus.add("silent", "train", text=" ".join(["certainly"] * 3), audio="silent.wav")
    write_audio(corpus.directory / "quiet.wav", 0.03 * noise(2, 94))
    corpus.add("quiet", "train", text=" ".join(["certainly"] * 3), audio="quiet.wav")
    assert suspects(report(corpus)) == {
        "clipping": ["clipped"],
        "mostly silence": ["silent"],
        "quiet": ["quiet"],
        "too little text for the audio": ["swapped-b"],
        "too much text for the audio": ["swapped-a"],
    }


def test_the_page_plays_the_audio_and_runs_nothing_of_the_corpus(corpus: SmallCorpus) -> None:
    spoken(corpus, "a&b#c", "yes <script>alert(1)</script> perhaps never", "dev")
    folder = report(corpus)
    page = (folder / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    addresses = [html.unescape(found) for found in re.findall(r' src="([^"]*)"', page)]
    assert len(addresses) >= 10
    for address in addresses:
        path, _, part = address.partition("#")
        assert not path.startswith(("/", "http"))
        assert (folder / urllib.parse.unquote(path)).is_file()
        assert re.fullmatch(r"t=\d+\.\d+,\d+\.\d+", part)
    assert not re.search(r"<(link|img|iframe)|@import", page)
    assert page.count("<svg") == 1


def test_the_same_corpus_gives_the_same_bytes(corpus: SmallCorpus) -> None:
    first, second = ({file.name: file.read_bytes() for file in report(corpus).iterdir()} for _ in range(2))
    assert first == second


def test_missing_audio_is_an_error(corpus: SmallCorpus) -> None:
    folder = report(corpus)
    (corpus.directory / "u07.wav").unlink()
    with pytest.raises(UserError, match=r"u07: not readable audio.*u07\.wav"):
        CliRunner().invoke(command, ["report", "--exp", str(folder.parent)], catch_exceptions=False)

"""One file whose name isn't UTF-8, anywhere below the corpus, stopped everything with UnicodeEncodeError."""

import json
import os
from pathlib import Path
from typing import List

import pytest

from asrkit.config import CorpusConfig
from asrkit.corpus.audio import AudioFacts
from asrkit.corpus.rejection import list_rejections
from asrkit.corpus.utterance import Utterance
from asrkit.corpus.validation import validate
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.storage.files import read_jsonl
from tests.pipeline.toy import Toy, settings

LATIN, BYTES = os.fsdecode(b"caf\xe9.wav"), os.fsdecode(b"\xff\xfe\x80")


@pytest.mark.parametrize("name", [LATIN, os.fsdecode(b"d\xe9/\xff\xed\xa0\x80")])
def test_such_a_file_is_part_of_the_corpus(toy: Toy, name: str) -> None:
    toy.run()
    file = toy.corpus / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("no")
    shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    assert f"{shown} is new" in toy.states()["collect"]
    toy.run()
    assert toy.states() == {}
    file.write_text("yes yes")
    assert f"{shown} changed" in toy.states()["collect"]
    toy.run()
    assert toy.states() == {}
    file.unlink()
    assert f"{shown} is missing" in toy.states()["collect"]


def test_two_names_that_differ_in_such_bytes_are_two_files(toy: Toy) -> None:
    toy.corpus.mkdir()
    for byte in (b"\xe9", b"\xe8", b"\\xe9"):
        (toy.corpus / os.fsdecode(byte + b".txt")).write_text("a")
    toy.run()
    listing = toy.exp / "stages/collect.files.json"
    before = json.loads(listing.read_text())["corpus"]
    for byte in (b"\xe9", b"\xe8", b"\\xe9"):
        (toy.corpus / os.fsdecode(byte + b".txt")).write_text(f"b{byte!r}")
    toy.run()
    after = json.loads(listing.read_text())["corpus"]
    assert sum(before[name] != after[name] for name in before) == 3


def test_freshness_does_not_depend_on_the_locale(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.corpus.mkdir()
    for name in (LATIN, "\u00e4.wav", "\u4f60.wav"):
        (toy.corpus / name).write_text("no")
    toy.run()
    for locale in ("C", "POSIX", "en_US.ISO-8859-1"):
        for name, value in (("LC_ALL", locale), ("PYTHONCOERCECLOCALE", "0"), ("PYTHONUTF8", "0")):
            monkeypatch.setenv(name, value)
        assert toy.states() == {}
        assert len(toy.ran(toy.run("--force", "--stage", "1", "--stop-stage", "1"))) == 1
    monkeypatch.undo()
    assert toy.states() == {}


@pytest.mark.parametrize("place", ["exp", "corpus", "recipe"])
def test_a_folder_of_such_a_name_is_refused(tmp_path: Path, place: str) -> None:
    folders = {name: tmp_path / (LATIN if name == place else name) for name in ("exp", "corpus", "recipe")}
    with pytest.raises(UserError, match="isn't UTF-8") as caught:
        Experiment(settings(), folders["exp"], folders["corpus"], folders["recipe"], 1)
    assert r"caf\xe9.wav" in str(caught.value)


@pytest.mark.parametrize("option", ["--exp", "--corpus-dir"])
def test_the_command_refuses_it(toy: Toy, option: str) -> None:
    output = toy.run(option, str(toy.folder / BYTES), status=1)
    assert r"\xff\xfe\x80 isn't UTF-8" in output
    assert "to do:" in output


def test_an_utterance_in_such_a_file_is_listed(tmp_path: Path) -> None:
    def inspect(file: Path, limit: float) -> AudioFacts:
        return AudioFacts(16000, 16000, str(file))

    listed: List[Utterance] = [
        Utterance("a", tmp_path / LATIN, "one", "speaker", "train"),
        Utterance("b", tmp_path / "b.wav", "two", "speaker", "train"),
        Utterance(LATIN, tmp_path / "c.wav", "three", "speaker", "train"),
    ]
    valid, rejected = validate(listed, CorpusConfig(module="toy"), 1, inspect)
    assert [one.utterance.id for one in valid] == ["b"]
    list_rejections(tmp_path / "rejected.jsonl", rejected, [])
    rows = read_jsonl(tmp_path / "rejected.jsonl")
    assert [(row["id"], row["kind"], row["text"]) for row in rows] == [
        ("a", "file name that isn't UTF-8", "one"),
        (ascii(LATIN)[1:-1], "unusable id", "three"),
    ]
    assert r"caf\xe9.wav" in rows[0]["reason"]
    (tmp_path / "rejected.jsonl").read_text(encoding="utf-8")

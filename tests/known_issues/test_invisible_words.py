"""A lone U+200B was a word without units: invisible characters are removed, and tabs separate words."""

from pathlib import Path

import pytest

from asrkit.config import CorpusConfig
from asrkit.corpus.manifests import read_cuts
from asrkit.corpus.text import check_text, normalise_text
from asrkit.stages import manifests
from asrkit.storage.files import read_jsonl
from tests.corpus.sound import SmallCorpus, kinds

ANY = CorpusConfig(module="any")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\tb\u00a0c\u2009d\u3000e\u2028f\x0bg\x0ch", "a b c d e f g h"),
        ("ONE \u200b TWO", "ONE TWO"),
        (
            "foo\u200bbar co\u00adop wo\u2060rd a\u034fb \u2764\ufe0f \u3164 \u2800",
            "foobar coop word ab \u2764",
        ),
        ("ภาษา\u200bไทย", "ภาษา ไทย"),  # separates words in scripts without spaces
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("ه\u200c ر", "ه ر"),
        ("क\u094d\u200dष അവന\u0d4d\u200d", "क\u094d\u200dष അവന\u0d4d\u200d"),
        ("foo\u200dbar Auf\u200clage \u200d", "foobar Auflage"),
        ("ᠪᠠᠷ\u180eᠠ", "ᠪᠠᠷ\u180eᠠ"),
        ("e\u0301 e\u200b\u0301 ＯＫ\u3000１", "\u00e9 \u00e9 OK 1"),
    ],
)
def test_normalisation(text: str, expected: str) -> None:
    assert check_text(text, ANY) == expected == check_text(expected, ANY)


@pytest.mark.parametrize("character", "\x00\x1c\x85\u200e\u2066\ufeff\ufffd\ud800\ue000\u2581\u2585")
def test_deceptive_characters_are_rejected(tmp_path: Path, character: str) -> None:
    corpus = SmallCorpus(tmp_path)
    corpus.add_splits({"train": 2, "dev": 1, "test": 1})
    experiment = corpus.experiment()
    module = experiment.local_directory / "small.py"
    changed = module.read_text().replace(
        "text=text[0]", f"text=text[0].replace('-00', '') + {character!a} * (id == 'train-00')"
    )
    module.write_text(changed)
    manifests.run(experiment)
    rows = read_jsonl(experiment.folder("manifests") / "rejected.jsonl")
    assert kinds(rows) == {"train-00": "control characters in text"}
    assert f"U+{ord(character):04X}" in rows[0]["reason"]


def test_removed_characters_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = SmallCorpus(tmp_path)
    corpus.add_splits({"train": 1, "dev": 1, "test": 1})
    corpus.add("a", "train", text="co\u00adop \u200b")
    corpus.add("b", "train", text="\u200b")
    experiment = corpus.experiment()
    manifests.run(experiment)
    assert kinds(read_jsonl(experiment.folder("manifests") / "rejected.jsonl")) == {"b": "empty text"}
    assert [cut.supervisions[0].text for cut in read_cuts(experiment, "train")][1:] == ["coop"]
    assert "removed the invisible character U+00AD from 1 texts" in capsys.readouterr().out


@pytest.mark.parametrize("speaker", ["a\x1b]0;x\x07", "\ud800"])
def test_a_speaker_with_control_characters_is_rejected(tmp_path: Path, speaker: str) -> None:
    corpus = SmallCorpus(tmp_path)
    corpus.add_splits({"train": 2, "dev": 1, "test": 1})
    experiment = corpus.experiment()
    module = experiment.local_directory / "small.py"
    module.write_text(
        module.read_text().replace("speaker=speaker", f"speaker={speaker!a} if id == 'train-00' else 's'")
    )
    manifests.run(experiment)
    assert kinds(read_jsonl(experiment.folder("manifests") / "rejected.jsonl")) == {
        "train-00": "unusable speaker"
    }


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("mixed", "我 想 buy 一 个 iPhone 手 机 don't C# 々"),
        ("characters", "我 想 b u y 一 个 i P h o n e 手 机 d o n ' t C # 々"),
        ("spaced", "我想buy 一个 iPhone手机 don't C# 々"),
    ],
)
def test_chinese_characters_may_be_words_beside_whole_latin_ones(words: str, expected: str) -> None:
    config = CorpusConfig(module="any", words=words)
    assert normalise_text("我想buy 一个 iPhone手机 don't C# 々", config) == expected


def test_a_character_has_its_marks_with_it() -> None:
    config = CorpusConfig(module="any", words="characters")
    assert normalise_text("x\u0301 हि", config) == "x\u0301 हि"

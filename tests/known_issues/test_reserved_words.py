"""<unk>, <s> or <eps> in a transcript stopped stages units and lm; # was refused in any word."""

from pathlib import Path
from typing import Dict

import pytest

from asrkit.config import CorpusConfig, UnitsConfig
from asrkit.corpus.audio import AudioProblem
from asrkit.corpus.manifests import read_cuts
from asrkit.corpus.text import check_text
from asrkit.errors import UserError
from asrkit.lm.kneser_ney import estimate
from asrkit.stages import manifests
from asrkit.storage.files import read_jsonl
from asrkit.text.extra_text import read_extra_text
from asrkit.text.units import build_units
from tests.corpus.sound import SmallCorpus, kinds

RESERVED = ["<unk>", "<UNK>", "<s>", "</s>", "<eps>"]
USABLE = [
    "C#",
    "#metoo",
    "#0",
    "#",
    "<blk>",
    "<noise>",
    "a<s>",
    "[unk]",
    ";;;",
    "\\data\\",
    "(2)",
    "0.5",
]


@pytest.mark.parametrize("word", [*RESERVED, "<S>", "<Unk>", "<eps\u200b>"])
@pytest.mark.parametrize("setting", [{}, {"case": "lower"}, {"case": "upper"}, {"words": "characters"}])
def test_a_reserved_word_is_listed_whatever_settings_make_of_it(word: str, setting: Dict[str, str]) -> None:
    with pytest.raises(AudioProblem, match="reserved word in text"):
        check_text(f"ONE {word} TWO", CorpusConfig(module="any", **setting))


def test_it_is_listed_by_id_in_stage_1(tmp_path: Path) -> None:
    corpus = SmallCorpus(tmp_path)
    corpus.add_splits({"train": 2, "dev": 1, "test": 1})
    corpus.add("bad", "train", text="ONE <unk> TWO")
    experiment = corpus.experiment()
    manifests.run(experiment)
    rows = read_jsonl(experiment.folder("manifests") / "rejected.jsonl")
    assert kinds(rows) == {"bad": "reserved word in text"} and "<unk>" in rows[0]["reason"]


@pytest.mark.parametrize("kind", ["bpe", "characters", "phones"])
def test_what_is_taken_in_stage_1_has_units_and_a_language_model(tmp_path: Path, kind: str) -> None:
    corpus = SmallCorpus(tmp_path)
    corpus.add_splits({"dev": 1, "test": 1})
    for number, word in enumerate(USABLE * 3):
        corpus.add(f"u{number}", "train", text=f"ONE {word} TWO THREE")
    experiment = corpus.experiment()
    manifests.run(experiment)
    assert read_jsonl(experiment.folder("manifests") / "rejected.jsonl") == []
    sentences = [cut.supervisions[0].text for cut in read_cuts(experiment, "train")]
    words = sorted({word for sentence in sentences for word in sentence.split()})
    spoken = (word for word in words if word not in ("#", ";;;"))  # which begin a comment there
    (tmp_path / "lexicon.txt").write_text(
        "".join(f"{word} 1.0 P{number}\n" for number, word in enumerate(spoken))
    )
    if kind == "phones":
        sentences = [
            sentence for sentence in sentences if not {"#", ";;;", "#metoo", "#0"} & set(sentence.split())
        ]
    config = UnitsConfig(kind=kind, vocabulary_size=70)
    units = build_units(config, sentences, tmp_path / "units", tmp_path / "lexicon.txt")
    for sentence in sentences:
        assert units.words(units.encode(sentence)) == sentence.split()
    estimate(sentences, 2, min_counts=[1, 1], scratch=tmp_path)


def test_unusable_sentences_of_extra_text_are_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "more.txt"
    file.write_text("one two\n<s> three </s>\n\nfour\tfive\nsix\x07\n\u200b\n<unk> seven\n", "utf-8")
    assert list(read_extra_text(file, CorpusConfig(module="any"))) == ["one two", "four five"]
    said = "3 sentences of more.txt can't be used and are left out; the first is sentence 2: reserved word"
    assert said in capsys.readouterr().out
    file.write_text("<s> one </s>\n")
    with pytest.raises(UserError, match="none of 1 sentences can be used; the first is sentence 1") as caught:
        list(read_extra_text(file, CorpusConfig(module="any")))
    assert caught.value.where == str(file)


@pytest.mark.parametrize(
    "line", ["<s> S", "</s> S", "<eps> S", "ONE <blk>", "ONE #1", "ONE W #0", "\u200b S", "O\u202eN S"]
)
def test_a_lexicon_is_refused_with_the_line(tmp_path: Path, line: str) -> None:
    file = tmp_path / "lexicon.txt"
    file.write_text(f"TWO T UW\n{line}\n", "utf-8")
    with pytest.raises(UserError) as caught:
        build_units(UnitsConfig(kind="phones"), ["TWO"], tmp_path / "units", file)
    assert "lexicon.txt, line 2" in caught.value.where


@pytest.mark.parametrize("word", ["<unk>", "<Unk>", "<S>"])
def test_the_unknown_word_has_a_name_of_its_own_in_any_case(word: str, tmp_path: Path) -> None:
    from asrkit.config import load_config

    (tmp_path / "recipe.yaml").write_text("name: x\ncorpus: {module: tsv}\n")
    with pytest.raises(UserError, match=r"units.unknown_word is"):
        load_config(tmp_path / "recipe.yaml", assignments=["units.kind=phones", f"units.unknown_word={word}"])

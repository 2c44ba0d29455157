"""Texts were NFC, lexicons and given ARPA models as they came: words that look the same weren't found."""

import gzip
import unicodedata
from pathlib import Path
from typing import Dict

import pytest

from asrkit.config import CorpusConfig, LmConfig, RecipeConfig, UnitsConfig
from asrkit.lm.arpa import copy_arpa, read_arpa, write_arpa
from asrkit.lm.kneser_ney import estimate
from asrkit.pipeline.experiment import Experiment
from asrkit.stages import lm, units
from asrkit.storage.files import write_text
from asrkit.text.lexicon import read_lexicon
from asrkit.text.units import load_units
from tests.storage.json_lines import write_jsonl_gz

TEXTS = ["CAFÉ NAÏVE ONE", "ONE CAFÉ", "NAÏVE Ａ１", "한국 ONE"]
PHONES = {"café": "K AE F EY", "naïve": "N AY IY V", "one": "W AH N", "Ａ１": "EY", "한국": "H G"}


def written(text: str, form: str) -> str:
    """In that Unicode form, with invisible characters in NFD."""
    return unicodedata.normalize(form, text.replace("café", "ca\u00adfé" if form == "NFD" else "café"))


def experiment_with(directory: Path, corpus: Dict[str, str], **sections: object) -> Experiment:
    config = RecipeConfig(name="small", corpus=CorpusConfig(module="small", **corpus), **sections)
    experiment = Experiment(config, directory / "exp", directory, directory / "recipe", jobs=1)
    for split in ("train", "dev", "test"):
        texts = [text.replace("Ａ１", "A1") for text in TEXTS]
        rows = [{"id": str(number), "text": text} for number, text in enumerate(texts)]
        write_jsonl_gz(experiment.folder("manifests") / f"{split}_supervisions.jsonl.gz", rows)
    return experiment


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_lexicon_and_models_have_the_words_of_the_texts(tmp_path: Path, form: str, suffix: str) -> None:
    lexicon = "\ufeff" + "".join(f"{word} {phones}\n" for word, phones in PHONES.items()) + "<Öov> SPN\n"
    write_text(tmp_path / "recipe" / "lexicon.txt", written(lexicon, form))
    sentences = [
        written(sentence, form) for sentence in ("café one", "naïve naïve 한국", "Ａ１ one", "other")
    ]
    (tmp_path / "given").mkdir()
    model = estimate(sentences, 2, min_counts=[1, 1], scratch=tmp_path / "given").model
    write_arpa(model, tmp_path / "given.arpa")
    content = b"\xef\xbb\xbf" + (tmp_path / "given.arpa").read_bytes()
    (tmp_path / "recipe" / f"bom.arpa{suffix}").write_bytes(gzip.compress(content) if suffix else content)
    experiment = experiment_with(
        tmp_path,
        {"case": "upper"},
        units=UnitsConfig(kind="phones", lexicon="lexicon.txt", unknown_word=written("<öov>", form)),
        lm=LmConfig(order=2, arpa=f"bom.arpa{suffix}", rescore_order=2, rescore_arpa=f"bom.arpa{suffix}"),
    )
    units.run(experiment)
    assert [entry.word for entry in load_units(experiment.folder("units")).lexicon] == [
        "CAFÉ",
        "NAÏVE",
        "ONE",
        "A1",
        "한국",
        "<ÖOV>",
    ]
    lm.run(experiment)
    for name in ("lm.arpa", "rescore.2.arpa"):
        copied = read_arpa(experiment.folder("lm") / name)
        assert set(copied.vocabulary) == {
            "<unk>",
            "<s>",
            "</s>",
            "CAFÉ",
            "NAÏVE",
            "ONE",
            "A1",
            "한국",
            "OTHER",
        }
        assert (experiment.folder("lm") / name).read_bytes().startswith(b"\\data\\")
        assert [table.log_probability.tolist() for table in copied.tables] == [
            table.log_probability.tolist() for table in read_arpa(tmp_path / "given.arpa").tables
        ]


def test_a_model_whose_words_are_normal_is_copied_byte_for_byte(tmp_path: Path) -> None:
    model = estimate(["a b", "b <UNK>x"], 2, min_counts=[1, 1], scratch=tmp_path).model
    write_arpa(model, tmp_path / "a.arpa")
    copy_arpa(tmp_path / "a.arpa", tmp_path / "b.arpa", normalise=str)
    assert (tmp_path / "a.arpa").read_bytes() == (tmp_path / "b.arpa").read_bytes()


def test_a_variant_spelling_in_a_model_is_kept_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = estimate(["The the cat", "The dog"], 2, min_counts=[1, 1], scratch=tmp_path).model
    write_arpa(model, tmp_path / "a.arpa")
    copy_arpa(tmp_path / "a.arpa", tmp_path / "b.arpa", normalise=str.lower)
    assert sorted(read_arpa(tmp_path / "b.arpa").vocabulary[3:]) == ["The", "cat", "dog", "the"]
    assert "1 words of a.arpa are variant spellings, kept as they are: The" in capsys.readouterr().out


def test_units_of_a_lexicon_have_one_spelling_too(tmp_path: Path) -> None:
    (tmp_path / "lexicon.txt").write_text("A a\u0303 ▁a\u0303\nB \u00e3 ▁\u00e3\u200b\nC K\nc ▁ k\n", "utf-8")
    entries = read_lexicon(tmp_path / "lexicon.txt", CorpusConfig(module="any", case="upper"))
    assert [entry.units for entry in entries] == [("ã", "▁ã"), ("ã", "▁ã"), ("K",), ("▁", "k")]


def test_two_spellings_of_a_pronunciation_in_a_lexicon_are_one(tmp_path: Path) -> None:
    lines = "caf\u00e9 0.5 K EY\ncafe\u0301 0.7 K EY\nCAFÉ 0.1 K EH\n"
    (tmp_path / "lexicon.txt").write_text(lines, "utf-8")
    entries = read_lexicon(tmp_path / "lexicon.txt", CorpusConfig(module="any", case="lower"))
    assert [tuple(entry) for entry in entries] == [("café", ("K", "EY"), 0.7), ("café", ("K", "EH"), 0.1)]

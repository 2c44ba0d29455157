"""When fine-tuning on text in another letter case or script, every word became one new unit."""

import random
from pathlib import Path
from typing import List

import pytest
from click.testing import CliRunner

from asrkit.cli.new_recipe import command
from asrkit.config import CorpusConfig, RecipeConfig, UnitsConfig, load_config
from asrkit.errors import UserError
from asrkit.pipeline.experiment import write_settings
from asrkit.text.units import build_units, load_units
from tests.corpus.sound import noise, write_audio

WORDS = ["THE", "QUICK", "BROWN", "FOX", "JUMPS", "OVER", "A", "LAZY", "DOG", "AND", "CAT", "SAT"]
BPE = UnitsConfig(kind="bpe", vocabulary_size=40)


def sentences(words: List[str]) -> List[str]:
    source = random.Random(1)
    return [" ".join(source.choices(words, k=8)) for _ in range(60)]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An experiment with BPE units of upper-case text; its recipe doesn't change the letter case."""
    build_units(BPE, sentences(WORDS), tmp_path / "model" / "units")
    write_settings(tmp_path / "model", RecipeConfig(name="m", corpus=CorpusConfig(module="m"), units=BPE))
    return tmp_path / "model"


def new_recipe(model: Path, text: str, *options: str) -> str:
    """Run new-recipe on a corpus with this text, and return its output; its errors are raised."""
    folder = model.parent / "c"
    (model.parent / "recipes").mkdir()
    rows = ["path\ttext\tspeaker\n"]
    for number in range(20):
        write_audio(folder / f"u{number:02d}.wav", noise(0.5, number, 8000), 8000)
        rows.append(f"u{number:02d}.wav\t{text}\ts{number}\n")
    (folder / "all.tsv").write_text("".join(rows), encoding="utf-8")
    arguments = ["new", "--from", str(folder / "all.tsv"), "--recipes", str(model.parent / "recipes")]
    arguments += ["--nj", "1", "--init-from", str(model), *options]
    return CliRunner().invoke(command, arguments, catch_exceptions=False).output


def case(model: Path) -> str:
    return load_config(model.parent / "recipes" / "new" / "recipe.yaml").corpus.case


def test_punctuation_that_the_model_lacks_is_named(model: Path) -> None:
    output = new_recipe(model, "THE, QUICK CAT!", "--set=units.kind=bpe")
    assert "2 characters that no word of the model has: , (" in output


def test_unknown_characters_become_units_one_by_one(model: Path, tmp_path: Path) -> None:
    kept = load_units(model / "units")
    text = ["the quick CAT FOXÉ 東京タワー"]
    built = build_units(BPE, text, tmp_path / "new", kept=model / "units")
    assert set(built.symbols[len(kept) :]) == set("thequickÉ東京タワー")
    units = load_units(tmp_path / "new")
    assert units.words(units.encode(text[0])) == text[0].split()
    assert units.unknown_words("京都 ceil kick") == ["京都", "ceil"]  # no text has 都 or l


def test_new_recipe_takes_the_letter_case_of_the_models_words(model: Path) -> None:
    output = new_recipe(model, "The quick brown fox")
    assert "corpus.case: upper, the letter case of the model's words" in output
    assert case(model) == "upper"


def test_the_same_letter_case_needs_no_setting(model: Path) -> None:
    assert "corpus.case" not in new_recipe(model, "THE QUICK BROWN FOX")
    assert case(model) == "as-is"


def test_corpus_case_and_words_are_those_of_the_model(model: Path) -> None:
    corpus = CorpusConfig(module="m", case="upper", words="mixed")
    write_settings(model, RecipeConfig(name="m", corpus=corpus, units=BPE))
    new_recipe(model, "The quick brown fox")
    assert load_config(model.parent / "recipes" / "new" / "recipe.yaml").corpus.words == "mixed"
    assert case(model) == "upper"


@pytest.mark.parametrize(
    ("text", "options"), [("東京タワー", ()), ("the fox", ("--set", "corpus.case=lower"))]
)
def test_text_of_other_characters_is_refused(model: Path, text: str, options: List[str]) -> None:
    with pytest.raises(UserError, match="100% of the characters of the training text are new"):
        new_recipe(model, text, *options)
    assert not (model.parent / "recipes" / "new").exists()

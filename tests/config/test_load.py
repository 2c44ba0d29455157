from pathlib import Path
from typing import List

import pytest

from asrkit.config import DecodeConfig, flatten, load_config
from asrkit.config.methods import METHODS, RENAMED, current_method
from asrkit.config.recipe import CorpusConfig
from asrkit.errors import UserError

RECIPE = "name: x\ncorpus:\n  module: x\ntrain:\n  learning_rate: 2e-3\n"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE)
    return file


def test_defaults_file_overlay_and_assignments_in_that_order(recipe: Path) -> None:
    overlay = recipe.with_name("overlay.yaml")
    overlay.write_text("train:\n  epochs: 3\n  seed: 9\n")
    config = load_config(recipe, overlay, ["train.epochs=4"])
    assert (config.train.learning_rate, config.train.seed, config.train.epochs) == (0.002, 9, 4)
    assert config.features.bins == 80


@pytest.mark.parametrize("text", ["1e-3", "1.0e-3", "0.001", "1E-03"])
def test_a_number_without_a_point_is_a_number(recipe: Path, text: str) -> None:
    assert load_config(recipe, None, [f"train.learning_rate={text}"]).train.learning_rate == 0.001


@pytest.mark.parametrize(
    ("assignment", "found", "todo"),
    [
        ("train.epoch=3", "unknown setting train.epoch", "did you mean train.epochs?"),
        ("training.epochs=3", "unknown setting training", "did you mean train?"),
        ("train.epochs=many", "train.epochs: Expected `int`, got `str`", "correct train.epochs"),
        ("train.epochs=0", "train.epochs: Expected `int` >= 1", "correct train.epochs"),
        ("units.kind=syllables", "units.kind: Invalid enum value 'syllables'", "correct units.kind"),
        ("model.stage_blocks=[1,two]", "Expected `int`, got `str`", "correct model.stage_blocks"),
        ("train=3", "train: Expected `object`, got `int`", "correct train"),
        ("train.epochs", "--set train.epochs", "for example"),
        ("=3", "--set =3", "for example"),
    ],
)
def test_a_wrong_assignment_is_reported_with_a_remedy(
    recipe: Path, assignment: str, found: str, todo: str
) -> None:
    with pytest.raises(UserError) as caught:
        load_config(recipe, None, [assignment])
    assert found in caught.value.found
    assert todo in caught.value.todo


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"name: [x\n", "not YAML"),
        (b"\xff\xfe", "not YAML"),
        (b"- name\n", "found a list"),
        (b"", "found a NoneType"),
        (b"name: x\n", "missing required field `corpus`"),
    ],
)
def test_a_wrong_file_is_named(recipe: Path, content: bytes, found: str) -> None:
    recipe.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_config(recipe)
    assert found in caught.value.found
    assert "recipe.yaml" in caught.value.where


def test_settings_are_frozen_and_flatten_to_plain_values(recipe: Path) -> None:
    config = load_config(recipe)
    with pytest.raises(AttributeError):
        config.train.epochs = 5  # type: ignore[misc]
    assert flatten(config)["corpus.tests"] == ["test"]


@pytest.mark.parametrize(
    ("method", "missing", "expected", "enough"),
    [
        ("whole-lattice-rescoring", [], "lm.rescore_order", ["lm.rescore_order=5"]),
        ("nbest-rescoring", [], "lm.rescore_order", ["lm.rescore_order=5"]),
        ("neural-rescoring", ["lm.neural.dim=64"], "lm.neural.layers", ["lm.neural.layers=1"]),
        (
            "ngram-and-neural-rescoring",
            ["lm.neural.layers=1"],
            "lm.rescore_order",
            ["lm.neural.layers=1", "lm.rescore_order=5"],
        ),
        (
            "two-neural-rescoring",
            ["lm.neural.layers=1"],
            "lm.second_neural.layers",
            ["lm.neural.layers=1", "lm.second_neural.layers=1"],
        ),
        ("attention-decoder", [], "model.decoder_blocks", ["model.decoder_blocks=1"]),
        (
            "attention-decoder",
            ["model.decoder_blocks=1", "train.decoder_weight=0"],
            "train.decoder_weight above 0",
            ["model.decoder_blocks=1"],
        ),
        ("ctc-decoding", ["lm.order=1"], "lm.order 2 or more", []),
        ("prefix-beam-search", ["units.kind=phones"], "units.kind", []),
    ],
)
def test_a_decoding_method_whose_settings_are_missing_is_refused(
    recipe: Path, method: str, missing: List[str], expected: str, enough: List[str]
) -> None:
    chosen = f"decode.methods=[greedy, {method}]"
    with pytest.raises(UserError, match=f"decode.methods has {method}\n") as error:
        load_config(recipe, assignments=[chosen, *missing])
    assert expected in error.value.expected
    assert load_config(recipe, assignments=[chosen, *enough]).decode.methods == ("greedy", method)


def test_former_names_of_methods_are_translated_with_a_line(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    current_method.cache_clear()
    former = "decode.methods=[greedy, hlg, 1best, oracle]"
    for _ in range(2):
        config = load_config(recipe, assignments=[former])
        assert config.decode.methods == ("greedy", "1best", "nbest-oracle")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "decode.methods: hlg is now called 1best",
        "decode.methods: oracle is now called nbest-oracle",
    ]


def test_an_unknown_method_is_refused_with_the_nearest_name(recipe: Path) -> None:
    with pytest.raises(UserError, match="no decoding method 1-best") as error:
        load_config(recipe, assignments=["decode.methods=[1-best]"])
    assert error.value.todo == "did you mean 1best?" and "nbest-rescoring" in error.value.expected


def test_every_method_of_the_table_has_settings_that_exist() -> None:
    config = DecodeConfig()
    for method in METHODS.values():
        assert method.description and method.settings_of(config).keys() <= set(method.settings)
        assert all(values for values in method.grid(config).values())
    assert set(RENAMED.values()) < set(METHODS) and not set(RENAMED) & set(METHODS)


def test_an_average_of_more_checkpoints_than_are_kept_is_refused(recipe: Path) -> None:
    with pytest.raises(UserError, match=r"candidates has last-9, and train.keep_last is 5"):
        load_config(recipe, assignments=["average.candidates=[best-1, last-9]"])
    with pytest.raises(UserError, match=r"average.candidates"):
        load_config(recipe, assignments=["average.candidates=[worst-1]"])
    load_config(recipe, assignments=["average.candidates=[last-9]", "train.keep_last=9"])


@pytest.mark.parametrize(
    ("assignments", "words"),
    [
        (["lm.arpa=a.arpa", "lm.prune=1e-7"], "lm.prune is set, and lm.arpa gives a ready model"),
        (["lm.arpa=a.arpa", "lm.min_counts=[1, 2]"], "lm.min_counts is set, and lm.arpa"),
        (["graph.silence_probability=0.1"], "silence_probability is set, and graph.optional_silence is not"),
        (["lm.rescore_arpa=a.arpa"], "lm.rescore_arpa is set, and lm.rescore_order is not"),
        (
            ["lm.neural.layers=1", "lm.neural.pieces=500"],
            "lm.neural.pieces is set, and lm.neural.tokens is not pieces",
        ),
        (
            ["lm.neural.layers=1", "lm.neural.context=8"],
            "lm.neural.context is set, and lm.neural.kind is lstm, not masked",
        ),
        (["corpus.held_out=[valid]"], "neither corpus.dev nor corpus.tests has valid"),
        (["units.unknown_word=<OOV>"], "units.unknown_word is set, and units.kind is not phones"),
        (["units.unknown_word=<UNK>", "units.kind=phones"], "units.unknown_word is <UNK>"),
        (["units.kind=phones"], "units.kind is phones, and units.lexicon is not set"),
        (["lm.min_counts=[2]"], "lm.min_counts is [2]"),
        (["lm.min_counts=[1, 3, 2]"], "lm.min_counts is [1, 3, 2]"),
        (["lm.text_sentences=9"], "lm.text_sentences is set, and lm.text is not"),
        (["lm.text_sentences=9", "lm.text=more.txt"], "lm.text_sentences is set, and lm.text is more.txt"),
        (["lm.interpolate=true"], "lm.interpolate is set, and neither lm.text nor lm.arpa is"),
    ],
)
def test_settings_that_change_nothing_because_of_others_are_refused(
    recipe: Path, assignments: List[str], words: str
) -> None:
    with pytest.raises(UserError) as caught:
        load_config(recipe, assignments=assignments)
    assert words in caught.value.found


@pytest.mark.parametrize(
    "assignments",
    [
        ["lm.arpa=a.arpa", "lm.rescore_order=4", "lm.min_counts=[1, 2, 2]"],
        ["lm.text=grammar.yaml", "lm.text_sentences=9"],
        ["lm.text=grammar.yaml", "lm.interpolate=true"],
        ["lm.arpa=ready.arpa", "lm.interpolate=true", "lm.min_counts=[1, 2]"],
    ],
)
def test_the_same_settings_are_accepted_where_they_have_an_effect(
    recipe: Path, assignments: List[str]
) -> None:
    assert load_config(recipe, assignments=assignments)


def test_an_earlier_name_gives_the_new_one(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CorpusConfig, "renamed", {"lowest_rate_of_all": "corpus.min_sampling_rate"})
    monkeypatch.setattr(CorpusConfig, "removed", {"guess": False})
    with pytest.raises(UserError, match=r"corpus\.lowest_rate_of_all was renamed") as renamed:
        load_config(recipe, None, ["corpus.lowest_rate_of_all=8000"])
    assert renamed.value.todo == "write corpus.min_sampling_rate"
    with pytest.raises(UserError, match=r"corpus\.guess is no longer a setting; its value is always False"):
        load_config(recipe, None, ["corpus.guess=true"])

"""Settings of parts that a model doesn't have were accepted, and changing one retrained the model.

Changing a setting that only methods outside decode.methods read made stage decode stale.
"""

from pathlib import Path
from typing import List

import pytest

from asrkit.config import load_config
from asrkit.config.checks import settings_without_effect
from asrkit.config.load import flatten
from asrkit.errors import UserError
from asrkit.pipeline.experiment import REPOSITORY
from asrkit.pipeline.record import Note, Origin, Record, has_origin, under_current_names

RECIPE = REPOSITORY / "recipes" / "yesno" / "recipe.yaml"  # no decoder, no intermediate losses, characters
BLOCKS = ["model.attention_blocks=2", "model.intermediate_blocks=[1]"]


@pytest.mark.parametrize(
    ("setting", "reason", "default", "with_part"),
    [
        ("train.decoder_weight=0.5", "model.decoder_blocks is 0", "0.3", ["model.decoder_blocks=1"]),
        ("train.label_smoothing=0", "model.decoder_blocks is 0", "0.1", ["model.decoder_blocks=1"]),
        ("train.intermediate_weight=0.5", "model.intermediate_blocks is empty", "0.3", BLOCKS),
        ("units.vocabulary_size=80", "units.kind is characters, not bpe", "500", ["units.kind=bpe"]),
    ],
)
def test_they_are_refused(setting: str, reason: str, default: str, with_part: List[str]) -> None:
    base = ["units.kind=characters"]
    name = setting.partition("=")[0]
    with pytest.raises(UserError) as refusal:
        load_config(RECIPE, None, [*base, setting])
    assert refusal.value.found == f"{name} is set, and {reason}"
    assert f"--set {name}={default}" in refusal.value.todo
    load_config(RECIPE, None, [*base, setting, f"{name}={default}"])  # as advised
    load_config(RECIPE, None, [*base, setting, *with_part])


def test_label_smoothing_of_a_decoder_without_weight_is_refused() -> None:
    settings = ["model.decoder_blocks=1", "train.decoder_weight=0", "train.label_smoothing=0.2"]
    with pytest.raises(UserError, match=r"train\.label_smoothing is set, and train\.decoder_weight is 0"):
        load_config(RECIPE, None, settings)


def origin_of(*assignments: str) -> Origin:
    config = load_config(RECIPE, None, assignments)
    settings = {name: value for name, value in flatten(config).items() if name.startswith("decode.")}
    return Origin({}, settings, 1, settings_without_effect(config))


def is_fresh(before: Origin, now: Origin) -> bool:
    record = Record(before.key, {}, before.settings, {}, 1, {}, {}, 0.0, 1.0, 1, 1, [])
    note = Note(before.key, 0.0, 0.0, {}, before.settings, 1)
    fresh = under_current_names(record, now).key == now.key
    assert fresh == has_origin(note, now)
    return fresh


GREEDY, PREFIX = "decode.methods=[greedy]", "decode.methods=[greedy, prefix-beam-search]"


@pytest.mark.parametrize(
    ("before", "now", "fresh"),
    [
        ([], ["decode.prefix_beams=9", "decode.transducer_beam=2", "decode.attention_scales=[0.5]"], True),
        ([], ["decode.nbest_paths=9"], True),
        (["decode.prefix_beams=9"], [], True),
        ([GREEDY], [GREEDY, "decode.search_beam=9", "decode.lm_scales=[0.5]"], True),
        ([], ["decode.search_beam=9"], False),
        ([], ["decode.lm_scales=[0.5]"], False),
        ([], ["decode.precision=bfloat16"], False),
        ([GREEDY], [GREEDY, "decode.precision=bfloat16"], False),
        ([PREFIX], [PREFIX, "decode.prefix_beams=9"], False),
        (["decode.prefix_beams=9"], [PREFIX, "decode.prefix_beams=9"], False),
        (
            ["decode.methods=[1best, nbest-oracle]"],
            ["decode.methods=[1best, nbest-oracle]", "decode.nbest_paths=9"],
            False,
        ),
        (
            ["decode.methods=[nbest-oracle]"],
            ["decode.methods=[nbest-oracle]", "decode.lm_scales=[0.5]"],
            False,
        ),
    ],
)
def test_only_settings_of_chosen_methods_make_decoding_stale(
    before: List[str], now: List[str], fresh: bool
) -> None:
    extra = ["units.kind=bpe", "lm.order=2"] if PREFIX in [*before, *now] else []
    assert is_fresh(origin_of(*before, *extra), origin_of(*now, *extra)) == fresh


def test_a_training_with_settings_that_are_now_refused_stays_fresh() -> None:
    config = load_config(RECIPE)
    settings = {name: value for name, value in flatten(config).items() if name.startswith("train.")}
    now = Origin({}, settings, 1, settings_without_effect(config))
    before = {**settings, "train.decoder_weight": 0.9, "train.label_smoothing": 0.0}
    assert is_fresh(Origin({}, before, 1), now)
    assert not is_fresh(Origin({}, {**settings, "train.epochs": 99}, 1), now)


def overlays() -> List[Path]:
    return [
        file
        for file in sorted((REPOSITORY / "recipes").glob("*/*.yaml"))
        if file.name not in ("recipe.yaml", "grammar.yaml")
    ]


@pytest.mark.parametrize("file", overlays(), ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_overlay_of_a_recipe_is_accepted(file: Path) -> None:
    load_config(file.parent / "recipe.yaml", file)

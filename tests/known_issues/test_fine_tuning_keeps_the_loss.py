"""new-recipe --init-from of a streaming model gave a recipe without streaming, and of a transducer one with
settings that were refused: the model's settings were copied without those of training they need."""

from pathlib import Path
from typing import Any, Dict

import msgspec
import pytest

from asrkit.config import CorpusConfig, ModelConfig, RecipeConfig, TrainConfig
from asrkit.config.checks import conflicts
from asrkit.config.recipe import GraphConfig, UnitsConfig
from asrkit.onboarding.fine_tuning import settings_of_model
from asrkit.pipeline.experiment import with_values, write_settings

CORPUS = CorpusConfig(module="tsv")
PHONES = UnitsConfig(kind="phones", lexicon="lexicon.txt")
STREAMING = ModelConfig(convolution_causal=True, left_context=32)


def taken(folder: Path, **sections: Any) -> RecipeConfig:
    """A new recipe's settings with those of a model with `sections`."""
    base = RecipeConfig(name="base", corpus=CORPUS, **sections)
    write_settings(folder, base)
    copied: Dict[str, Any] = {}
    for each in settings_of_model(folder):
        if each.value is not None:  # a comment on a section
            copied.setdefault(each.key, each.value)  # the first counts, as in new-recipe
    return with_values(RecipeConfig(name="new", corpus=CORPUS), copied)


@pytest.mark.parametrize(
    "sections",
    [
        {"model": ModelConfig(transducer=True), "train": TrainConfig(criterion="transducer", ctc_weight=0.2)},
        {"model": STREAMING, "train": TrainConfig(chunk=25)},
        {"model": ModelConfig(convolution_causal=True), "train": TrainConfig(chunk=16)},
        {"units": PHONES, "train": TrainConfig(criterion="lf-mmi")},
        {
            "units": PHONES,
            "train": TrainConfig(ctc="k2", topology="modified", optional_silence="SIL"),
            "graph": GraphConfig(topology="modified", optional_silence="SIL", silence_probability=0.3),
        },
    ],
)
def test_the_new_recipe_has_the_loss_and_the_chunks_of_the_model(
    tmp_path: Path, sections: Dict[str, Any]
) -> None:
    new = taken(tmp_path, **sections)
    assert list(conflicts(new)) == []
    given = sections["train"]
    for name in ("chunk", "criterion", "ctc", "ctc_weight", "topology", "optional_silence"):
        assert getattr(new.train, name) == getattr(given, name), name
    assert new.graph == sections.get("graph", GraphConfig())
    assert new.model == sections.get("model", ModelConfig())


def test_settings_that_were_the_defaults_are_not_written(tmp_path: Path) -> None:
    write_settings(tmp_path, RecipeConfig(name="base", corpus=CORPUS))
    keys = {each.key for each in settings_of_model(tmp_path)}
    assert not {key for key in keys if key.startswith(("train.c", "train.topology", "graph."))}


def test_a_pruned_streaming_model_is_fine_tuned_for_streams(tmp_path: Path) -> None:
    pruned = msgspec.structs.replace(STREAMING, encoder_heads=2)
    new = taken(tmp_path, model=pruned, train=TrainConfig(chunk=25))
    assert list(conflicts(new)) == []
    assert new.train.chunk == 25
    assert new.model == pruned

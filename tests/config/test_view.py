"""A stage reads the settings that it declares, and no others."""

from pathlib import Path

import msgspec
import pytest

from asrkit.config import NoiseConfig, ReverberationConfig, SpecAugmentConfig
from asrkit.config.view import declared_settings
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.record import settings_of
from asrkit.pipeline.stage import Stage
from asrkit.stages.table import STAGES
from tests.pipeline.toy import settings


def test_declared_settings_are_there_and_others_are_refused() -> None:
    view = declared_settings(settings(), ("train.epochs", "model", "lm.neural.layers"), "stage 6 (train)")
    assert view.train.epochs == 30
    assert view.model.attention_dim == 192
    assert view.lm.neural.layers is None
    refused = r"stage 6 \(train\) reads the setting .*, which it doesn't declare"
    for read in (
        lambda: view.train.seed,
        lambda: view.lm.order,
        lambda: view.lm.neural.dim,
        lambda: view.decode,
    ):
        with pytest.raises(LookupError, match=refused):
            read()


def test_a_whole_section_is_the_section_itself() -> None:
    config = settings()
    view = declared_settings(config, ("train", "lm.neural"), "a stage")
    assert view.train is config.train
    assert view.lm.neural is config.lm.neural
    assert msgspec.to_builtins(view.train)["epochs"] == 30


def test_one_setting_of_a_transform_is_declared_without_the_others() -> None:
    transforms = (NoiseConfig(directory="x"), SpecAugmentConfig())
    config = msgspec.structs.replace(settings(), augment=transforms)
    noise, spec_augment = declared_settings(config, ("augment.noise.directory",), "a stage").augment
    assert noise.directory == "x" and not hasattr(spec_augment, "directory")
    for transform, name in ((noise, "snr"), (spec_augment, "time_masks")):
        with pytest.raises(LookupError, match=f"reads the setting augment.*{name}, which it doesn't declare"):
            getattr(transform, name)
    assert declared_settings(config, ("augment",), "a stage").augment is config.augment


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stage_declares_settings_that_exist_and_each_kind_once(stage: Stage) -> None:
    transforms = (NoiseConfig(directory="x"), ReverberationConfig(directory="y"))
    config = msgspec.structs.replace(settings(), augment=transforms)
    experiment = Experiment(config, Path(), Path(), Path(), 1)
    for key in (*stage.result, *stage.how):
        assert settings_of(experiment, [key]), key
    assert not set(stage.result) & set(stage.how)

"""The list `augment` in recipe.yaml, --config and --set."""

from pathlib import Path
from typing import Any, Dict, Tuple

import msgspec
import pytest

from asrkit.config import (
    ConcatenateConfig,
    GainAndTiltConfig,
    NoiseConfig,
    ReverberationConfig,
    SpecAugmentConfig,
    TrainConfig,
    VtlpConfig,
    flatten,
    load_config,
)
from asrkit.config.earlier import current_settings
from asrkit.config.load import transforms_of
from asrkit.errors import UserError
from asrkit.pipeline.experiment import with_values, write_settings

NOISE = NoiseConfig(directory="musan")
WRITTEN = """augment:
  - {kind: spec_augment, time_masks: 3}
  - {kind: noise, directory: 001, snr: [5, 15]}
  - {kind: vtlp}
"""


def recipe(folder: Path, text: str = "") -> Path:
    file = folder / "recipe.yaml"
    file.write_text(f"name: x\ncorpus: {{module: x}}\n{text}")
    return file


def test_the_default_is_spec_augment(tmp_path: Path) -> None:
    default = SpecAugmentConfig(
        time_warp_frames=0,
        time_masks=2,
        time_mask_fraction=0.1,
        frequency_masks=2,
        frequency_mask_bins=20,
    )
    assert load_config(recipe(tmp_path)).augment == (default,)


def test_transforms_are_sorted_into_the_order_of_application(tmp_path: Path) -> None:
    assert load_config(recipe(tmp_path, WRITTEN)).augment == (
        NoiseConfig(directory="001", snr=(5.0, 15.0)),
        VtlpConfig(),
        SpecAugmentConfig(time_masks=3),
    )


@pytest.mark.parametrize(
    ("assignments", "expected"),
    [
        (["augment=[]"], ()),
        (["augment=[{kind: spec_augment, time_masks: 3}]"], (SpecAugmentConfig(time_masks=3),)),
        (["augment.spec_augment.time_masks=5"], (SpecAugmentConfig(time_masks=5),)),
        (["augment.spec_augment=null"], ()),
        (["augment.vtlp.max_warp=0.2"], (VtlpConfig(max_warp=0.2), SpecAugmentConfig())),
        (["augment.noise.directory=musan", "augment.vtlp={}"], (NOISE, VtlpConfig(), SpecAugmentConfig())),
        (["augment=[]", "augment.concatenate.fraction=0.1"], (ConcatenateConfig(fraction=0.1),)),
        (["augment.vtlp={}", "augment=[]"], ()),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_assignments_change_the_list(
    tmp_path: Path, assignments: "list[str]", expected: Tuple[Any, ...]
) -> None:
    assert load_config(recipe(tmp_path), None, assignments).augment == expected


def test_a_further_file_changes_the_transforms_that_it_names(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("augment: {vtlp: null, noise: {snr: [0, 20]}, gain_and_tilt: {max_gain: 1}}\n")
    assert load_config(recipe(tmp_path, WRITTEN), overlay).augment == (
        NoiseConfig(directory="001", snr=(0.0, 20.0)),
        GainAndTiltConfig(max_gain=1.0),
        SpecAugmentConfig(time_masks=3),
    )


@pytest.mark.parametrize(
    ("assignment", "found", "todo"),
    [
        ("augment=[{kind: nois}]", "an entry of unknown kind nois", "did you mean {kind: noise}?"),
        ("augment.nois.snr=[0, 1]", "an entry of unknown kind nois", "did you mean {kind: noise}?"),
        ("augment=[spec_augment]", "of unknown kind spec_augment", "did you mean {kind: spec_augment}?"),
        ("augment=[{time_masks: 3}]", "of unknown kind None", "did you mean {kind:"),
        ("augment.time_masks=3", "of unknown kind time_masks=3", "did you mean {kind:"),
        ("augment.vtlp.warp=1", "unknown setting augment.vtlp.warp", "did you mean augment.vtlp.max_warp?"),
        ("augment=[{kind: vtlp, warp: 1}]", "unknown setting augment.vtlp.warp", "augment.vtlp.max_warp?"),
        ("augment=spec_augment", "augment: Expected `array`, got `str`", "correct augment, a list"),
        ("augment.vtlp.max_warp=2", "augment.vtlp.max_warp: Expected `float` <= 1", "correct augment.vtlp"),
        ("augment.noise.probability=0.1", "augment.noise: Object missing required field `directory`", ""),
        ("augment=[{kind: noise, directory: x, snr: [30, 10]}]", "augment.noise: snr is [30, 10]", ""),
        ("augment=[{kind: vtlp}, {kind: vtlp}]", "augment has 2 entries of kind vtlp", "remove the others"),
    ],
)
def test_mistakes_are_refused_when_the_recipe_is_read(
    tmp_path: Path, assignment: str, found: str, todo: str
) -> None:
    with pytest.raises(UserError) as caught:
        load_config(recipe(tmp_path), None, [assignment])
    assert found in caught.value.found and todo in caught.value.todo
    assert caught.value.expected and assignment in caught.value.where


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("time_masks=3", "{kind: spec_augment, time_masks: ...}"),
        ("frequency_warp=0.2", "{kind: vtlp, max_warp: ...}"),
        ("level_decibels=3", "{kind: gain_and_tilt, max_gain: ...}"),
        ("tilt_decibels=6", "{kind: gain_and_tilt, max_tilt: ...}"),
        ("noise.directory=musan", "{kind: noise, directory: ...}"),
        ("rooms.directory=rirs", "{kind: reverberation, directory: ...}"),
        ("concatenate=0.1", "{kind: concatenate, fraction: ...}"),
    ],
)
def test_an_earlier_setting_gives_the_new_form(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(UserError, match="was renamed") as caught:
        load_config(recipe(tmp_path), None, [f"train.{old}"])
    assert new in caught.value.todo


def test_no_earlier_setting_is_one_of_the_present() -> None:
    assert not set(TrainConfig.renamed) & set(TrainConfig.__struct_fields__)


def test_flat_settings_give_the_same_list_back(tmp_path: Path) -> None:
    config = load_config(recipe(tmp_path, WRITTEN))
    flat = flatten(config)
    assert flat["augment"] == ["noise", "vtlp", "spec_augment"] and flat["augment.noise.snr"] == [5.0, 15.0]
    other = msgspec.structs.replace(config, augment=(ReverberationConfig(directory="rirs"),))
    further = {"augment.noise.of_a_later_version": 1, "augment.reverberation.directory": "rirs"}
    assert with_values(other, {**flat, **further}).augment == config.augment
    assert with_values(other, {**flat, "augment": []}).augment == ()
    assert with_values(other, {"train.epochs": 3}).augment == other.augment
    write_settings(tmp_path, config)
    assert load_config(tmp_path / "recipe.yaml").augment == config.augment


EARLIER = {
    "train.epochs": 3,
    "train.time_warp_frames": 0,
    "train.time_masks": 3,
    "train.time_mask_fraction": 0.1,
    "train.frequency_masks": 2,
    "train.frequency_mask_bins": 27,
    "train.frequency_warp": 0.0,
    "train.level_decibels": 0.0,
    "train.tilt_decibels": 6.0,
    "train.noise.directory": "musan",
    "train.noise.probability": 0.5,
    "train.noise.signal_to_noise": [10.0, 30.0],
    "train.rooms.directory": None,
    "train.rooms.probability": 0.5,
    "train.concatenate": 0.0,
}


def test_flat_settings_of_an_earlier_version_give_the_transforms_that_were_on(tmp_path: Path) -> None:
    flat = current_settings(EARLIER)
    expected = load_config(recipe(tmp_path), None, ["augment=" + str(transforms_of(flat))])
    assert expected.augment == (
        NOISE,
        GainAndTiltConfig(max_gain=0.0, max_tilt=6.0),
        SpecAugmentConfig(time_masks=3, frequency_mask_bins=27),
    )
    same = {key: value for key, value in flatten(expected).items() if key.startswith("augment")}
    assert flat == {"train.epochs": 3, **same}


def test_flat_settings_of_stage_download_move_one_by_one() -> None:
    directories = {"lm.text": None, "train.noise.directory": "musan", "train.rooms.directory": None}
    assert current_settings(directories) == {"lm.text": None, "augment.noise.directory": "musan"}
    assert current_settings({"augment": [], "train.epochs": 3}) == {"augment": [], "train.epochs": 3}


@pytest.mark.parametrize(
    ("earlier", "current"),
    [
        ({"model.depth": None, "model.block": "bottleneck"}, {"model.front": "resnet-bottleneck"}),
        ({"model.depth": "resnet34", "model.block": "basic"}, {"model.front": "resnet34"}),
        (
            {"model.attention": True, "model.convolution_kernel": 31},
            {"model.convolution_kernel": 31, "model.encoder": "conformer"},
        ),
        ({"model.attention": True, "model.convolution_kernel": 0}, {"model.encoder": "attention"}),
        (
            {"model.attention": False, "model.convolution_kernel": 15},
            {"model.convolution_kernel": 15, "model.encoder": "convolution"},
        ),
        ({"train.accumulate": 2, "train.eden_steps": 5000.0}, {"train.gradient_accumulation": 2}),
    ],
)
def test_settings_of_earlier_versions_have_todays_names(
    earlier: Dict[str, Any], current: Dict[str, Any]
) -> None:
    assert current_settings(earlier) == current


def test_an_experiments_settings_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(
        "name: x\ncorpus: {module: x, lowest_rate: 8000}\n"
        "model: {depth: null, block: basic, attention: true, convolution_kernel: 0}\n"
        "train: {time_masks: 3, frequency_warp: 0.2, tilt_decibels: 0.0, accumulate: 2}\n"
    )
    config = load_config(file, earlier=True)
    assert (config.corpus.min_sampling_rate, config.model.encoder) == (8000, "attention")
    assert config.augment == (VtlpConfig(max_warp=0.2), SpecAugmentConfig(time_masks=3))
    assert config.train.gradient_accumulation == 2

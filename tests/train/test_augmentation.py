import dataclasses
from pathlib import Path
from typing import Any, Sequence

import msgspec
import numpy as np
import pytest
import torch

from asrkit.config import BabbleConfig, FeaturesConfig, NoiseConfig, ReverberationConfig, SpecAugmentConfig
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.signal.features import load_cuts
from asrkit.signal.normalisation import Normalisation
from asrkit.stages import features, manifests
from asrkit.storage.tensors import load_tensors
from asrkit.train.augmentation import Augmenter, TrainingAudio, make_augmenter
from asrkit.train.examples import Example, load_examples
from tests.corpus.sound import SmallCorpus, noise, write_audio
from tests.train.tiny import MODEL, UNITS


def prepared(tmp_path: Path, rate: int = 16000) -> Experiment:
    """Six utterances of training with their features, and folders with a noise and a RIR."""
    corpus = SmallCorpus(tmp_path)
    for index in range(6):
        write_audio(corpus.directory / f"{index}.wav", noise(0.5 + 0.0137 * index, index, rate), rate)
        corpus.add(f"train-{index}", "train", text="A B", audio=f"{index}.wav")
    corpus.add_splits({"dev": 1, "test": 1})
    experiment = corpus.experiment(features={"sampling_rate": 16000})
    recipe = experiment.recipe_directory
    write_audio(recipe / "noises/a.wav", noise(2.0, 100))
    impulses = np.zeros(3000)
    impulses[[10, 900]] = 0.9, 0.5
    write_audio(recipe / "rirs/b.flac", impulses)
    manifests.run(experiment)
    features.run(experiment)
    return experiment


def augmenter_of(experiment: Experiment, *transforms: Any) -> Augmenter:
    """The augmenter of the experiment with these transforms."""
    config = msgspec.structs.replace(experiment.config, augment=transforms)
    normalisation, _ = load_tensors(experiment.folder("features") / "normalisation.safetensors")
    changed = dataclasses.replace(experiment, config=config)
    return make_augmenter(changed, Normalisation(normalisation["mean"], normalisation["inverse_deviation"]))


BOTH = (ReverberationConfig(directory="rirs"), NoiseConfig(directory="noises"))


def examples_of(experiment: Experiment) -> Sequence[Example]:
    normalisation, _ = load_tensors(experiment.folder("features") / "normalisation.safetensors")
    mean, inverse = normalisation["mean"], normalisation["inverse_deviation"]
    return list(load_examples(load_cuts(experiment, "train"), UNITS, MODEL, Normalisation(mean, inverse))[0])


def audio_of(augmenter: Augmenter) -> TrainingAudio:
    assert augmenter.audio is not None
    return augmenter.audio


def transformed(
    augmenter: Augmenter, examples: Sequence[Example], draw: int, seed: int = 1
) -> "list[Example]":
    return [augmenter.transform_audio(example, seed, draw) for example in examples]


@pytest.mark.parametrize("rate", [8000, 16000])
def test_recomputed_features_equal_the_stored_ones_at_every_speed(tmp_path: Path, rate: int) -> None:
    experiment = prepared(tmp_path, rate)
    audio = audio_of(augmenter_of(experiment, *BOTH))
    examples = examples_of(experiment)
    assert len(examples) == 6 * len(FeaturesConfig().speed_factors) == len(audio.rows) * len(audio.speeds)
    for example in examples:
        assert torch.equal(audio.features(audio.read(example.id)), example.features), example.id


def test_what_is_drawn_depends_on_seed_draw_and_utterance_alone(tmp_path: Path) -> None:
    experiment = prepared(tmp_path)
    augmenter = augmenter_of(experiment, *BOTH)
    examples = examples_of(experiment)
    together = transformed(augmenter, examples, draw=7)
    changed = [not torch.equal(new.features, old.features) for new, old in zip(together, examples)]
    assert 0 < sum(changed) < len(examples)  # a quarter has neither noise nor reverberation
    for example, new in zip(reversed(examples), reversed(together)):
        alone = augmenter.transform_audio(example, 1, draw=7)
        assert torch.equal(alone.features, new.features)
        assert new.features.shape == example.features.shape and new.target == example.target
    for other in (transformed(augmenter, examples, draw=8), transformed(augmenter, examples, draw=7, seed=2)):
        assert not all(torch.equal(a.features, b.features) for a, b in zip(together, other))


def test_the_probability_is_kept_and_0_leaves_the_stored_features(tmp_path: Path) -> None:
    experiment = prepared(tmp_path)
    examples = examples_of(experiment)
    never = augmenter_of(experiment, *(msgspec.structs.replace(each, probability=0.0) for each in BOTH))
    assert all(new is old for new, old in zip(transformed(never, examples, draw=0), examples))
    seldom = augmenter_of(experiment, NoiseConfig(directory="noises", probability=0.25))
    drawn = sum(
        new is not old
        for draw in range(20)
        for new, old in zip(transformed(seldom, examples, draw), examples)
    )
    assert 0.18 < drawn / (20 * len(examples)) < 0.32
    assert str(seldom) == "noise from 1 recordings in 25% of utterances"


def test_babble_is_of_other_training_utterances(tmp_path: Path) -> None:
    experiment = prepared(tmp_path)
    babble = BabbleConfig(probability=1.0, snr=(0.0, 0.0), voices=(1, 1))
    audio = audio_of(augmenter_of(experiment, babble))
    (example,) = [each for each in examples_of(experiment) if each.id == "train-2_sp1.1"]
    speech, (transform,) = audio.speech(), augmenter_of(experiment, babble).waveform
    samples = audio.read(example.id)
    for draw in range(5):
        added = transform(samples, np.random.default_rng(draw), example.id) - samples
        lowest = {
            id: np.abs(np.correlate(np.tile(voice, 3), added[:4000], "valid")).max() / np.abs(voice).max()
            for id in speech.ids
            for voice in [speech.read(id)]
        }
        assert max(lowest, key=lambda id: lowest[id]) != "train-2"


def test_reverberation_with_probability_0_leaves_the_draws_of_noise(tmp_path: Path) -> None:
    experiment = prepared(tmp_path)
    never, noise = (msgspec.structs.replace(each, probability=p) for each, p in zip(BOTH, (0.0, 1.0)))
    examples = examples_of(experiment)[:3]
    alone = transformed(augmenter_of(experiment, noise), examples, draw=0)
    both = transformed(augmenter_of(experiment, never, noise), examples, draw=0)
    assert all(torch.equal(a.features, b.features) for a, b in zip(alone, both))


def test_without_waveform_transforms_no_audio_is_read(tmp_path: Path) -> None:
    experiment = SmallCorpus(tmp_path).experiment()  # without manifests
    default = make_augmenter(experiment, Normalisation(torch.zeros(80), torch.ones(80)))
    assert default.audio is None and not default.waveform
    assert [transform.settings for transform in default.features] == [SpecAugmentConfig()]


def test_errors_name_the_setting_and_the_file(tmp_path: Path) -> None:
    experiment = prepared(tmp_path)
    with pytest.raises(UserError, match=r"augment\.reverberation\.directory: no such folder"):
        augmenter_of(experiment, ReverberationConfig(directory="halls"))
    audio = audio_of(augmenter_of(experiment, *BOTH))
    (experiment.corpus_directory / "3.wav").unlink()
    with pytest.raises(UserError, match="can't read the audio of train-3 again") as caught:
        audio.read("train-3_sp0.9")
    assert caught.value.where == str(experiment.corpus_directory / "3.wav")

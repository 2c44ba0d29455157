import dataclasses
from pathlib import Path
from typing import Any, Dict, List, Optional

import msgspec
import numpy as np
import pytest
import torch

from asrkit.config import FeaturesConfig, NoiseConfig, RoomsConfig, TrainConfig
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.signal.features import load_cuts
from asrkit.stages import features, manifests
from asrkit.storage.tensors import load_tensors
from asrkit.train.conditions import Conditions, make_conditions
from asrkit.train.examples import Example, load_examples
from tests.corpus.sound import SmallCorpus, noise, write_audio
from tests.train.tiny import MODEL, UNITS


def prepared(tmp_path: Path, rate: int = 16000) -> Experiment:
    """Six utterances of training with their features, and folders with a noise and a room."""
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
    write_audio(recipe / "rooms/b.flac", impulses)
    manifests.run(experiment)
    features.run(experiment)
    return experiment


def conditions_of(experiment: Experiment, seed: int = 1, **sections: Dict[str, Any]) -> Optional[Conditions]:
    """Those of the experiment with settings of noise and rooms."""
    settings = TrainConfig(
        seed=seed,
        noise=NoiseConfig(**sections.get("noise", {})),
        rooms=RoomsConfig(**sections.get("rooms", {})),
    )
    config = msgspec.structs.replace(experiment.config, train=settings)
    normalisation, _ = load_tensors(experiment.folder("features") / "normalisation.safetensors")
    changed = dataclasses.replace(experiment, config=config)
    return make_conditions(changed, normalisation["mean"], normalisation["inverse_deviation"])


BOTH: Dict[str, Dict[str, Any]] = {"noise": {"directory": "noises"}, "rooms": {"directory": "rooms"}}


def examples_of(experiment: Experiment) -> List[Example]:
    normalisation, _ = load_tensors(experiment.folder("features") / "normalisation.safetensors")
    mean, inverse = normalisation["mean"], normalisation["inverse_deviation"]
    return load_examples(load_cuts(experiment, "train"), UNITS, MODEL, mean, inverse)[0]


def asked(conditions: Optional[Conditions]) -> Conditions:
    assert conditions is not None
    return conditions


@pytest.mark.parametrize("rate", [8000, 16000])
def test_features_computed_anew_are_the_stored_ones_at_every_speed(tmp_path: Path, rate: int) -> None:
    experiment = prepared(tmp_path, rate)
    conditions = asked(conditions_of(experiment, **BOTH))
    examples = examples_of(experiment)
    assert len(examples) == 6 * len(FeaturesConfig().speed_factors) == len(conditions.copies)
    for example in examples:
        computed = conditions.features(conditions.read_speech(example.id))
        assert torch.equal(computed, example.features), example.id


def test_what_is_drawn_depends_on_seed_draw_and_utterance_alone(tmp_path: Path) -> None:
    experiment = prepared(tmp_path)
    conditions = asked(conditions_of(experiment, **BOTH))
    examples = examples_of(experiment)
    together = conditions.apply(examples, draw=7)
    changed = [not torch.equal(new.features, old.features) for new, old in zip(together, examples)]
    assert 0 < sum(changed) < len(examples)  # a quarter is neither in noise nor in a room
    for example, new in zip(reversed(examples), reversed(together)):
        (alone,) = conditions.apply([example], draw=7)
        assert torch.equal(alone.features, new.features)
        assert new.features.shape == example.features.shape and new.target == example.target
    other_draw = conditions.apply(examples, draw=8)
    other_seed = asked(conditions_of(experiment, seed=2, **BOTH)).apply(examples, draw=7)
    for other in (other_draw, other_seed):
        assert not all(torch.equal(a.features, b.features) for a, b in zip(together, other))


def test_the_probability_is_kept_and_0_leaves_the_stored_features(tmp_path: Path) -> None:
    experiment = prepared(tmp_path)
    examples = examples_of(experiment)
    never = {name: {**settings, "probability": 0.0} for name, settings in BOTH.items()}
    assert all(a is b for a, b in zip(asked(conditions_of(experiment, **never)).apply(examples, 0), examples))
    seldom = {"noise": {"directory": "noises", "probability": 0.25}}
    conditions = asked(conditions_of(experiment, **seldom))
    drawn = sum(
        new is not old for draw in range(20) for new, old in zip(conditions.apply(examples, draw), examples)
    )
    assert 0.18 < drawn / (20 * len(examples)) < 0.32
    assert str(conditions) == "1 noises, 25% of utterances, 10 to 30 dB below the speech"


def test_without_a_folder_there_are_none(tmp_path: Path) -> None:
    experiment = SmallCorpus(tmp_path).experiment()
    nothing = torch.zeros(80)
    assert make_conditions(experiment, nothing, nothing) is None


def test_faults_are_told_in_words(tmp_path: Path) -> None:
    experiment = prepared(tmp_path)
    with pytest.raises(UserError, match=r"train\.rooms\.directory: no such folder"):
        conditions_of(experiment, rooms={"directory": "halls"})
    conditions = asked(conditions_of(experiment, **BOTH))
    (experiment.corpus_directory / "3.wav").unlink()
    with pytest.raises(UserError, match="audio of train-3 can't be read again") as caught:
        conditions.read_speech("train-3_sp0.9")
    assert caught.value.where == str(experiment.corpus_directory / "3.wav")

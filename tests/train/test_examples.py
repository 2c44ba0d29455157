from pathlib import Path

import torch

from asrkit.model.acoustic import AcousticModel
from asrkit.train.examples import Example, concatenate, count_utterances, join, take
from asrkit.train.loop import Training, plan_steps
from asrkit.train.optimizer import make_optimizer
from tests.train.tiny import CONFIG, MODEL, UNITS, make_augmenter, make_examples

EXAMPLES = make_examples(24, 0)


def pairs(fraction: float, seed: int = 1, epoch: int = 0, longest: float = 10.0) -> "list[str]":
    """Ids of the concatenations. Asserts that each utterance occurs once."""
    places = concatenate(EXAMPLES, fraction, seed=seed, epoch=epoch, longest=longest, model=MODEL)
    result = [take(EXAMPLES, utterance) for utterance in places]
    parts = [part.id for example in result for part in (example.parts or (example,))]
    assert sorted(parts) == sorted(example.id for example in EXAMPLES)
    assert count_utterances(result) == len(EXAMPLES)
    return [example.id for example in result if example.parts]


def test_join_concatenates_features_and_targets() -> None:
    first, second = EXAMPLES[:2]
    both = join([first, second])
    assert torch.equal(both.features, torch.cat([first.features, second.features]))
    assert both.target == [*(first.target or []), *(second.target or [])]
    assert UNITS.encode(both.text) == both.target
    assert both.seconds == first.seconds + second.seconds


def test_a_fraction_is_concatenated_in_pairs_of_seed_and_epoch() -> None:
    assert len(pairs(0.5)) == 6 and len(pairs(1.0)) == 12
    assert pairs(0.5) == pairs(0.5)
    assert pairs(0.5) != pairs(0.5, epoch=1) and pairs(0.5) != pairs(0.5, seed=2)
    none = concatenate(EXAMPLES, 0.0, seed=1, epoch=0, longest=10.0, model=MODEL)
    assert none == [(index,) for index in range(24)]


def test_pairs_too_long_or_not_alignable_stay_separate() -> None:
    assert 0 < len(pairs(1.0, longest=1.3)) < 12
    # One output frame each: two equal units in two frames leave no room for a blank.
    short = [Example(f"s{index}", torch.zeros(4, 20), [1], "A", 0.04) for index in range(2)]
    result = concatenate(short, 1.0, seed=1, epoch=0, longest=10.0, model=MODEL)
    assert sorted(result) == [(0,), (1,)]


def test_each_utterance_occurs_once_per_epoch_and_parts_are_augmented_separately(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = AcousticModel(MODEL, bins=20, units=3)
    augmenter = make_augmenter(tmp_path, EXAMPLES)
    optimizer = make_optimizer(model, CONFIG)
    training = Training(model, optimizer, CONFIG, UNITS, EXAMPLES, [], tmp_path, augmenter=augmenter)
    steps = plan_steps(training, 0, batches_per_step=1)
    examples = [example for batches in steps for batch in batches for example in batch]
    assert count_utterances(examples) == 24 and any(example.parts for example in examples)
    for example in [example for example in examples if example.parts]:
        transformed = augmenter.transform_audio(example, 1, draw=3)
        parts = [augmenter.transform_audio(part, 1, draw=3) for part in example.parts]
        assert torch.equal(transformed.features, join(parts).features)
        assert transformed.id == example.id and transformed.target == example.target

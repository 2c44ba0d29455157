import numpy as np

from asrkit.train.batches import plan_batches

DURATIONS = np.random.default_rng(0).uniform(0.5, 15.0, 500)


def plan(**changed: float) -> "list[list[int]]":
    arguments = {"seed": 1, "epoch": 0, "batch_duration": 60.0, "buckets": 8, **changed}
    return plan_batches(DURATIONS, **arguments)  # type: ignore[arg-type]


def test_every_utterance_is_in_one_batch_and_none_is_too_long() -> None:
    batches = plan()
    assert sorted(index for batch in batches for index in batch) == list(range(500))
    assert max(DURATIONS[batch].max() * len(batch) for batch in batches) <= 60.0


def test_bucketing_leaves_little_padding() -> None:
    batches = plan(buckets=20)
    padded = sum(DURATIONS[batch].max() * len(batch) for batch in batches)
    assert DURATIONS.sum() / padded > 0.9


def test_batches_depend_on_seed_and_epoch_only() -> None:
    assert plan() == plan()
    assert plan(epoch=1) != plan()
    assert plan(seed=2) != plan()


def test_one_utterance_longer_than_a_batch_gets_its_own() -> None:
    batches = plan_batches([1.0, 100.0, 1.0], seed=1, epoch=0, batch_duration=10.0, buckets=1)
    assert [1] in batches

import dataclasses
import os
import signal
import time
from pathlib import Path
from typing import Any, Iterable, List

import pytest
import torch

from asrkit.errors import UserError
from asrkit.signal.normalisation import Normalisation
from asrkit.train.augmentation import Augmenter
from asrkit.train.blobs import TextsByKey
from asrkit.train.examples import Example, StoredExamples, StoredFeatures
from asrkit.train.feed import Batch, BatchMaker, Feed, Request, count_workers
from asrkit.train.world import World
from tests.train.tiny import FRESH, make_augmenter, make_examples

EXAMPLES = make_examples(12, 0)
REQUESTS = [Request(5 + index, [(index,), (index + 1, index + 2)]) for index in range(8)]


def made(folder: Path, workers: int, start_method: str = "fork") -> List[Batch]:
    """Batches with every transform, the later ones after an epoch that was left early."""
    maker = BatchMaker(EXAMPLES, make_augmenter(folder, EXAMPLES), seed=3, views=2, workers=workers)
    feed = Feed(maker, workers, pinned=False, start_method=start_method)
    left_early = feed.batches(REQUESTS)
    batches = [next(left_early), next(left_early)]
    left_early.close()
    batches += feed.batches(REQUESTS[4:])
    feed.close()
    return batches


@pytest.mark.parametrize(("start_method", "workers"), [("fork", 1), ("fork", 3), ("spawn", 2)])
def test_any_number_of_workers_makes_the_same_bytes(tmp_path: Path, start_method: str, workers: int) -> None:
    state = torch.get_rng_state()
    alone, together = made(tmp_path, 0), made(tmp_path, workers, start_method)
    assert [batch.draw for batch in together] == [5, 6, 9, 10, 11, 12]
    for first, second in zip(alone, together):
        assert torch.equal(first.features, second.features) and first.targets == second.targets
        assert torch.equal(first.lengths, second.lengths) and len(first.lengths) == 4
    assert torch.equal(torch.get_rng_state(), state)  # dropout draws the same


class Broken(Augmenter):
    """Kills its process, or fails, at utterance u3."""

    error: str = ""

    def transform_audio(self, example: Example, seed: int, draw: int) -> Example:
        if example.id == "u3" and self.error:
            raise UserError(self.error, where="a shard")
        if example.id == "u3":
            os.kill(os.getpid(), signal.SIGKILL)
        return example


class Failing(Broken):
    error = "can't read features"


def take_all(augmenter: Augmenter) -> None:
    feed = Feed(BatchMaker(EXAMPLES, augmenter, seed=1, views=1, workers=2), 2, pinned=False)
    with feed.dead_workers_explained():
        for _ in feed.batches([Request(index, [(index,)]) for index in range(12)]):
            time.sleep(0.01)


def test_a_dead_worker_is_reported_with_its_utterance() -> None:
    with pytest.raises(UserError) as caught:
        take_all(Broken())
    assert "a process that makes batches ended, at utterance u3: " in caught.value.found
    assert "train.workers" in caught.value.todo and "--shm-size" in caught.value.todo


def test_an_error_in_a_worker_is_that_of_the_same_in_this_process() -> None:
    with pytest.raises(UserError) as caught:
        take_all(Failing())
    assert (caught.value.found, caught.value.where) == ("can't read features", "a shard")


def feed_for_ever(pids: Any) -> None:
    maker = BatchMaker(EXAMPLES, Augmenter(), seed=1, views=1, workers=2)

    def requests() -> Iterable[Request]:
        while True:
            yield Request(0, [(0,)])

    for _ in Feed(maker, 2, pinned=False).batches(requests()):
        pids.put(maker.at[:, 0].tolist())


def test_workers_end_with_a_killed_training() -> None:
    pids = FRESH.Queue()
    process = FRESH.Process(target=feed_for_ever, args=(pids,))
    process.start()
    workers = pids.get(timeout=60)
    while not all(workers):
        workers = pids.get(timeout=60)
    process.kill()
    process.join()
    end = time.monotonic() + 10
    while time.monotonic() < end and any(is_running(pid) for pid in workers):
        time.sleep(0.01)
    assert not any(is_running(pid) for pid in workers)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_stored_examples_are_those_they_were_made_of() -> None:
    mean, inverse = torch.zeros(20), torch.ones(20)
    given = [
        dataclasses.replace(
            example,
            source=StoredFeatures(Path(f"s{index // 5}"), f"{index},7,20", 7, Normalisation(mean, inverse)),
            target=None if index == 4 else example.target,
        )
        for index, example in enumerate(EXAMPLES)
    ]
    stored = StoredExamples(given)
    assert len(stored) == 12 and list(stored) == given and stored[-1] == given[-1]


def test_texts_are_found_by_key() -> None:
    items = [(f"utterance-{number}", f"text {number} ä") for number in (3, 1, 22)]
    texts = TextsByKey(items)
    assert dict(texts) == dict(items) and "utterance-2" not in texts and "utterance-222" not in texts


def test_workers_are_processes_beside_a_gpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asrkit.train.feed.count_cores", lambda: 16)
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert count_workers(None, World(), cpu) == 0 and count_workers(2, World(), cpu) == 2
    assert count_workers(None, World(), gpu) == 15
    assert count_workers(None, World(0, 4, 0, 4), gpu) == 3 and count_workers(0, World(), gpu) == 0

import datetime
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List

import pytest
import torch

from asrkit.errors import UserError
from asrkit.pipeline.experiment import REPOSITORY
from asrkit.pipeline.parallel import run_parallel
from asrkit.stages.table import STAGES
from asrkit.train import world
from asrkit.train.world import GradientSum, World, join_launched, join_world, reduce_gradients
from tests.train.tiny import FRESH

INPUTS = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]])


def gradients_of_rank(rank: int, meet: Path, rows: List[List[int]]) -> Dict[str, Any]:
    """Gradients and counts after an exchange; `rank` computes on INPUTS[rows[rank]]."""
    torch.set_num_threads(1)
    model = torch.nn.Sequential(torch.nn.Linear(2, 1, bias=False), torch.nn.BatchNorm1d(1))
    torch.nn.init.ones_(model[0].weight)
    model[1].running_mean.fill_(rank)
    ranks, counts = join_world(rank, len(rows), meet), torch.zeros(2)
    if rows[rank]:
        loss = model[0](INPUTS[rows[rank]]).square().sum()
        loss.backward()
        counts = torch.tensor([len(rows[rank]), float(loss)])
    totals = reduce_gradients(ranks, model, counts, 1.0, GradientSum(ranks, model))
    return {
        "gradient": model[0].weight.grad.tolist(),
        "counts": totals.tolist(),
        "mean": model[1].running_mean.tolist(),
    }


def layers_of_rank(rank: int, size: int, meet: Path) -> Dict[str, Any]:
    """Gradients of four layers, of two batches of rank 0 and fewer of the others, in small buckets."""
    torch.set_num_threads(1)
    world.BUCKET_BYTES = 40
    ranks = join_world(rank, size, meet)
    found: Dict[str, Any] = {}
    for batches in (2, 1, 0):
        for started in (False, True):
            torch.manual_seed(0)
            model = torch.nn.Sequential(*(torch.nn.Linear(3, 3) for _ in range(5)))
            own = batches if rank else 2
            inputs = torch.randn(2 * size, 5, 3)[2 * rank :][:own]
            gradients, sent = GradientSum(ranks, model), 0
            for number, batch in enumerate(inputs):
                if started and number == own - 1:
                    gradients.start()
                model[1:](batch).square().sum().backward()  # the first layer is not used
                sent = len(gradients._sent)
            reduce_gradients(ranks, model, torch.ones(1), 1.0, gradients)
            values = [None if p.grad is None else p.grad.tolist() for p in model.parameters()]
            found[f"{batches} {started}"] = (values, sent)
    return found


def exchange_layers(folder: Path, size: int, queue: Any) -> None:
    meet = folder / "meet"
    run_parallel(lambda rank: layers_of_rank(rank, size, meet), size, size, lambda _, each: queue.put(each))


@pytest.mark.parametrize("size", [2, 3])
def test_gradients_exchanged_during_backward_are_those_exchanged_afterwards(
    tmp_path: Path, size: int
) -> None:
    queue = FRESH.Queue()
    process = FRESH.Process(target=exchange_layers, args=(tmp_path, size, queue))
    process.start()
    results = [queue.get(timeout=600) for _ in range(size)]
    process.join()
    for batches in (2, 1, 0):
        values = [found[f"{batches} {started}"][0] for found in results for started in (False, True)]
        assert all(each == values[0] for each in values)
        assert any(value != 0.0 for row in values[0][-2] for value in row)
    assert [found["1 True"][1] for found in results] == size * [4]  # all but the first layer's
    assert [found["1 False"][1] for found in results] == size * [0]


def exchange(folder: Path, rows: List[List[int]], queue: Any) -> None:
    size, meet = len(rows), folder / "meet"
    run_parallel(
        lambda rank: gradients_of_rank(rank, meet, rows), size, size, lambda _, result: queue.put(result)
    )


def exchange_in_subprocess(folder: Path, rows: List[List[int]]) -> List[Dict[str, Any]]:
    """Results of all ranks, from a subprocess: torch's threads don't survive a fork."""
    queue = FRESH.Queue()
    process = FRESH.Process(target=exchange, args=(folder, rows, queue))
    process.start()
    results = [queue.get(timeout=600) for _ in rows]
    process.join()
    return results


@pytest.mark.parametrize("rows", [[[0, 1], [2]], [[0], [1], [2]], [[2], [], [0, 1]]])
def test_gradients_are_those_of_the_whole_batch_per_frame(tmp_path: Path, rows: List[List[int]]) -> None:
    first, *others = exchange_in_subprocess(tmp_path, rows)
    weight = torch.ones(1, 2, requires_grad=True)
    loss = (INPUTS @ weight.T).square().sum()
    (loss / 3).backward()
    assert weight.grad is not None
    torch.testing.assert_close(torch.tensor(first["gradient"]), weight.grad)
    assert all(other == first for other in others) and len(others) == len(rows) - 1
    assert first["counts"] == [3.0, float(loss)]
    assert first["mean"] == [(len(rows) - 1) / 2]


def test_a_rank_without_a_batch_takes_part(tmp_path: Path) -> None:
    first, second = exchange_in_subprocess(tmp_path, [[0, 1], []])
    assert first == second
    assert first["counts"] == [2.0, 9.0 + 49.0]
    torch.testing.assert_close(torch.tensor(first["gradient"]), torch.tensor([[24.0, 34.0]]))


def test_local_rank_and_local_size_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranks of one machine share its cores."""
    launched = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    launched["MASTER_ADDR"] = "other"
    for name, value in launched.items():
        monkeypatch.setenv(name, value)
    store = torch.distributed.HashStore()
    monkeypatch.setattr(world, "rendezvous", lambda *_, **__: iter([(store, 5, 8)]))
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda *_, **__: None)
    assert join_launched() == World(rank=5, size=8, local_rank=1, local_size=4)


def join_alone(folder: Path, queue: Any) -> None:
    """Rank 0 of two without the other: forked, then as by torchrun."""
    world.INIT_TIMEOUT = datetime.timedelta(seconds=1)
    launched = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "0"}
    os.environ.update(launched)
    for join in (lambda: join_world(0, 2, folder / "meet"), join_launched):
        with pytest.raises(UserError) as caught:
            join()
        queue.put(str(caught.value))


def test_a_rank_that_does_not_join_is_reported(tmp_path: Path) -> None:
    queue = FRESH.Queue()
    process = FRESH.Process(target=join_alone, args=(tmp_path, queue))
    process.start()
    for said in [queue.get(timeout=600) for _ in range(2)]:
        assert said.startswith("rank 0/2 failed to join the process group: ")
        assert "within 0:00:01" in said and "run the same command again: it resumes" in said
    process.join()


def exit_after_joining(folder: Path, queue: Any) -> None:
    """Rank 1 exits after joining; rank 0 waits for it in all_reduce."""

    def work(rank: int) -> str:
        pair = join_world(rank, 2, folder / "meet")
        pair.all_reduce(torch.zeros(1))  # torch 2 can't join if a rank exits meanwhile
        if rank:
            while not (folder / "met").exists():
                time.sleep(0.01)
            return ""
        (folder / "met").touch()
        with pytest.raises(UserError) as caught:
            pair.all_reduce(torch.zeros(1))
        return str(caught.value)

    run_parallel(work, 2, 2, lambda _, said: queue.put(said))


def test_a_rank_that_exits_is_reported(tmp_path: Path) -> None:
    queue = FRESH.Queue()
    process = FRESH.Process(target=exit_after_joining, args=(tmp_path, queue))
    process.start()
    said = "".join(queue.get(timeout=600) for _ in range(2))
    process.join()
    assert said.startswith("rank 0/2 lost the connection to another rank: ")
    assert "run the same command again: it resumes" in said


@pytest.mark.k2
def test_cuda_is_not_initialised_before_the_fork() -> None:
    """After that a forked process can't use its GPU; torch.cuda.is_available() is enough to do it."""
    libraries = sorted({name for stage in STAGES for name in stage.libraries})
    found = [name for name in libraries if importlib.util.find_spec(name)]
    code = f"""
import torch
def refuse(*arguments):
    raise AssertionError("CUDA is initialised")
torch.cuda.is_available = torch.cuda.device_count = torch.cuda._lazy_init = refuse
import asrkit.cli.run, {", ".join([*found, *(stage.module for stage in STAGES)])}
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]

"""Data-parallel training: processes that each take a share of a step and add their gradients."""

import dataclasses
import datetime
import os
from pathlib import Path
from typing import Iterable, List, Sequence

import torch
import torch.distributed
from torch import Tensor, nn

from asrkit.errors import UserError
from asrkit.train.watch import running_statistics

PATIENCE = datetime.timedelta(minutes=30)  # for the slowest process


@dataclasses.dataclass(frozen=True)
class World:
    """This process among all that train one model."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # among those of this machine: the number of its GPU
    local_size: int = 1  # processes of this machine

    def describe(self, device: torch.device) -> str:
        """For example "2 processes of 1 thread on cpu": with the same, training ends with the same bytes."""
        threads = torch.get_num_threads()
        processes = f"{self.size} process{'es' if self.size > 1 else ''}"
        return f"{processes} of {threads} thread{'s' if threads > 1 else ''} on {device.type}"

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and speaks."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Add the tensors of all processes, in place; all get the same bits. UserError: one is gone."""
        if self.size > 1:
            try:
                torch.distributed.all_reduce(tensor)
            except RuntimeError as error:
                raise UserError(
                    f"process {self.rank} of {self.size}, counted from 0, can't reach another one: {error}",
                    expected="all of them to take part in every step",
                    where="what the others, or torchrun, said last",
                    todo="run the same command again: it resumes; if memory ran out, raise train.accumulate",
                ) from error
        return tensor

    def sum_all(self, tensors: Sequence[Tensor]) -> None:
        """Add each of the tensors over all processes, in place, in one exchange."""
        if self.size > 1:
            flat = self.sum(torch.cat([tensor.reshape(-1) for tensor in tensors]))
            for tensor, total in zip(tensors, flat.split([tensor.numel() for tensor in tensors])):
                tensor.copy_(total.view(tensor.shape))


ALONE = World()


def join_world(rank: int, size: int, rendezvous: Path) -> World:
    """Meet the other processes through the file `rendezvous`, which must not exist before.

    Raises UserError when one of them doesn't come.
    """
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # else it looks up this machine's name
    _meet(rank, size, f"file://{rendezvous}")
    return World(rank, size, rank, size)


def join_launched() -> World:
    """Meet the processes that torchrun started beside this one, here and on other machines.

    Raises UserError when one of them doesn't come.
    """
    if os.environ["MASTER_ADDR"] in ("localhost", "127.0.0.1"):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    _meet(rank, size, "env://")
    local_size = int(os.environ.get("LOCAL_WORLD_SIZE", size))
    return World(rank, size, int(os.environ.get("LOCAL_RANK", 0)), local_size)


def _meet(rank: int, size: int, place: str) -> None:
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    try:
        torch.distributed.init_process_group(
            backend, init_method=place, rank=rank, world_size=size, timeout=PATIENCE
        )
    except RuntimeError as error:
        raise UserError(
            f"process {rank} of {size}, counted from 0, doesn't meet the others: {error}",
            expected=f"all of them to come within {PATIENCE}, and none to end before",
            where="what the others, or torchrun, said last",
            todo="run the same command again: it resumes",
        ) from error


def choose_device(world: World) -> torch.device:
    """A GPU for this process alone where there are GPUs, else the CPU. Raises UserError for too few."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    count = torch.cuda.device_count()
    if world.local_rank >= count:
        raise UserError(
            f"of {world.size} processes, number {world.local_rank + 1} of this machine finds {count} GPUs",
            expected="at most one process a GPU",
            todo=f"--set train.processes={count}, or with torchrun --nproc_per_node {count}",
        )
    torch.cuda.set_device(world.local_rank)
    return torch.device("cuda", world.local_rank)


def share_gradients(world: World, model: nn.Module, counts: Tensor, scale: float = 1.0) -> Tensor:
    """Make gradients those of all processes together, divided by their frames and by `scale`.

    `counts` holds sums of this process, the first its frames; returns their totals. Running statistics of
    normalisation become the mean over processes, so that all hold the same model.
    """
    statistics = running_statistics(model)
    gradients: List[Tensor] = []
    for parameter in model.parameters():
        if parameter.grad is None:  # this process had no batch
            parameter.grad = torch.zeros_like(parameter)
        gradients.append(parameter.grad)
    world.sum_all([counts, *gradients, *statistics])
    _divide(gradients, scale * max(1.0, float(counts[0])))
    if world.size > 1:
        _divide(statistics, world.size)
    return counts


def _divide(tensors: Iterable[Tensor], by: float) -> None:
    for tensor in tensors:
        tensor.div_(by)

"""Data-parallel training: every rank takes its share of a step, and gradients are summed over ranks."""

import dataclasses
import datetime
import os
from pathlib import Path
from typing import List, Sequence

import torch
import torch.distributed
from torch import Tensor, nn

from asrkit.errors import UserError

INIT_TIMEOUT = datetime.timedelta(minutes=30)  # for the slowest rank to join
RERUN = "run the same command again: it resumes"


@dataclasses.dataclass(frozen=True)
class World:
    """The rank of this process and the sizes of its process group."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # on this machine: the index of its GPU
    local_size: int = 1  # ranks on this machine

    def describe(self, device: torch.device) -> str:
        """For example "2 processes of 1 thread on cpu". On the same hardware training is bit-reproducible."""
        threads = torch.get_num_threads()
        processes = f"{self.size} process{'es' if self.size > 1 else ''}"
        return f"{processes} of {threads} thread{'s' if threads > 1 else ''} on {device.type}"

    @property
    def is_main(self) -> bool:
        """Rank 0: writes files and logs."""
        return self.rank == 0

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """Sum the tensors of all ranks in place, with the same bits on each. UserError: a rank is gone."""
        if self.size > 1:
            try:
                torch.distributed.all_reduce(tensor)
            except RuntimeError as error:
                raise UserError(
                    f"rank {self.rank}/{self.size} lost the connection to another rank: {error}",
                    expected="all ranks to take part in every step",
                    where="the last messages of the other ranks, or of torchrun",
                    todo=f"{RERUN}; if memory ran out, raise train.gradient_accumulation",
                ) from error
        return tensor

    def all_reduce_many(self, tensors: Sequence[Tensor]) -> None:
        """Sum each of the tensors over all ranks in place, in one exchange."""
        if self.size > 1:
            flat = self.all_reduce(torch.cat([tensor.reshape(-1) for tensor in tensors]))
            for tensor, total in zip(tensors, flat.split([tensor.numel() for tensor in tensors])):
                tensor.copy_(total.view(tensor.shape))


ALONE = World()


def join_world(rank: int, size: int, rendezvous: Path) -> World:
    """Join the ranks forked on this machine through the file `rendezvous`, which must not exist before.

    Raises UserError if one of them doesn't join.
    """
    return _join(World(rank, size, rank, size), f"file://{rendezvous}", local=True)


def join_launched() -> World:
    """Join the ranks that torchrun started, on this and other machines. Raises UserError as join_world."""
    rank, size, local_rank = (int(os.environ.get(name, 0)) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    local_size = int(os.environ.get("LOCAL_WORLD_SIZE", size))
    local = os.environ["MASTER_ADDR"] in ("localhost", "127.0.0.1")
    return _join(World(rank, size, local_rank, local_size), "env://", local)


def _join(world: World, init_method: str, local: bool) -> World:
    if local:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # else gloo resolves this machine's host name
    try:
        torch.distributed.init_process_group(
            "nccl" if torch.cuda.is_available() else "gloo",
            init_method=init_method,
            rank=world.rank,
            world_size=world.size,
            timeout=INIT_TIMEOUT,
        )
    except RuntimeError as error:
        raise UserError(
            f"rank {world.rank}/{world.size} failed to join the process group: {error}",
            expected=f"all ranks to join within {INIT_TIMEOUT}",
            where="the last messages of the other ranks, or of torchrun",
            todo=RERUN,
        ) from error
    return world


def choose_device(world: World) -> torch.device:
    """The GPU of this rank if there are GPUs, else the CPU. Raises UserError for too few GPUs."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    count = torch.cuda.device_count()
    if world.local_rank >= count:
        raise UserError(
            f"local rank {world.local_rank} (world size {world.size}) finds {count} GPUs",
            expected="one GPU per rank",
            todo=f"--set train.processes={count}, or torchrun --nproc_per_node {count}",
        )
    torch.cuda.set_device(world.local_rank)
    return torch.device("cuda", world.local_rank)


def running_statistics(model: nn.Module) -> List[Tensor]:
    """The buffers of normalisation layers that a forward pass changes."""
    return [buffer for name, buffer in model.named_buffers() if "running_" in name]


def restore_statistics(model: nn.Module, kept: Sequence[Tensor]) -> None:
    """Copy back what running_statistics returned, so that a bad batch leaves no trace in the model."""
    for buffer, before in zip(running_statistics(model), kept):
        buffer.copy_(before)


def reduce_gradients(world: World, model: nn.Module, counts: Tensor, scale: float = 1.0) -> Tensor:
    """Sum gradients over ranks, and divide them by the total number of frames and by the loss scale.

    `counts`: sums of this rank, frames first; returns the totals. Running statistics of normalisation are
    averaged over ranks, so that all ranks have the same model.
    """
    statistics = running_statistics(model)
    gradients: List[Tensor] = []
    for parameter in model.parameters():
        if parameter.grad is None:  # this rank had no batch
            parameter.grad = torch.zeros_like(parameter)
        gradients.append(parameter.grad)
    world.all_reduce_many([counts, *gradients, *statistics])
    frames = scale * counts[0].clamp(min=1.0)  # a tensor, so that the GPU isn't waited for
    for gradient in gradients:
        gradient.div_(frames)
    for statistic in statistics if world.size > 1 else []:
        statistic.div_(world.size)
    return counts

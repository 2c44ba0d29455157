"""Data-parallel training: every rank takes its share of a step, and gradients are summed over ranks."""

import contextlib
import dataclasses
import datetime
import os
from pathlib import Path
from typing import Any, Iterator, List, Sequence, Tuple

import torch
import torch.distributed
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

from asrkit.errors import UserError

INIT_TIMEOUT = datetime.timedelta(minutes=30)  # for the slowest rank to join
BUCKET_BYTES = 25 << 20  # of gradients per exchange, as torch's DistributedDataParallel has by default
RERUN = "run the same command again: it resumes"


@dataclasses.dataclass(frozen=True)
class World:
    """The rank of this process and the sizes of its process group."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # on this machine: the index of its GPU
    local_size: int = 1  # ranks on this machine

    def describe(self, device: torch.device) -> str:
        """For example "2 processes of 1 thread on cpu". On the same CPUs training is bit-reproducible."""
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
            with self.loss_explained():
                torch.distributed.all_reduce(tensor)
        return tensor

    @contextlib.contextmanager
    def loss_explained(self) -> Iterator[None]:
        """Turn an error of an exchange into a UserError: a rank is gone."""
        try:
            yield
        except RuntimeError as error:
            raise UserError(
                f"rank {self.rank}/{self.size} lost the connection to another rank: {error}",
                expected="all ranks to take part in every step",
                where="the last messages of the other ranks, or of torchrun",
                todo=f"{RERUN}; if memory ran out, raise train.gradient_accumulation",
            ) from error

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
    # Without a rendezvous server torchrun keeps one store for all restarts, where torch 2 finds addresses of
    # ranks that died. Only on a single machine is the count of restarts the same for all ranks.
    restart = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") if local_size == size else "0"
    return _join(World(rank, size, local_rank, local_size), "env://", local, f"restart-{restart}")


def _join(world: World, init_method: str, local: bool, prefix: str = "") -> World:
    if local:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # else gloo resolves this machine's host name
    try:
        store, _, _ = next(rendezvous(init_method, world.rank, world.size, timeout=INIT_TIMEOUT))
        torch.distributed.init_process_group(
            "nccl" if torch.cuda.is_available() else "gloo",
            store=torch.distributed.PrefixStore(prefix, store),
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


class GradientSum:
    """The sum of a step's gradients over ranks, in buckets that are exchanged while backward goes on.

    Backward computes the last layers' gradients first. A bucket is sent when its gradients are there and the
    buckets before it were sent, so that all ranks send in the same order:

        backward   layer 9, 8, 7 | layer 6, 5, 4 | layer 3, 2, 1 |
        exchange                 | bucket 0      | bucket 1      | bucket 2

    `start` must be called before the last backward of the step; without it all buckets are sent at the end.
    """

    def __init__(self, world: World, model: nn.Module) -> None:
        self._world = world
        self._buckets: List[List[nn.Parameter]] = [[]]
        for parameter in reversed([each for each in model.parameters() if each.requires_grad]):
            if sum(each.numel() for each in self._buckets[-1]) * 4 >= BUCKET_BYTES:
                self._buckets.append([])
            self._buckets[-1].append(parameter)
        self._missing = [len(bucket) for bucket in self._buckets]  # gradients
        self._sent: List[Tuple[Tensor, Any]] = []
        self._hooks: List[Any] = []

    def start(self) -> None:
        """Send buckets from the next backward on."""
        for number, bucket in enumerate(self._buckets if self._world.size > 1 else []):
            for parameter in bucket:
                # The node that adds to parameter.grad; torch before 2.1 has no other hook that comes after it
                node = parameter.expand_as(parameter).grad_fn.next_functions[0][0]  # type: ignore[union-attr]
                hook = node.register_hook(lambda *_, number=number: self._add(number))  # type: ignore[misc]
                self._hooks += [hook, node]

    def _add(self, number: int) -> None:
        self._missing[number] -= 1
        while len(self._sent) < len(self._buckets) and not self._missing[len(self._sent)]:
            self._send()

    def _send(self) -> None:
        flat = torch.cat([gradient_of(parameter).reshape(-1) for parameter in self._buckets[len(self._sent)]])
        with self._world.loss_explained():
            self._sent.append((flat, torch.distributed.all_reduce(flat, async_op=True)))

    def finish(self) -> List[Tensor]:
        """The gradients, now with the sums over ranks."""
        for hook in self._hooks[::2]:
            hook.remove()
        self._hooks = []
        while self._world.size > 1 and len(self._sent) < len(self._buckets):
            self._send()
        for (flat, exchange), bucket in zip(self._sent, self._buckets):
            with self._world.loss_explained():
                exchange.wait()
            for parameter, total in zip(bucket, flat.split([parameter.numel() for parameter in bucket])):
                gradient_of(parameter).copy_(total.view(parameter.shape))
        return [gradient_of(parameter) for bucket in self._buckets for parameter in bucket]


def gradient_of(parameter: nn.Parameter) -> Tensor:
    """Its gradient; zeros if there is none, since this rank had no batch."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def reduce_gradients(
    world: World, model: nn.Module, counts: Tensor, scale: float, gradients: GradientSum
) -> Tensor:
    """Sum gradients over ranks, and divide them by the total number of frames and by the loss scale.

    `counts`: sums of this rank, frames first; returns the totals. Running statistics of batch normalisation
    are averaged over ranks, so that all have the same model: they are updated once per step, but by a single
    rank with gradient accumulation once per batch. `gradients`: their exchange, which may have started.
    """
    statistics = running_statistics(model)
    summed = gradients.finish()
    world.all_reduce_many([counts, *statistics])
    frames = scale * counts[0].clamp(min=1.0)  # a tensor, so that the GPU isn't waited for
    for gradient in summed:
        gradient.div_(frames)
    for statistic in statistics if world.size > 1 else []:
        statistic.div_(world.size)
    return counts

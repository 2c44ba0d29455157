"""Batches for the steps of a training, made ahead of it by worker processes.

plan of steps -> Request(draw, utterances) -> a worker reads, transforms, pads -> Batch -> pinned -> GPU

What a batch holds depends on the seed, the draw and the utterances alone, so any number of workers, and none,
gives the same bytes.
"""

import contextlib
import dataclasses
import functools
import gc
import multiprocessing
import os
import signal
from typing import Any, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Union

import torch
import torch.utils.data
from torch import Tensor

from asrkit.errors import UserError
from asrkit.pipeline.interruption import die_with
from asrkit.pipeline.machine import count_cores
from asrkit.train.augmentation import Augmenter
from asrkit.train.examples import Example, Utterance, take
from asrkit.train.world import World

BATCHES_AHEAD = 4  # of each worker: noise and reverberation make some batches take longer than others
MOST_WORKERS = 16  # by default; they need memory, and should outrun any GPU


class Request(NamedTuple):
    """A batch to make: `draw` numbers the batches of a training, and seeds the random transforms."""

    draw: int
    utterances: Sequence[Utterance]


@dataclasses.dataclass(frozen=True)
class Batch:
    """Augmented examples, padded, on the CPU."""

    draw: int
    features: Tensor  # normalised, (views * batch, time, bin)
    lengths: Tensor  # frames of each, (views * batch,)
    targets: List[List[int]]  # units of each
    texts: List[str]

    def pin_memory(self) -> "Batch":
        """With features in memory that a GPU reads while this process goes on; the loader calls it."""
        return dataclasses.replace(self, features=self.features.pin_memory())


class BatchMaker(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Makes the batches of requests. `views` copies of each utterance are augmented differently."""

    def __init__(
        self, examples: Sequence[Example], augmenter: Augmenter, seed: int, views: int, workers: int = 0
    ) -> None:
        self.examples, self.augmenter, self.seed, self.views = examples, augmenter, seed, views
        # Of each worker: its process id, and 1 + the place of the utterance that it reads; 0: none
        self.at = torch.zeros(max(1, workers), 2, dtype=torch.int64).share_memory_()
        self._worker = 0

    def start(self, parent: int, worker: int) -> None:
        """Called in a new worker process, which ends with its parent."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends this process
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        die_with(parent)
        gc.freeze()  # a collection would write to the parent's objects, and so copy their memory
        self._worker = worker
        self.at[worker, 0] = os.getpid()

    def __getitem__(self, request: Request) -> Union[Batch, UserError]:
        """A UserError is returned, since the loader would raise it without its fields."""
        try:
            return self.make(request.draw, self._examples(request.utterances))
        except UserError as error:
            return error
        finally:
            self.at[self._worker, 1] = 0

    def _examples(self, utterances: Sequence[Utterance]) -> Iterator[Example]:
        for utterance in utterances:
            self.at[self._worker, 1] = 1 + utterance[0]
            yield take(self.examples, utterance)

    def make(self, draw: int, examples: Iterable[Example]) -> Batch:
        """The batch of some examples. Raises UserError if features, audio, noise or a RIR can't be read."""
        targets: List[List[int]] = []
        texts: List[str] = []

        def noted() -> Iterator[Example]:
            for example in examples:
                targets.append(example.target or [])
                texts.append(example.text)
                yield example

        features, lengths = self.augmenter.batch(noted(), self.seed, draw, self.views)
        return Batch(draw, features, lengths.repeat(self.views), targets * self.views, texts * self.views)


class Feed:
    """The batches of a rank, in the order of their requests, made by `workers` processes; 0: by this one."""

    def __init__(self, maker: BatchMaker, workers: int, pinned: bool, start_method: str = "fork") -> None:
        self.maker, self._requests = maker, _Requests()
        parallel = {
            "num_workers": workers,
            "multiprocessing_context": start_method,  # forked ones share the examples
            "persistent_workers": True,
            "prefetch_factor": BATCHES_AHEAD,
            "worker_init_fn": functools.partial(maker.start, os.getpid()),
        }
        self._loader: Any = torch.utils.data.DataLoader(
            maker,
            sampler=self._requests,
            batch_size=None,
            pin_memory=pinned,
            generator=torch.Generator(),  # else it draws from the generator of dropout
            **(parallel if workers else {}),  # type: ignore[arg-type]
        )

    def batches(self, requests: Iterable[Request]) -> Iterator[Batch]:
        """A batch per request. What was requested before and not taken is dropped."""
        self._requests.waiting = requests
        for made in self._loader:
            if isinstance(made, UserError):
                raise made
            yield made

    @contextlib.contextmanager
    def dead_workers_explained(self) -> Iterator[None]:
        """Turn the loader's error about a dead worker, raised anywhere inside, into a UserError."""
        try:
            yield
        except RuntimeError as error:
            alive = {process.pid for process in multiprocessing.active_children()}
            dead = [place for pid, place in self.maker.at.tolist() if pid and pid not in alive]
            if not dead:
                raise
            ids = ", ".join(self.maker.examples[place - 1].id for place in dead if place)
            raise UserError(
                f"a process that makes batches ended{f', at utterance {ids}' if ids else ''}: "
                + str(error).splitlines()[0],
                expected="all of train.workers to live as long as training",
                where="the kernel's log (dmesg), if memory ran out",
                todo="run the same command again: it resumes; if memory or /dev/shm is too small (in a "
                "container: --shm-size), --set train.workers=1",
            ) from error

    def close(self) -> None:
        """End the workers."""
        self._loader = None


class _Requests(torch.utils.data.Sampler):  # type: ignore[type-arg]
    """What the loader asks its workers for."""

    def __init__(self) -> None:
        self.waiting: Iterable[Request] = ()

    def __iter__(self) -> Iterator[Request]:
        return iter(self.waiting)


def count_workers(wanted: Optional[int], world: World, device: torch.device) -> int:
    """train.workers if it is set. Else none where cores train, and beside a GPU its share of the cores but
    one, at most MOST_WORKERS."""
    if wanted is None:
        share = count_cores() // world.local_size - 1
        wanted = max(1, min(share, MOST_WORKERS)) if device.type == "cuda" else 0
    return wanted

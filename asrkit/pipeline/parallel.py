"""Pieces of a stage in forked processes, which end with their parent; and processes that torchrun started."""

import collections
import contextlib
import dataclasses
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Callable, Counter, Dict, Iterator, Optional, Sequence, Tuple, TypeVar

from asrkit.errors import UserError
from asrkit.pipeline.interruption import die_with
from asrkit.pipeline.stage import Stage

Result = TypeVar("Result")

GRACE_SECONDS = 5.0  # for a process to end by itself when another one failed
MOST_ENDS = 3  # of processes at one item
LOOK_SECONDS = 10.0  # between two looks at what processes do
IDLE_LOOKS = 6  # in a row, after which a process that waits at an item is taken to wait for ever
MORE_LIKELY = "500"  # than the process that started them they are ended by the kernel when memory runs out

_ended: Counter[str] = collections.Counter()  # processes by the item that they ended at
_parent: Any = None  # where a forked process sends to


@contextlib.contextmanager
def at_risk(item: str) -> Iterator[int]:
    """Tell the parent what this process is at; gives how many processes have ended at it before.

    When this one is ended there, or waits there for ever, the piece that it was at is done again, by another
    process. `item` must name one thing among all pieces. Outside of run_parallel nothing is told.
    """
    if _parent is None:
        yield 0
        return
    _parent.send(item)
    try:
        yield _ended[item]
    finally:
        _parent.send("")


@dataclasses.dataclass
class _Worker:
    """A forked process as its parent knows it."""

    process: Any
    index: int = -1  # of the piece that it is at
    item: str = ""  # that it is at
    used: int = 0  # ticks of processor time at the last look
    idle: int = 0  # looks in a row at which it waited and had used no more


def run_parallel(
    work: Callable[[int], Result], count: int, jobs: int, done: Callable[[int, Result], None]
) -> None:
    """Call work(0) to work(count - 1) in `jobs` processes; `done(index, result)` runs here as each ends.

    An exception of `work` is raised here. Raises UserError when a process is killed, unless that is
    at_risk, and when MOST_ENDS of them ended at one item. Even one piece runs in a process of its own:
    torch and k2 start threads at their first use, threads don't survive a fork, and a later piece would
    wait for them for ever.
    """
    if count == 0:
        return
    context = multiprocessing.get_context("fork")
    next_index = context.Value("i", 0)
    running: Dict[Any, _Worker] = {}
    _ended.clear()

    def start(first: Optional[int] = None) -> None:
        sys.stdout.flush()  # what is still in the buffer would be printed by each process
        receiver, sender = context.Pipe(duplex=False)
        arguments = (work, count, next_index, sender, os.getpid(), first)
        process = context.Process(target=_work_on, args=arguments)
        process.start()
        sender.close()
        running[receiver] = _Worker(process)

    try:
        for _ in range(min(jobs, count)):
            start()
        looked = time.monotonic()
        while running:
            for ready in multiprocessing.connection.wait(list(running), LOOK_SECONDS):
                _receive(ready, running, done, start)
            if time.monotonic() - looked >= LOOK_SECONDS:
                for worker in running.values():
                    _look_at(worker)
                looked = time.monotonic()
    finally:
        for worker in running.values():
            worker.process.terminate()  # it removes the file it was writing
        for worker in running.values():
            worker.process.join(GRACE_SECONDS)
            worker.process.kill()
            worker.process.join()


def _receive(
    receiver: Any,
    running: Dict[Any, _Worker],
    done: Callable[[int, Result], None],
    start: Callable[[Optional[int]], None],
) -> None:
    """Take one message of a process: the piece or item that it is at, a result, an error, or its end."""
    worker = running[receiver]
    try:
        message = receiver.recv()
    except (EOFError, OSError):
        del running[receiver]
        worker.process.join()
        if worker.process.exitcode != 0:
            _take_end(worker)
            start(worker.index)
        return
    if isinstance(message, int):
        worker.index = message
    elif isinstance(message, str):
        worker.item = message
    else:
        result, error = message
        if error is not None:
            raise error
        done(worker.index, result)


def _take_end(worker: _Worker) -> None:
    """Count the end of a process at an item; raise UserError where it is no such end, or one too many."""
    code = worker.process.exitcode
    cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    if worker.idle >= IDLE_LOOKS:
        cause = f"asrkit, for it did nothing for {IDLE_LOOKS * LOOK_SECONDS:g} s"
    _ended[worker.item] += 1
    if not worker.item or _ended[worker.item] >= MOST_ENDS:
        raise UserError(
            f"a process was ended by {cause}" + (f" at {worker.item}" if worker.item else ""),
            expected="all processes to finish",
            where="a parallel stage",
            todo="if memory ran out, use fewer processes (--nj 1); what is done is kept",
        )
    print(f"{worker.item}: the process was ended by {cause}; this is done again by another", flush=True)


def _look_at(worker: _Worker) -> None:
    """Kill a process that has waited at an item for too long, as k2 does when it gets no memory."""
    try:
        fields = Path(f"/proc/{worker.process.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return  # it has ended, or this isn't Linux
    used = int(fields[11]) + int(fields[12])  # in its code and in the kernel: utime, stime of proc(5)
    waits = bool(worker.item) and fields[0] == "S" and used == worker.used
    worker.idle, worker.used = worker.idle + 1 if waits else 0, used
    if worker.idle >= IDLE_LOOKS:
        worker.process.kill()


def _work_on(
    work: Callable[[int], Any], count: int, next_index: Any, sender: Any, parent: int, first: Optional[int]
) -> None:
    global _parent
    _parent = sender
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends this process
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through the `finally` of what is being written
    die_with(parent)
    with contextlib.suppress(OSError):  # Linux only
        Path("/proc/self/oom_score_adj").write_text(MORE_LIKELY)
    while os.getppid() == parent:
        if first is not None:
            index, first = first, None
        else:
            with next_index.get_lock():
                index = next_index.value
                next_index.value += 1
        if index >= count:
            return
        sender.send(index)
        message: Tuple[Any, Optional[Exception]]
        try:
            message = (work(index), None)
        except Exception as error:  # handed to the parent, which raises it
            message = (None, error)
        sender.send(message)


def launched_rank() -> Optional[int]:
    """This process's number among those that torchrun started, on all machines; None without torchrun."""
    if {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= os.environ.keys():
        return int(os.environ["RANK"])
    return None


def check_launch(stages: Sequence[Stage], processes: int) -> None:
    """Raise UserError unless stage train alone is chosen, with as many processes as torchrun started."""
    size = int(os.environ["WORLD_SIZE"])
    if [stage.name for stage in stages] != ["train"]:
        raise UserError(
            f"torchrun started {size} processes for stages {stages[0].number} to {stages[-1].number}",
            expected="stage train alone: the others run on one machine, without torchrun",
            where="the command line",
            todo="the earlier ones first, then torchrun --no_python run.sh --stage train --stop-stage train",
        )
    if size != processes:
        raise UserError(
            f"torchrun started {size} processes, and train.processes is {processes}",
            expected="the same number: batches are planned for it",
            where="train.processes, or torchrun's --nnodes and --nproc_per_node",
            todo=f"--set train.processes={size}",
        )

"""Parts of a stage in forked processes, which end with their parent; and processes that torchrun started."""

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
from typing import Any, Callable, Counter, Dict, Iterator, List, Optional, Sequence, Tuple, TypeVar, cast

from asrkit.errors import UserError
from asrkit.pipeline.cluster import LOCAL, run_on_cluster
from asrkit.pipeline.interruption import die_with
from asrkit.pipeline.stage import Stage

Result = TypeVar("Result")

GRACE_SECONDS = 5.0  # for a process to end by itself after another one failed
MOST_DEATHS = 3  # of processes at one item
POLL_SECONDS = 10.0  # between checks of what processes do
IDLE_POLLS = 6  # in a row, after which a process that waits at an item is killed as hung
OOM_SCORE = "500"  # so the kernel kills them, not their parent, when memory runs out

_deaths: Counter[str] = collections.Counter()  # of processes, by the item that they died at
_parent: Any = None  # connection of a forked process to its parent


@contextlib.contextmanager
def at_risk(item: str) -> Iterator[int]:
    """Tell the parent which item this process works on; gives the number of processes that died at it before.

    If this process dies or hangs there, another process redoes its part. `item` must be unique among all
    parts. Outside of run_parallel this does nothing.
    """
    if _parent is None:
        yield 0
        return
    _parent.send(item)
    try:
        yield _deaths[item]
    finally:
        _parent.send("")


@dataclasses.dataclass
class _Worker:
    """A forked process."""

    process: Any
    index: int = -1  # of the part that it works on
    item: str = ""  # that it works on
    used: int = 0  # ticks of processor time at the last poll
    idle: int = 0  # polls in a row at which it waited and had used none since


def run_parallel(
    work: Callable[[Any], Result],
    items: "int | Sequence[Any]",
    jobs: int,
    done: Callable[[int, Result], None],
    cluster: str = LOCAL,
) -> None:
    """Call work(item) for each item in `jobs` processes, and `done(index, result)` here after each.

    `items`: a number stands for range(number). `cluster`: see asrkit.pipeline.cluster. An exception of
    `work` is raised here. Raises UserError if a process dies, unless it is at_risk and fewer
    than MOST_DEATHS died at that item. Even a single part gets a process of its own: torch and k2 start
    threads at their first use, threads don't survive a fork, and a later part would wait for them for ever.
    """
    items = range(items) if isinstance(items, int) else items
    count = len(items)
    if count == 0:
        return
    if cluster != LOCAL:
        run_on_cluster(work, items, jobs, done, cluster)
        return
    context = multiprocessing.get_context("fork")
    next_index = context.Value("i", 0)
    running: Dict[Any, _Worker] = {}
    _deaths.clear()

    def start(first: Optional[int] = None) -> None:
        sys.stdout.flush()  # otherwise each process would print what is still buffered
        receiver, sender = context.Pipe(duplex=False)
        arguments = (work, items, next_index, sender, os.getpid(), first)
        process = context.Process(target=_work_on, args=arguments)
        process.start()
        sender.close()
        running[receiver] = _Worker(process)

    try:
        for _ in range(min(jobs, count)):
            start()
        _collect(running, start, done)
    finally:
        for worker in running.values():
            worker.process.terminate()  # it removes the file that it was writing
        for worker in running.values():
            worker.process.join(GRACE_SECONDS)
            worker.process.kill()
            worker.process.join()


def _collect(
    running: Dict[Any, _Worker], start: Callable[[Optional[int]], None], done: Callable[[int, Any], None]
) -> None:
    """Receive messages until all processes have ended; `start(index)` replaces one that died at that part."""
    polled = time.monotonic()
    while running:
        for ready in cast(List[Any], multiprocessing.connection.wait(list(running), POLL_SECONDS)):
            worker = running[ready]
            try:
                message = ready.recv()
            except (EOFError, OSError):
                del running[ready]
                worker.process.join()
                if worker.process.exitcode != 0:
                    _count_death(worker)
                    start(worker.index)
                continue
            if isinstance(message, int):
                worker.index = message
            elif isinstance(message, str):
                worker.item = message
            elif message[1] is not None:
                raise message[1]
            else:
                done(worker.index, message[0])
        if time.monotonic() - polled >= POLL_SECONDS:
            for worker in running.values():
                _kill_if_hung(worker)
            polled = time.monotonic()


def _count_death(worker: _Worker) -> None:
    """Count the death of a process at an item; raise UserError if it was at none, or for one too many."""
    code, item = worker.process.exitcode, worker.item
    cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    if worker.idle >= IDLE_POLLS:
        cause = f"asrkit, after {IDLE_POLLS * POLL_SECONDS:g} s without progress"
    _deaths[item] += 1
    if not item or _deaths[item] >= MOST_DEATHS:
        found = f"a process was ended by {cause}" + (f" at {item}" if item else "")
        todo = "if memory ran out, use fewer processes (--nj 1); finished parts are kept"
        raise UserError(found, "all processes to finish", "a parallel stage", todo)
    print(f"{item}: the process was ended by {cause}; another one retries", flush=True)


def _kill_if_hung(worker: _Worker) -> None:
    """Kill a process that has waited at an item for too long, as k2 does when it can't allocate memory."""
    try:
        fields = Path(f"/proc/{worker.process.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return  # it has ended, or this isn't Linux
    used = int(fields[11]) + int(fields[12])  # utime and stime of proc(5)
    waits = bool(worker.item) and fields[0] == "S" and used == worker.used
    worker.idle, worker.used = worker.idle + 1 if waits else 0, used
    if worker.idle >= IDLE_POLLS:
        worker.process.kill()


def _work_on(
    work: Callable[[Any], Any],
    items: Sequence[Any],
    next_index: Any,
    sender: Any,
    parent: int,
    first: Optional[int],
) -> None:
    global _parent
    _parent = sender
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends this process
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through the `finally` of what is being written
    die_with(parent)
    with contextlib.suppress(OSError):  # Linux only
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    while os.getppid() == parent:
        index = first
        if index is None:
            with next_index.get_lock():
                index = next_index.value
                next_index.value += 1
        if index >= len(items):
            return
        first = None
        sender.send(index)
        message: Tuple[Any, Optional[Exception]]
        try:
            message = (work(items[index]), None)
        except Exception as error:  # raised by the parent
            message = (None, error)
        sender.send(message)


def launched_rank() -> Optional[int]:
    """This process's rank among those that torchrun or srun started; None without either.

    With srun, the user must set MASTER_ADDR. In an sbatch script SLURM_STEP_ID is missing, so it has no rank.
    """
    if {"SLURM_STEP_ID", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "MASTER_ADDR"} <= os.environ.keys():
        per_node = os.environ.get("SLURM_NTASKS_PER_NODE") or os.environ["SLURM_NTASKS"]
        for name, value in {
            "RANK": os.environ["SLURM_PROCID"],
            "WORLD_SIZE": os.environ["SLURM_NTASKS"],
            "LOCAL_RANK": os.environ["SLURM_LOCALID"],
            "LOCAL_WORLD_SIZE": per_node,
            "MASTER_PORT": "29500",  # torchrun's
        }.items():
            os.environ.setdefault(name, value)
    if {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= os.environ.keys():
        if os.environ["WORLD_SIZE"] == "1" and "TORCHELASTIC_RUN_ID" not in os.environ:
            return None  # some clusters set these variables for every process
        return int(os.environ["RANK"])
    return None


def check_launch(stages: Sequence[Stage], processes: int) -> None:
    """Raise UserError unless only stage train is chosen and train.processes is torchrun's world size."""
    size = int(os.environ["WORLD_SIZE"])
    if [stage.name for stage in stages] != ["train"]:
        raise UserError(
            f"torchrun started {size} processes for stages {stages[0].number} to {stages[-1].number}",
            "stage train alone: the others run on one machine, without torchrun",
            "the command line",
            "run the earlier ones first, then torchrun --no_python run.sh --stage train --stop-stage train",
        )
    if size != processes:
        raise UserError(
            f"torchrun started {size} processes, and train.processes is {processes}",
            "the same number: batches are planned for it",
            "train.processes, or torchrun's --nnodes and --nproc_per_node",
            f"--set train.processes={size}",
        )

"""Do pieces of a stage in forked processes, which end with the process that started them."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
from typing import Any, Callable, Dict, Optional, Tuple, TypeVar

from asrkit.errors import UserError
from asrkit.pipeline.interruption import die_with

Result = TypeVar("Result")

GRACE_SECONDS = 5.0  # for a process to end by itself when another one failed


def run_parallel(
    work: Callable[[int], Result], count: int, jobs: int, done: Callable[[int, Result], None]
) -> None:
    """Call work(0) to work(count - 1) in `jobs` processes; `done(index, result)` runs here as each ends.

    An exception of `work` is raised here. Raises UserError when a process is killed. Even one piece
    runs in a process of its own: torch and k2 start threads at their first use, threads don't
    survive a fork, and a later piece would wait for them for ever.
    """
    if count == 0:
        return
    context = multiprocessing.get_context("fork")
    next_index = context.Value("i", 0)
    running: Dict[Any, Any] = {}
    sys.stdout.flush()  # what is still in the buffer would be printed by each process
    for _ in range(min(jobs, count)):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_work_on, args=(work, count, next_index, sender, os.getpid()))
        process.start()
        sender.close()
        running[receiver] = process
    try:
        while running:
            for ready in multiprocessing.connection.wait(list(running)):
                _receive(ready, running, done)
    finally:
        for process in running.values():
            process.terminate()  # it removes the file it was writing
        for process in running.values():
            process.join(GRACE_SECONDS)
            process.kill()
            process.join()


def _receive(receiver: Any, running: Dict[Any, Any], done: Callable[[int, Result], None]) -> None:
    """Take one message of a process: a result, an error, or its end."""
    try:
        index, result, error = receiver.recv()
    except EOFError:
        process = running.pop(receiver)
        process.join()
        code = process.exitcode
        if code != 0:
            cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
            raise UserError(
                f"a process was ended by {cause}",
                expected="all processes to finish",
                where="a parallel stage",
                todo="if memory ran out, use fewer processes (--nj 1); what is done is kept",
            ) from None
        return
    if error is not None:
        raise error
    done(index, result)


def _work_on(work: Callable[[int], Any], count: int, next_index: Any, sender: Any, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends this process
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through the `finally` of what is being written
    die_with(parent)
    while os.getppid() == parent:
        with next_index.get_lock():
            index = next_index.value
            next_index.value += 1
        if index >= count:
            return
        message: Tuple[int, Any, Optional[Exception]]
        try:
            message = (index, work(index), None)
        except Exception as error:  # handed to the parent, which raises it
            message = (index, None, error)
        sender.send(message)

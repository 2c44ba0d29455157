"""Shards of a stage on other machines, by Dask: workers that the user started, or jobs of Slurm.

    --cluster local             forked processes of this machine: asrkit.pipeline.parallel
    --cluster dask:HOST:PORT    the workers of a Dask scheduler that runs already
    --cluster slurm             --nj jobs of Slurm, started by dask-jobqueue and ended with the stage

All machines see the same folders. The function, its argument and its result cross the network; features,
posteriors and lattices don't. If a worker dies, Dask gives its shard to another one, and a shard appears
whole or not at all, so the files are those that local processes write.

Dask sends pickles: whoever reaches its scheduler can run commands as its user. So jobs of Slurm speak TLS,
with a certificate made for the stage.
"""

import atexit
import concurrent.futures
import contextlib
import functools
import importlib.metadata
import importlib.util
import itertools
import multiprocessing
import pickle
import platform
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, TypeVar

import asrkit
from asrkit.errors import UserError
from asrkit.pipeline.machine import prepare_processor
from asrkit.storage.fingerprint import hash_file, hash_value

Result = TypeVar("Result")

LOCAL = "local"
KINDS = f"{LOCAL}, dask:HOST:PORT or slurm"
WHERE = "--cluster, or ASRKIT_CLUSTER as in utils/cluster.sh"
INSTALL = "pip install -e '.[cluster]'"
SUBMITTED = 1000  # shards at the scheduler at once: more than there are workers, less than fill its memory
# What the bytes of shards and the function's pickle depend on
LIBRARIES = ("torch", "numpy", "lhotse", "k2")

_one_at_a_time = threading.Lock()  # a worker may have several threads


def check_cluster(cluster: str) -> None:
    """Raise UserError for an unknown kind of cluster, or without the packages that it needs."""
    kind, _, address = cluster.partition(":")
    if cluster not in (LOCAL, "slurm") and not (kind == "dask" and address):
        raise UserError(f"no cluster {cluster}", KINDS, WHERE, "correct it, or see docs/cluster.md")
    for package in {"dask": ("distributed",), "slurm": ("dask_jobqueue", "cryptography")}.get(kind, ()):
        if importlib.util.find_spec(package) is None:
            raise UserError(f"{package} isn't installed", f"it, for --cluster {kind}", WHERE, INSTALL)
    if kind == "slurm" and shutil.which("sbatch") is None:
        found, todo = "sbatch isn't in PATH", "run it on a machine of the cluster, or with --cluster local"
        raise UserError(found, "Slurm's commands", WHERE, todo)


def run_on_cluster(
    work: Callable[[Any], Result],
    items: Sequence[Any],
    jobs: int,
    done: Callable[[int, Result], None],
    cluster: str,
) -> None:
    """Call work(item) for each item on the workers, and `done(index, result)` here after each.

    An exception of `work` is raised here. Raises UserError for a worker with other versions, and for an item
    at which several workers died.
    """
    import cloudpickle
    import dask
    from distributed import KilledWorker, as_completed

    client = _connect(cluster, jobs)
    # Sent to each worker once; the scheduler keeps it, in case a worker dies
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "10GB"}):
        function = client.submit(bytes, cloudpickle.dumps(work), pure=False)
    waiting, running = iter(enumerate(items)), {}

    def submit(count: int) -> Iterator[Any]:
        for index, item in itertools.islice(waiting, count):
            pickled = cloudpickle.dumps(item)
            future = client.submit(_run_alone, function, pickled, _environment(), pure=False)
            running[future] = index
            yield future

    try:
        finished = as_completed(submit(SUBMITTED))
        for future in finished:
            result = future.result()
            done(running.pop(future), result)
            finished.update(submit(1))
    except KilledWorker as error:
        found = f"several workers died at the same part: {error}".partition(".")[0]
        todo = "if memory ran out, start workers with more; finished parts are kept: the same command resumes"
        raise UserError(found, "a worker that finishes it", "the workers' logs", todo) from None
    except concurrent.futures.CancelledError:
        todo = "finished parts are kept: once the scheduler runs, the same command resumes"
        raise UserError("lost the connection to Dask's scheduler", "it to run", cluster, todo) from None
    except ImportError as error:
        raise _other_environment(f"a worker can't import {error.name}: {error}") from None
    finally:
        with contextlib.suppress(Exception):  # the scheduler is gone
            client.cancel(list(running))


@functools.lru_cache(maxsize=1)
def _load(function: bytes) -> Callable[[Any], Any]:
    """On a worker: unpickle a function, whose modules import torch."""
    prepare_processor()
    work: Callable[[Any], Any] = pickle.loads(function)
    return work


def _run_alone(function: bytes, item: bytes, expected: Dict[str, Optional[str]]) -> Any:
    """On a worker: the function of the item, in a process of its own as on the user's machine."""
    from asrkit.pipeline.parallel import run_parallel

    found = _environment()
    for name in expected:
        if found[name] != expected[name]:
            both = f"{name} {found[name]}, here {expected[name]}"
            raise _other_environment(f"the worker on {platform.node()} has {both}")
    results: List[Any] = []
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]  # may fork
    with _one_at_a_time:
        run_parallel(_load(function), [pickle.loads(item)], 1, lambda _, result: results.append(result))
    return results[0]


def _other_environment(found: str) -> UserError:
    expected = "the same Python, asrkit and libraries everywhere: shards don't depend on who computes them"
    return UserError(found, expected, WHERE, f"start the workers from {sys.prefix}, on all machines")


@functools.lru_cache(maxsize=1)
def _environment() -> Dict[str, Optional[str]]:
    """Versions of what computes shards, and a fingerprint of asrkit's code."""
    versions: Dict[str, Optional[str]] = {"Python": platform.python_version()}
    for name in LIBRARIES:
        versions[name] = None
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    folder = Path(asrkit.__file__).parent
    code = {str(file.relative_to(folder)): hash_file(file) for file in folder.rglob("*.py")}
    return {**versions, "asrkit's code": hash_value(code)}


@functools.lru_cache(maxsize=1)  # one for all parts of a stage, which has a process of its own
def _connect(cluster: str, jobs: int) -> Any:
    """A Dask client; raises UserError if no scheduler answers."""
    from distributed import Client

    try:
        client = Client(_start_jobs(jobs) if cluster == "slurm" else cluster.partition(":")[2])
    except (OSError, ValueError) as error:
        reason = f"{error}".partition("\n")[0]
        todo = "start it (docs/cluster.md), or do without: --cluster local"
        raise UserError(f"no scheduler: {reason}", "one that runs", f"--cluster {cluster}", todo) from None
    scheduler = client.scheduler_info(n_workers=-1)
    processes = len(scheduler["workers"])
    print(f"cluster: {scheduler['address']}, {processes or 'waiting for'} workers", flush=True)
    return client


def _start_jobs(jobs: int) -> Any:
    """A scheduler here and `jobs` jobs, replaced when they end; their settings are dask-jobqueue's."""
    import dask
    import dask_jobqueue  # its import adds the defaults of its settings

    certificates = tempfile.mkdtemp(prefix=".asrkit-slurm-", dir=Path.home())  # which machines share
    atexit.register(shutil.rmtree, certificates, ignore_errors=True)
    cores = dask.config.get("jobqueue.slurm.cores") or 1
    cluster = dask_jobqueue.SLURMCluster(
        cores=cores,
        processes=cores,  # each works on one shard at a time
        memory=dask.config.get("jobqueue.slurm.memory") or f"{4 * cores}GB",
        protocol="tls://",
        security=True,
        shared_temp_directory=certificates,
    )
    cluster.adapt(minimum_jobs=jobs, maximum_jobs=jobs)
    return cluster

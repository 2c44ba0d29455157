"""Shards on a Dask cluster of three worker processes, one of which is killed in the middle."""

import os
import signal
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest

from asrkit.errors import UserError
from asrkit.pipeline import cluster
from asrkit.pipeline.cluster import check_cluster
from asrkit.pipeline.parallel import launched_rank, run_parallel
from asrkit.storage.files import write_text
from tests.pipeline.toy import Toy


@pytest.fixture(scope="module")
def dask() -> Iterator[str]:
    """--cluster of a scheduler with three worker processes."""
    distributed = pytest.importorskip("distributed")
    workers: Dict[str, Any] = {"n_workers": 3, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(host="127.0.0.1", **workers) as started:
        yield f"dask:{started.scheduler_address}"
        distributed.default_client().close()


def write_shards(folder: Path, where: str, dying: int = -1) -> Dict[str, str]:
    """Twelve shards; the first worker that begins number `dying` is killed there."""

    def work(number: int) -> int:
        file = folder / f"shard-{number}"
        begun = folder / f"begun-{number}"
        if number == dying and not begun.exists():
            begun.touch()
            file.with_suffix(".part").write_text("half")
            os.kill(os.getppid(), signal.SIGKILL)
            signal.pause()
        write_text(file, f"{number}" * 1000)
        return number * number

    results: Dict[int, int] = {}
    run_parallel(work, range(12), 2, results.__setitem__, where)
    assert results == {number: number * number for number in range(12)}
    return {file.name: file.read_text() for file in folder.glob("shard-?*") if not file.suffix}


def test_a_shard_of_a_killed_worker_is_computed_by_another(dask: str, tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    shards = write_shards(tmp_path / "there", dask, dying=5)
    assert (tmp_path / "there" / "begun-5").exists()
    assert shards == write_shards(tmp_path / "here", "local") and len(shards) == 12


def test_an_error_on_a_worker_is_raised_here(dask: str) -> None:
    def work(number: int) -> None:
        raise UserError("no dictionary", todo="write one")

    with pytest.raises(UserError) as caught:
        run_parallel(work, 3, 1, lambda *_: None, dask)
    assert (caught.value.found, caught.value.todo) == ("no dictionary", "write one")


def test_a_worker_with_other_versions_is_refused(dask: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = {**cluster._environment(), "torch": "9.9"}
    monkeypatch.setattr(cluster, "_environment", lambda: here)
    with pytest.raises(UserError, match=r"the worker on .* has torch .*, here 9\.9"):
        run_parallel(abs, 3, 1, lambda *_: None, dask)


def test_no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = pytest.importorskip("dask").config
    cluster._connect.cache_clear()
    with settings.set({"distributed.comm.timeouts.connect": "1s"}), pytest.raises(UserError) as caught:
        run_parallel(abs, 3, 1, lambda *_: None, "dask:127.0.0.1:1")
    assert caught.value.found.startswith("no scheduler: ")
    assert "--cluster local" in caught.value.todo


def test_an_unknown_cluster_is_refused_before_any_stage(toy: Toy) -> None:
    said = toy.run("--cluster", "kubernetes", status=1)
    assert "no cluster kubernetes" in said and "local, dask:HOST:PORT or slurm" in said
    assert not toy.exp.exists()


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="distributed isn't installed") as caught:
        check_cluster("dask:host:1")
    assert caught.value.todo == "pip install -e '.[cluster]'"


def test_ranks_of_srun(monkeypatch: pytest.MonkeyPatch) -> None:
    of_slurm = {"SLURM_PROCID": "9", "SLURM_NTASKS": "16", "SLURM_LOCALID": "1", "SLURM_NTASKS_PER_NODE": "8"}
    expected = {"RANK": "9", "WORLD_SIZE": "16", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "8"}
    for name in (*expected, "MASTER_ADDR", "MASTER_PORT", "SLURM_STEP_ID", "TORCHELASTIC_RUN_ID"):
        monkeypatch.setenv(name, "")  # restored after the test
        monkeypatch.delenv(name)
    for name, value in of_slurm.items():
        monkeypatch.setenv(name, value)
    assert launched_rank() is None  # a shell of Slurm
    monkeypatch.setenv("MASTER_ADDR", "first")
    assert launched_rank() is None  # in an sbatch script
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    assert launched_rank() == 9
    assert {name: os.environ[name] for name in expected} == expected
    monkeypatch.setenv("WORLD_SIZE", "1")  # as in Kubernetes pods with one process
    assert launched_rank() is None

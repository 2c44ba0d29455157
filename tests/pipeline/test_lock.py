"""One run at a time per experiment."""

import os
import signal

from tests.pipeline.toy import Toy, kill


def test_a_second_run_is_refused_and_the_holder_named(toy: Toy) -> None:
    first = toy.hold("--set", "lm.order=2")
    try:
        output = toy.run(status=1)
        assert f"in use by process {first.pid} on {os.uname().nodename} since " in output
        assert "--set lm.order=2" in output
        assert str(toy.exp) in output
    finally:
        kill(first, signal.SIGTERM)
    assert toy.ran(toy.run()) == ["count", "tell"]


def test_status_and_dry_run_work_beside_a_run(toy: Toy) -> None:
    first = toy.hold()
    try:
        table = toy.run("--status").splitlines()
        assert table[3].split()[:3] == ["2", "count", "running"]
        assert table[-1].startswith(f"running: process {first.pid} ")
        assert "would run stage 2" in toy.run("--dry-run")
    finally:
        kill(first, signal.SIGTERM)
    assert "running" not in toy.run("--status")


def test_another_experiment_may_run_beside_it(toy: Toy) -> None:
    first = toy.hold()
    try:
        assert len(toy.ran(toy.run("--exp", str(toy.folder / "other")))) == 4
    finally:
        kill(first, signal.SIGTERM)


def test_a_folder_that_cannot_be_created_is_reported(toy: Toy) -> None:
    toy.write("file", "")
    output = toy.run("--exp", str(toy.folder / "file" / "exp"), status=1)
    assert "error: can't write" in output
    assert "Traceback" not in output

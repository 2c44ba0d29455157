"""A killed training restarted from step 0 with another number of threads or processes."""

import json
import re
import subprocess
import time

import pytest

from tests.known_issues.conftest import Finished
from tests.recipes.miniature import environment

BEGUN = ("train.seed=7", "train.processes=2", "train.checkpoint_steps=3", "train.batch_duration=30")


@pytest.mark.parametrize(
    ("others", "described"),
    [
        (("train.processes=1",), "1 process of 1 thread on cpu"),
        (("train.processes=1", "train.gradient_accumulation=2"), "1 process of 1 thread on cpu"),
        ((), ""),
    ],
)
def test_it_continues_at_the_same_step(yesno: Finished, others: "tuple[str, ...]", described: str) -> None:
    command = yesno.command("--corpus-dir", str(yesno.corpus), "--stop-stage", "train", settings=BEGUN)
    log = yesno.exp.with_suffix(".log")
    with open(log, "w") as stream:
        run = subprocess.Popen(command, env=environment(), stdout=stream, stderr=stream)
        while not list(yesno.exp.glob("trainings/*/checkpoints/resume-00000003*")):
            assert run.poll() is None, log.read_text()
            time.sleep(0.005)
        run.kill()
        run.wait()
    output = yesno.run("--stop-stage", "train", settings=(*BEGUN, *others))
    found = re.search(r"resumes at step (\d+), epoch 1", output)
    assert found and int(found[1]) >= 3
    changed = f"train: on {described} instead of 2 processes of 1 thread on cpu: same steps"
    assert (changed in output) == bool(described)
    rows = [json.loads(line) for line in (yesno.exp / "train/log.jsonl").read_text().splitlines()]
    assert [row["utterances"] for row in rows] == [24, 24]  # each once in each epoch
    assert rows[0]["step"] * 2 == rows[1]["step"]

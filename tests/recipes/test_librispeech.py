"""The recipe librispeech in miniature on real fragments: from manifests to scores, as a partial corpus."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Callable, Dict, List

import pytest

pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = [pytest.mark.k2, pytest.mark.recipe]

from asrkit.corpus.manifests import read_cuts  # noqa: E402
from asrkit.pipeline.experiment import open_experiment  # noqa: E402
from asrkit.storage.files import read_json, read_jsonl  # noqa: E402
from tests.recipes.miniature import PROJECT, launch_training, run_recipe  # noqa: E402

FRAGMENTS = ("--config", str(PROJECT / "recipes/librispeech/fragments.yaml"))
SETTINGS = ["corpus.tests=[test-clean, test-other]", "train.checkpoint_steps=3"]
PARTIAL = "372 of 39,665 utterances"


@pytest.fixture(scope="module")
def finished(corpora: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an experiment, trained by two processes that asrkit forked."""
    exp = tmp_path_factory.mktemp("librispeech")
    done = run_recipe("librispeech", corpora("librispeech"), exp, "--partial", *FRAGMENTS, settings=SETTINGS)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (exp / "said.txt").write_text(done.stdout)
    return exp


def test_fragments_are_refused_unless_a_partial_corpus_is_asked_for(
    corpora: Callable[[str], Path], tmp_path: Path
) -> None:
    corpus = corpora("librispeech")
    without_dev: List[str] = ["corpus.dev_sets=[]", *SETTINGS]
    refused = run_recipe(
        "librispeech", corpus, tmp_path, *FRAGMENTS, "--stop-stage", "1", settings=without_dev
    )
    assert refused.returncode == 1
    assert "train-clean-100 utterances: found 288, expected 28,539" in refused.stderr
    assert "test-clean words: found 58, expected 52,576" in refused.stderr
    assert "--partial" in refused.stderr


def test_all_stages_on_the_fragments(finished: Path) -> None:
    manifests = finished / "manifests"
    statistics = read_json(manifests / "statistics.json")
    assert statistics["partial"] == PARTIAL
    counts = {
        name: (of["utterances"], of["speakers"], of["words"]) for name, of in statistics["splits"].items()
    }
    assert counts == {
        "train": (261, 14, 7200),
        "dev": (27, 1, 781),
        "test-clean": (4, 1, 58),
        "test-other": (80, 8, 1473),
    }
    assert {cut.supervisions[0].speaker for cut in read_cuts(open_experiment(finished), "dev")} == {"26"}
    assert read_jsonl(manifests / "rejected.jsonl") == []
    results = {(row["set"], row["method"], row["unit"]): row for row in read_json(finished / "results.json")}
    assert len(results) == 18
    assert results["test-other", "1best", "word"]["reference"] == 1473
    assert {row["partial"] for row in results.values()} == {PARTIAL}
    lines = (finished / "RESULTS.md").read_text().splitlines()
    table = [line for line in lines if re.match(r"\| test-other \| \S+ \| \d+/\d+ = [\d.]+ % \[", line)]
    assert len(table) == 4  # two methods, in words, and in characters and units
    assert all(f"partial: {PARTIAL}" in line for line in table)
    assert (finished / "said.txt").read_text().count(f"partial: {PARTIAL}") == 19


def processes_of(exp: Path) -> Dict[int, str]:
    """Each process of an experiment, and the rank that torchrun gave it; "" is torchrun's own."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"\0{exp}\0" in (folder / "cmdline").read_text():
                _, _, after = (folder / "environ").read_text().partition("\0RANK=")
                found[int(folder.name)] = after.partition("\0")[0]
        except OSError:  # it has ended
            continue
    return found


def test_torchrun_killed_in_mid_epoch_goes_on_to_the_bytes_of_an_uninterrupted_training(
    finished: Path, corpora: Callable[[str], Path], tmp_path: Path
) -> None:
    exp = tmp_path / "exp"
    names = ("train", "average", "decode", "score")
    later = [*names, "trainings", *(f"{name}.{end}" for name in names for end in ("json", "files.json"))]
    shutil.copytree(finished, exp, ignore=shutil.ignore_patterns(*later))

    def launch() -> "subprocess.Popen[str]":
        corpus = corpora("librispeech")
        return launch_training("librispeech", corpus, exp, "--partial", *FRAGMENTS, settings=SETTINGS)

    def kill_at(step: int, kill: Callable[["subprocess.Popen[str]"], None]) -> str:
        launched, point = launch(), exp / f"train/checkpoints/resume-{step:08d}.safetensors"
        while launched.poll() is None and not point.exists():
            time.sleep(0.01)
        assert launched.poll() is None, launched.communicate()[0]
        kill(launched)
        said = launched.communicate()[0]  # all that could write have ended
        deadline = time.monotonic() + 5
        while processes_of(exp) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert processes_of(exp) == {}
        assert launched.returncode != 0
        return said

    def kill_second(launched: "subprocess.Popen[str]") -> None:
        (second,) = [process for process, rank in processes_of(exp).items() if rank == "1"]
        os.kill(second, signal.SIGKILL)

    said = kill_at(3, kill_second)
    assert "rank      : 1" in said and "Signal 9 (SIGKILL)" in said  # torchrun's words
    kill_at(6, lambda launched: os.killpg(launched.pid, signal.SIGKILL))
    kill_at(9, lambda launched: launched.kill())  # torchrun alone
    last = launch()
    said = last.communicate()[0]
    assert last.returncode == 0, said
    assert "train: resumes at step 9, epoch 1" in said
    weights = "train/checkpoints/epoch-0001.safetensors"
    assert (exp / weights).read_bytes() == (finished / weights).read_bytes()
    again = launch()  # of what has ended
    said = again.communicate()[0]
    assert again.returncode == 0, said
    assert said.count("fresh, so not run: stage 6 (train)") == 1
    assert (exp / weights).exists() and len(list((exp / "trainings").iterdir())) == 1

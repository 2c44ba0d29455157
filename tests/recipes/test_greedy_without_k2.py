"""A recipe that decodes greedily needs neither k2 nor the stages lm and graph."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest

from tests.recipes.miniature import PROJECT, environment

pytestmark = pytest.mark.recipe

STAGES = ("download", "manifests", "features", "units", "train", "average", "decode", "score")
WITHOUT_K2 = "import sys; sys.modules['k2'] = None; from asrkit.cli.main import main; main()"


def asrkit(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", WITHOUT_K2, *map(str, arguments)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True)


def test_greedy_runs_to_its_error_rate_and_evaluates_without_k2_lm_and_graph(
    tmp_path: Path, corpora: Callable[[str], Path]
) -> None:
    lines = [f"{number}\x1f{name}\x1f{name}" for number, name in enumerate(STAGES)]
    options = [word for line in lines for word in ("--line", line)]
    places = ["--recipe", PROJECT / "recipes" / "yesno", "--corpus-dir", corpora("yesno"), "--exp", tmp_path]
    run = ["run", *places, *options, "--nj", 2, "--set", "decode.methods=[greedy]"]
    done = asrkit(*run)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert not (tmp_path / "lm").exists() and not (tmp_path / "graph").exists()
    results = json.loads((tmp_path / "results.json").read_text())
    assert {row["method"] for row in results} == {"greedy"}
    assert results[0]["reference"] == 240 and results[0]["errors"] <= 4
    assert "decode" in asrkit(*run, "--status").stdout
    cuts = tmp_path / "manifests" / "test_cuts.jsonl.gz"
    done = asrkit("evaluate", "--exp", tmp_path, "--cuts", cuts, "--nj", 2)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    decoded = [tmp_path / "decode" / "test", tmp_path / "evaluate" / "test_cuts" / "decode" / "test_cuts"]
    assert len({(folder / "hypotheses_greedy.jsonl").read_text() for folder in decoded}) == 1


def test_a_method_that_needs_k2_is_refused_without_it_before_any_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asrkit.config import CorpusConfig, DecodeConfig, RecipeConfig
    from asrkit.errors import UserError
    from asrkit.stages import decode

    config = RecipeConfig(name="x", corpus=CorpusConfig(module="x"), decode=DecodeConfig(methods=("greedy",)))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    decode.check(config)
    with pytest.raises(UserError, match="k2 isn't installed") as error:
        decode.check(RecipeConfig(name="x", corpus=CorpusConfig(module="x")))
    assert "asrkit doctor" in error.value.todo

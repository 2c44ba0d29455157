"""A recipe from manifests to scores in miniature: a tiny model, one epoch, a narrow search."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, List

from tests.train.torchrun import torchrun

PROJECT = Path(__file__).resolve().parents[2]
TINY = (
    *("features.speed_factors=[1.0]", "model.stem_channels=8", "model.stage_channels=[8, 8, 8, 8]"),
    *("model.attention_blocks=1", "model.attention_dim=32", "model.attention_heads=2"),
    *("model.feedforward_dim=32", "model.encoder=attention", "model.intermediate_blocks=[]"),
    *("train.epochs=1", "train.batch_duration=200", "train.precision=float32"),
    "augment.spec_augment.time_warp_frames=0",
    *("average.candidates=[best-1]", "decode.methods=[greedy, 1best]", "decode.search_beam=5"),
    *("decode.output_beam=2", "decode.max_active_states=100", "decode.nbest_paths=10"),
    *("decode.lm_scales=[0.5]", "decode.word_bonuses=[0.0]", "score.bootstrap_samples=100"),
)


def run_recipe(
    name: str, corpus: Path, exp: Path, *options: str, settings: List[str]
) -> "subprocess.CompletedProcess[str]":
    """Run recipes/NAME over the corpus in the folder `exp`, with these settings and the tiny ones."""
    command = [sys.executable, "-c", "from asrkit.cli.main import main; main()", "run"]
    command += ["--recipe", str(PROJECT / "recipes" / name), *arguments(corpus, exp, settings), *options]
    return subprocess.run(command, env=environment(), capture_output=True, text=True)


def launch_training(
    name: str, corpus: Path, exp: Path, *options: str, settings: List[str]
) -> "subprocess.Popen[str]":
    """Start stage train of the recipe by torchrun, as docs/training.md says: two processes of run.sh."""
    script = str(PROJECT / "recipes" / name / "run.sh")
    stage = ("--stage", "train", "--stop-stage", "train")
    return subprocess.Popen(
        torchrun("--no_python", script, *stage, *arguments(corpus, exp, settings), *options),
        env={**environment(), "VIRTUAL_ENV": sys.prefix},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def arguments(corpus: Path, exp: Path, settings: List[str]) -> List[str]:
    """Of asrkit run: where things are, these settings and the tiny ones."""
    assignments = [word for setting in (*TINY, *settings) for word in ("--set", setting)]
    return ["--corpus-dir", str(corpus), "--exp", str(exp), "--nj", "2", *assignments]


def environment() -> Dict[str, str]:
    """One in which this project is what `import asrkit` finds."""
    return {**os.environ, "PYTHONPATH": str(PROJECT)}

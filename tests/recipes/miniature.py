"""A recipe from manifests to scores in miniature: a tiny model, one epoch, a narrow search."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, List

PROJECT = Path(__file__).resolve().parents[2]
TINY = (
    *("features.speed_factors=[1.0]", "model.stem_channels=8", "model.stage_channels=[8, 8, 8, 8]"),
    *("model.attention_blocks=1", "model.attention_dim=32", "model.attention_heads=2"),
    *("model.feedforward_dim=32", "model.convolution_kernel=0", "model.intermediate_blocks=[]"),
    *("train.epochs=1", "train.batch_duration=200", "train.precision=float32", "train.time_warp_frames=0"),
    *("average.candidates=[best-1]", "decode.methods=[greedy, hlg]", "decode.search_beam=5"),
    *("decode.output_beam=2", "decode.max_active_states=100", "decode.nbest_paths=10"),
    *("decode.lm_scales=[0.5]", "decode.word_bonuses=[0.0]", "score.bootstrap_samples=100"),
)


def run_recipe(
    name: str, corpus: Path, exp: Path, *options: str, settings: List[str]
) -> "subprocess.CompletedProcess[str]":
    """Run recipes/NAME over the corpus in the folder `exp`, with these settings and the tiny ones."""
    assignments = [word for setting in (*TINY, *settings) for word in ("--set", setting)]
    command = [sys.executable, "-c", "from asrkit.cli.main import main; main()", "run"]
    command += ["--recipe", str(PROJECT / "recipes" / name), "--corpus-dir", str(corpus), "--exp", str(exp)]
    environment: Dict[str, str] = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.run(
        [*command, "--nj", "2", *assignments, *options], env=environment, capture_output=True, text=True
    )

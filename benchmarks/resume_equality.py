#!/usr/bin/env python3
"""Whether a killed and resumed run gives the bytes of an uninterrupted one: features, weights, transcripts.

yesno with four epochs, twice in temporary folders. The second run is killed by SIGKILL, with all its
processes, when certain files of stages features, train and decode appear, and restarted. With --kills N, more
experiments are killed at random times, N times in all.
"""

import os
import random
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Dict

from measure import find_corpus, make_parser, print_figure, recipe_command, run_measurement, run_recipe

from asrkit.errors import UserError

VALUES = ("train.epochs=4", "train.checkpoint_steps=3", "decode.shard_utterances=4")
SETTINGS = tuple(word for value in VALUES for word in ("--set", value))
SIGNS = (
    "features/shards/train-00000.json",
    "features/shards/test-00000.json",
    "train/checkpoints/resume-00000003.safetensors",
    "train/checkpoints/epoch-0003.safetensors",
    "lattices/dev/00000.safetensors",
    "posteriors/test/00003.safetensors",
    "decode/test/nbest-00000.safetensors",
)
COMPARED = (
    "features/shards/*.i16",
    "features/*_cuts.jsonl.gz",
    "features/normalisation.safetensors",
    "train/checkpoints/epoch-*.safetensors",
    "average/model.safetensors",
    "decode/*/hypotheses_*.jsonl",
)


def run_until(sign: str, exp: Path, corpus: Path) -> None:
    """Run the recipe, and kill it when a file like `sign` appears."""
    if list(exp.glob(sign)):
        raise UserError(f"{sign} was there before the run", expected="signs in the order of the stages")
    command = recipe_command("yesno", exp, corpus, *SETTINGS)
    run = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    while run.poll() is None and not list(exp.glob(sign)):
        time.sleep(0.001)
    if run.poll() is not None:
        raise UserError(f"the run ended before {sign} appeared", where="recipes/yesno/run.sh")
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    print(f"killed at {sign}", flush=True)


def kill_at_random(exp: Path, corpus: Path, kills: int) -> int:
    """Run the recipe to its end, killed up to `kills` times at random moments on the way; how many kills."""
    command = recipe_command("yesno", exp, corpus, *SETTINGS)
    for killed in range(kills):
        run = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
        try:
            run.wait(random.uniform(0.3, 4))
            return killed
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
    run_recipe("yesno", exp, corpus, *SETTINGS)
    return kills


def contents(exp: Path) -> Dict[str, bytes]:
    """What must be equal, by path."""
    return {str(f.relative_to(exp)): f.read_bytes() for pattern in COMPARED for f in exp.glob(pattern)}


def measure() -> None:
    """Run once whole, once with kills, and compare."""
    parser = make_parser(__doc__)
    parser.add_argument("--corpus-dir", type=Path, metavar="DIR", help="default: $ASRKIT_CORPORA/yesno")
    parser.add_argument("--kills", type=int, default=0, help="at random moments, beside those at files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        whole, killed = Path(name) / "whole", Path(name) / "killed"
        corpus = find_corpus("yesno", options.corpus_dir, whole)
        run_recipe("yesno", whole, corpus, *SETTINGS)
        for sign in SIGNS:
            run_until(sign, killed, corpus)
        run_recipe("yesno", killed, corpus, *SETTINGS)
        expected, left, runs = contents(whole), options.kills, [killed]
        while left > 0:
            runs.append(Path(name) / f"random-{len(runs)}")
            left -= kill_at_random(runs[-1], corpus, min(left, 5))
            print(f"{options.kills - left} of {options.kills} random kills", flush=True)
        different = [
            f"{exp.name}/{path}"
            for exp in runs
            for found in [contents(exp)]
            for path in sorted({*expected, *found})
            if expected.get(path) != found.get(path)
        ]
    print("\n".join(f"differs: {path}" for path in different))
    print_figure("resume_compared_files", len(expected))
    print_figure("resume_equal_bytes", int(bool(expected) and not different))


if __name__ == "__main__":
    run_measurement(measure)

#!/usr/bin/env python3
"""Seconds of a run with nothing to do on a corpus of many files, or of --status: median of some runs.

The corpus consists of small files. Two stages are fresh: one reads all files, the other the audio that a
manifest names.
"""

import gzip
import json
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from measure import make_parser, print_figure, run_measurement

from asrkit.pipeline.experiment import REPOSITORY

RUN_SH = """
. "{utils}/recipe.sh"
stage 0 download  "nothing"
stage 1 listing   "all files" --reads "{{corpus}}" --writes listing/done -- touch_done listing
stage 2 reading   "audio"     --reads "audio of manifests/train_cuts.jsonl.gz" --writes reading/done \\
  -- touch_done reading
run_stages "$@"
"""


def make_recipe(folder: Path, files: int) -> None:
    """A corpus of `files` files in folders of 100, a manifest of them, and a recipe."""
    recipe, corpus, exp = folder / "recipe", folder / "corpus", folder / "exp"
    for directory in (recipe, corpus, exp / "manifests"):
        directory.mkdir(parents=True)
    (recipe / "recipe.yaml").write_text("name: many\ncorpus: {module: tsv}\n")
    (recipe / "run.sh").write_text(RUN_SH.format(utils=REPOSITORY / "utils"))
    script = recipe / "touch_done"
    script.write_text('#!/bin/sh\necho done > "$EXP/$1/done"\n')
    script.chmod(0o755)
    (corpus / "all.tsv").write_text("path\ttext\tspeaker\n")
    with gzip.open(exp / "manifests/train_cuts.jsonl.gz", "wt") as stream:
        for number in range(files):
            name = f"{number // 100:05d}/{number:08d}.wav"
            if number % 100 == 0:
                (corpus / name).parent.mkdir()
            (corpus / name).write_bytes(name.encode())
            source = {"type": "file", "channels": [0], "source": name}
            stream.write(json.dumps({"id": str(number), "recording": {"sources": [source]}}) + "\n")


def measure() -> None:
    """Run the recipe once, then time runs of nothing."""
    parser = make_parser(__doc__)
    parser.add_argument("--files", type=int, default=300_000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--status", action="store_true", help="time run.sh --status")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_recipe(folder, options.files)
        command = ["bash", str(folder / "recipe/run.sh"), "--corpus-dir", str(folder / "corpus")]
        command += ["--exp", str(folder / "exp")]
        times = []
        for repetition in range(options.repetitions + 1):
            begun = time.perf_counter()
            asked = [*command, "--status"] if options.status and repetition else command
            done = subprocess.run(asked, check=True, stdout=subprocess.PIPE, text=True)
            times.append(time.perf_counter() - begun)
        assert options.status or "nothing to do" in done.stdout, done.stdout
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    shown = f"first run {times[0]:.1f} s, then {min(times[1:]):.2f} to {max(times[1:]):.2f} s"
    print(f"{options.files:,} files: {shown}; at most {most:.0f} MB")
    name = "many_files_status_seconds" if options.status else "many_files_nothing_to_do_seconds"
    print_figure(name, statistics.median(times[1:]), digits=3)


if __name__ == "__main__":
    run_measurement(measure)

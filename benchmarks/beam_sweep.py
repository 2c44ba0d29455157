#!/usr/bin/env python3
"""Word errors against real-time factor over the beams of the lattice search, without the acoustic model.

On benchmarks/large_graph.py's graph and simulated posteriors, or on the dev set of a finished experiment, by
processes that share the graph's memory. The last line is the real-time factor of the fastest beams that make
at most 0.1 % more errors than the usual k2 beams: wall seconds per second of audio.
"""

import argparse
import collections
import dataclasses
import itertools
import os
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import k2
import large_graph
import msgspec
import numpy as np
import torch
from measure import make_parser, print_figure, run_measurement
from torch import Tensor

from asrkit.config import DecodeConfig, GraphConfig
from asrkit.decode.nbest import word_errors
from asrkit.decode.paths import list_hypotheses
from asrkit.decode.posteriors import compute_posteriors, read_posteriors
from asrkit.decode.search import prepare_graph, search_lattice, skip_blanks
from asrkit.decode.shards import read_shard
from asrkit.graph.compile import make_graph
from asrkit.graph.store import load_graph, save_graph
from asrkit.model.acoustic import load_model
from asrkit.pipeline.experiment import open_experiment
from asrkit.pipeline.machine import count_cores
from asrkit.pipeline.parallel import run_parallel
from asrkit.signal.features import load_cuts
from asrkit.storage.files import read_json
from asrkit.storage.fingerprint import hash_file

# search_beam, output_beam, min_active_states, max_active_states, blank_skip_threshold
Beams = Tuple[float, float, int, int, Optional[float]]
REFERENCE: Beams = (20.0, 8.0, 30, 10_000, None)
MOST_MORE_ERRORS = 0.001


@dataclasses.dataclass(frozen=True)
class Material:
    """What is searched, with what should be found."""

    fst: k2.Fsa
    symbols: Sequence[str]
    log_probs: Dict[str, Tensor]  # (frame, unit)
    references: Dict[str, List[str]]
    audio_seconds: float
    config: DecodeConfig
    point: np.ndarray  # (1, [lm_scale, word_bonus]), by which words are chosen


def simulated(options: argparse.Namespace) -> Material:
    """The large graph and its posteriors, made if need be."""
    large_graph.prepare(options)
    file = options.dir / "graph" / "HLG.safetensors"
    if not file.exists():
        save_graph(file, make_graph(options.dir / "units", options.dir / "lm" / "lm.arpa", GraphConfig()))
    graph, config = load_graph(file), DecodeConfig()
    halves, about = read_shard(options.dir / large_graph.POSTERIORS)
    chosen = list(halves)[: options.sentences]
    log_probs = {name: halves[name].float() for name in chosen}
    references = {name: about["references"][name].split() for name in chosen}
    seconds = sum(map(len, log_probs.values())) / large_graph.FRAMES_PER_SECOND
    point = np.array([[config.search_lm_scale, 0.0]])
    return Material(prepare_graph(graph), graph.words, log_probs, references, seconds, config, point)


def recorded(options: argparse.Namespace) -> Material:
    """Dev of an experiment, by its averaged model and the weights chosen on it."""
    experiment = open_experiment(options.exp)
    config, dev = experiment.config.decode, experiment.config.corpus.dev
    cuts = list(load_cuts(experiment, dev))
    model_file = experiment.folder("average") / "model.safetensors"
    model, _ = load_model(model_file)
    shard, batch = config.shard_utterances, config.batch_duration
    place = options.dir / "posteriors"
    sizes = {"shard_utterances": shard, "batch_duration": batch}
    files = compute_posteriors(model, cuts, place, **sizes, jobs=1, model_made_of=hash_file(model_file))
    shards = [read_posteriors(file) for file in files]
    graph = load_graph(experiment.folder("graph") / "HLG.safetensors")
    weights = read_json(experiment.folder("decode") / "scales.json")["weights"]["1best"]
    return Material(
        prepare_graph(graph),
        graph.words,
        dict(collections.ChainMap(*(shard.log_probs for shard in shards))),
        {cut.id: cut.supervisions[0].text.split() for cut in cuts},
        sum(shard.audio_seconds for shard in shards),
        config,
        np.array([[weights["lm_scale"], weights["word_bonus"]]]),
    )


class Trial(NamedTuple):
    """What one utterance gave, and its process so far."""

    errors: int
    outcome: str  # of the search
    processor_seconds: float
    process: int
    private_megabytes: float  # at most, beside the files that are mapped: the graph is one


def try_beams(material: Material, beams: Beams, jobs: int) -> Tuple[List[Trial], float]:
    """What each utterance gave, and wall seconds for all."""
    names = ("search_beam", "output_beam", "min_active_states", "max_active_states", "blank_skip_threshold")
    config = msgspec.structs.replace(material.config, **dict(zip(names, beams)))
    longest_first = sorted(material.log_probs, key=lambda name: -len(material.log_probs[name]))

    def work(index: int) -> Trial:
        name, begun = longest_first[index], time.process_time()
        shorter = skip_blanks(material.log_probs[name], config.blank_skip_threshold)
        outcome, lattice = search_lattice(material.fst, name, shorter, config)
        words: List[str] = []
        if lattice is not None:
            nbest = list_hypotheses(lattice, material.symbols, outcome, material.point)
            words = nbest.best(material.point[0])
        seconds = time.process_time() - begun
        return Trial(word_errors(material.references[name], words), outcome, seconds, os.getpid(), _private())

    trials: List[Trial] = []
    begun = time.perf_counter()
    run_parallel(work, len(longest_first), jobs, lambda _, trial: trials.append(trial))
    return trials, time.perf_counter() - begun


def _private() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = {name: value for name, _, value in (line.partition(":") for line in lines)}
    most, mapped = (int(kilobytes[name].split()[0]) for name in ("VmHWM", "RssFile"))
    return (most - mapped) * 1024 / 1e6


def draw(file: Path, rates: Sequence[float], factors: Sequence[float]) -> None:
    """Errors against real-time factor, the reference in red."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    axes.scatter(factors[1:], rates[1:])
    axes.scatter(factors[:1], rates[:1], color="red")
    axes.set(xscale="log", xlabel="seconds per second of audio", ylabel="word error rate, %")
    figure.savefig(file)


def read_options() -> argparse.Namespace:
    """All combinations of the beams that are given are tried."""
    parser = make_parser(__doc__, exp="an experiment whose dev set is decoded; --dir keeps its posteriors")
    large_graph.add_options(parser)
    parser.add_argument("--search-beam", type=float, nargs="+", default=[6.0, 7.0, 8.0, 12.0])
    parser.add_argument("--output-beam", type=float, nargs="+", default=[6.0])
    parser.add_argument("--min-active", type=int, nargs="+", default=[30])
    parser.add_argument("--max-active", type=int, nargs="+", default=[300, 500, 1000])
    parser.add_argument("--blank-skip", type=float, nargs="+", default=[0.99, 0.999], help="1: none")
    parser.add_argument("--nj", type=int, default=count_cores(), help="processes; default: the cores")
    parser.add_argument("--sentences", type=int, default=large_graph.HELD_OUT, help="of the simulated ones")
    return parser.parse_args()


def measure() -> None:
    """Print a table and draw DIR/beam_sweep.png; MB are those of all processes beside the graph."""
    options = read_options()
    torch.set_num_threads(1)
    material: Any = recorded(options) if options.exp else simulated(options)
    words = sum(map(len, material.references.values()))
    print(f"{len(material.references)} utterances, {words} words, {material.audio_seconds:.0f} s of audio")
    skips = [None if skip == 1 else skip for skip in options.blank_skip]
    lists = (options.search_beam, options.output_beam, options.min_active, options.max_active, skips)
    print("search output    min    max  blank     WER %      RTF processor fell back     MB", flush=True)
    rates, factors = [], []
    for beams in [REFERENCE, *itertools.product(*lists)]:
        trials, seconds = try_beams(material, beams, options.nj)
        rates.append(100 * sum(trial.errors for trial in trials) / words)
        factors.append(seconds / material.audio_seconds)
        processor = sum(trial.processor_seconds for trial in trials) / material.audio_seconds
        back = sum(trial.outcome != "lattice" for trial in trials)
        peaks = {trial.process: trial.private_megabytes for trial in trials}
        row = [f"{value or '-':>6}" for value in beams]
        row += [f"{rates[-1]:9.2f} {factors[-1]:8.4f} {processor:9.4f} {back:9} {sum(peaks.values()):6.0f}"]
        print(*row, flush=True)
    draw(options.dir / "beam_sweep.png", rates, factors)
    print(options.dir / "beam_sweep.png")
    allowed = rates[0] + 100 * MOST_MORE_ERRORS
    print_figure("best_beams_rtf", min(factor for rate, factor in zip(rates, factors) if rate <= allowed))


if __name__ == "__main__":
    run_measurement(measure)

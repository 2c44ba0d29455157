#!/usr/bin/env python3
"""Word errors against real-time factor over the beams of the lattice search, without the acoustic model.

On benchmarks/large_graph.py's graph and simulated posteriors, or on the dev set of a finished experiment. The
last line is the real-time factor of the fastest beams that make at most 0.1 % more errors than k2's beams as
they are usually called: seconds of processor, on one core, a second of audio.
"""

import argparse
import collections
import dataclasses
import itertools
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import k2
import large_graph
import msgspec
import numpy as np
import torch
from measure import make_parser, print_figure, run_measurement
from torch import Tensor

from asrkit.cli.graph import make_graph
from asrkit.config import DecodeConfig, GraphConfig
from asrkit.decode.blanks import skip_blanks
from asrkit.decode.choose import word_errors
from asrkit.decode.paths import list_hypotheses
from asrkit.decode.posteriors import compute_posteriors, read_posteriors
from asrkit.decode.search import WAYS, prepare_graph, search_lattice
from asrkit.decode.shards import read_shard
from asrkit.graph.store import load_graph, save_graph
from asrkit.model.acoustic import load_model
from asrkit.pipeline.experiment import open_experiment
from asrkit.signal.features import load_cuts
from asrkit.storage.files import read_json

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
    model, _ = load_model(experiment.averaged / "model.safetensors")
    shard, batch = config.shard_utterances, config.batch_duration
    files = compute_posteriors(model, cuts, options.dir, shard_utterances=shard, batch_duration=batch, jobs=1)
    shards = [read_posteriors(file) for file in files]
    graph = load_graph(experiment.graph / "HLG.safetensors")
    weights = read_json(experiment.decoding / "scales.json")["weights"]["hlg"]
    return Material(
        prepare_graph(graph),
        graph.words,
        dict(collections.ChainMap(*(shard.log_probs for shard in shards))),
        {cut.id: cut.supervisions[0].text.split() for cut in cuts},
        sum(shard.audio_seconds for shard in shards),
        config,
        np.array([[weights["lm_scale"], weights["word_bonus"]]]),
    )


def try_beams(material: Material, beams: Beams) -> Tuple[int, float, Dict[str, int]]:
    """Word errors, seconds of processor, and how many utterances took each step of the ladder."""
    names = ("search_beam", "output_beam", "min_active_states", "max_active_states", "blank_skip_threshold")
    config = msgspec.structs.replace(material.config, **dict(zip(names, beams)))
    errors, ways, begun = 0, collections.Counter(dict.fromkeys(WAYS, 0)), time.process_time()
    for name, log_probs in material.log_probs.items():
        shorter = skip_blanks(log_probs, config.blank_skip_threshold)
        way, lattice = search_lattice(material.fst, name, shorter, config)
        words: List[str] = []
        if lattice is not None:
            words = list_hypotheses(lattice, material.symbols, way, material.point).best(material.point[0])
        errors += word_errors(material.references[name], words)
        ways[way] += 1
    return errors, time.process_time() - begun, ways


def draw(file: Path, rates: Sequence[float], factors: Sequence[float]) -> None:
    """Errors against real-time factor, the reference in red."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    axes.scatter(factors[1:], rates[1:])
    axes.scatter(factors[:1], rates[:1], color="red")
    axes.set(xscale="log", xlabel="seconds of processor a second of audio", ylabel="word error rate, %")
    figure.savefig(file)


def read_options() -> argparse.Namespace:
    """All combinations of the beams that are given are tried."""
    parser = make_parser(__doc__, exp="an experiment whose dev set is decoded; --dir keeps its posteriors")
    large_graph.add_options(parser)
    parser.add_argument("--search-beam", type=float, nargs="+", default=[6.0, 8.0, 12.0])
    parser.add_argument("--output-beam", type=float, nargs="+", default=[6.0])
    parser.add_argument("--min-active", type=int, nargs="+", default=[30])
    parser.add_argument("--max-active", type=int, nargs="+", default=[300, 1000])
    parser.add_argument("--blank-skip", type=float, nargs="+", default=[0.99, 0.999], help="1: none")
    parser.add_argument("--sentences", type=int, default=large_graph.HELD_OUT, help="of the simulated ones")
    return parser.parse_args()


def measure() -> None:
    """Print a table and draw DIR/beam_sweep.png."""
    options = read_options()
    torch.set_num_threads(1)
    material: Any = recorded(options) if options.exp else simulated(options)
    words = sum(map(len, material.references.values()))
    print(f"{len(material.references)} utterances, {words} words, {material.audio_seconds:.0f} s of audio")
    skips = [None if skip == 1 else skip for skip in options.blank_skip]
    lists = (options.search_beam, options.output_beam, options.min_active, options.max_active, skips)
    print("search output    min    max  blank     WER %      RTF fell back", flush=True)
    rates, factors = [], []
    for beams in [REFERENCE, *itertools.product(*lists)]:
        errors, seconds, ways = try_beams(material, beams)
        rates.append(100 * errors / words)
        factors.append(seconds / material.audio_seconds)
        back = sum(ways[way] for way in WAYS[1:])
        row = [f"{value or '-':>6}" for value in beams]
        print(*row, f"{rates[-1]:9.2f} {factors[-1]:8.4f} {back:9}", flush=True)
    draw(options.dir / "beam_sweep.png", rates, factors)
    print(options.dir / "beam_sweep.png")
    allowed = rates[0] + 100 * MOST_MORE_ERRORS
    print_figure("best_beams_rtf", min(factor for rate, factor in zip(rates, factors) if rate <= allowed))


if __name__ == "__main__":
    run_measurement(measure)

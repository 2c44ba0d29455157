"""Stage 8: decode dev, choose scale and word bonus on it, then decode each test set once with these."""

import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import msgspec
import torch
from torch import Tensor

from asrkit.decode.choose import Weights, choose_weights
from asrkit.decode.nbest import NBest, Points, grid, list_hypotheses, read_lists, single, write_lists
from asrkit.decode.posteriors import compute_posteriors, read_posteriors
from asrkit.decode.search import WAYS, prepare_graph, search_lattice
from asrkit.decode.shards import make_shards
from asrkit.errors import UserError
from asrkit.graph.store import DecodingGraph, load_graph
from asrkit.model.acoustic import greedy_ctc, load_model
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.progress import Progress
from asrkit.signal.features import load_cuts
from asrkit.storage.files import read_json, write_json, write_jsonl
from asrkit.storage.fingerprint import hash_file
from asrkit.text.units import Units, load_units

# Of an utterance, its log-probabilities (frame, unit), and the points at which the best is wanted
Decoder = Callable[[str, Tensor, Points], NBest]
METHODS = ("greedy", "hlg")


def run(experiment: Experiment) -> None:
    """Write decode/scales.json, and for each split its hypotheses and timings by method."""
    torch.set_num_threads(1)  # processes are the parallelism here, and threads don't survive a fork
    corpus, scales_file = experiment.config.corpus, experiment.decoding / "scales.json"
    decoders = make_decoders(experiment)
    weights: Dict[str, Weights] = {}
    for split in dict.fromkeys([corpus.dev, *corpus.tests]):
        files = _write_posteriors(experiment, split)
        decoded: Dict[str, Tuple[Dict[str, NBest], Dict[str, float]]] = {}
        for method in METHODS:
            points = weights[method].point if method in weights else grid(experiment.config.decode)
            decoded[method] = _decode(experiment, split, files, method, decoders[method], points)
        if split == corpus.dev:
            _choose(experiment, {method: lists for method, (lists, _) in decoded.items()}, scales_file)
            weights = msgspec.convert(read_json(scales_file)["weights"], Dict[str, Weights])
        for method, (lists, about) in decoded.items():
            _write_method(experiment, split, method, lists, about, weights.get(method))


def make_decoders(experiment: Experiment) -> Dict[str, Decoder]:
    """What decodes an utterance by each method."""
    config = experiment.config.decode
    units = load_units(experiment.units)
    graph = _load_matching_graph(experiment)
    fst = prepare_graph(graph, config.search_lm_scale)

    def greedy(utterance: str, log_probs: Tensor, points: Points) -> NBest:
        words = _greedy_words(log_probs, units)
        return single(words, "greedy" if words else "empty")

    def hlg(utterance: str, log_probs: Tensor, points: Points) -> NBest:
        way, lattice = search_lattice(fst, utterance, log_probs, config)
        if lattice is None:
            return greedy(utterance, log_probs, points)
        return list_hypotheses(lattice, graph.words, way, points)

    return {"greedy": greedy, "hlg": hlg}


def _greedy_words(log_probs: Tensor, units: Units) -> List[str]:
    return units.words(greedy_ctc(log_probs[None], [len(log_probs)])[0])


def _load_matching_graph(experiment: Experiment) -> DecodingGraph:
    graph = load_graph(experiment.graph / "HLG.safetensors")
    _, made_of = load_model(experiment.averaged / "model.safetensors")
    units = hash_file(experiment.units / "units.txt")
    for name, found in (("graph", graph.made_of.get("units")), ("model", made_of.get("units"))):
        if found != units:
            raise UserError(
                f"the {name} was made for other units",
                expected=f"units {units}",
                where=f"{name}: units {found}",
                todo="run.sh, which makes anew what is stale",
            )
    return graph


def _write_posteriors(experiment: Experiment, split: str) -> List[Path]:
    model, _ = load_model(experiment.averaged / "model.safetensors")
    decode = experiment.config.decode
    return compute_posteriors(
        model,
        list(load_cuts(experiment, split)),
        experiment.decoding / split,
        shard_utterances=decode.shard_utterances,
        batch_duration=decode.batch_duration,
        jobs=experiment.jobs,
    )


def _decode(
    experiment: Experiment,
    split: str,
    files: Sequence[Path],
    method: str,
    decode: Decoder,
    points: Points,
) -> Tuple[Dict[str, NBest], Dict[str, float]]:
    """n-best lists of a split in the order of ids, and seconds; a process takes a shard of posteriors."""
    outputs = [file.with_name(file.name.replace("posteriors", method)) for file in files]

    def work(index: int) -> None:
        posteriors = read_posteriors(files[index])
        started = time.perf_counter()
        lists = {
            utterance: decode(utterance, rows, points) for utterance, rows in posteriors.log_probs.items()
        }
        seconds = posteriors.seconds + time.perf_counter() - started
        write_lists(outputs[index], lists, {"audio_seconds": posteriors.audio_seconds, "seconds": seconds})

    with Progress(f"{method} {split}", len(files), "shards") as bar:
        make_shards(outputs, work, experiment.jobs, lambda _: bar.advance())
    shards = [read_lists(file) for file in outputs]
    lists = {utterance: nbest for part, _ in shards for utterance, nbest in part.items()}
    about = {key: sum(part[key] for _, part in shards) for key in ("audio_seconds", "seconds")}
    return dict(sorted(lists.items())), about


def _choose(experiment: Experiment, decoded: Mapping[str, Mapping[str, NBest]], file: Path) -> None:
    """Write scales.json: for each method the weights with the fewest errors on dev, and what was tried."""
    split = experiment.config.corpus.dev
    references = {cut.id: cut.supervisions[0].text.split() for cut in load_cuts(experiment, split)}
    weights: Dict[str, Weights] = {}
    tried: Dict[str, Any] = {}
    for method, lists in decoded.items():
        if method == "greedy":  # one hypothesis: nothing to weigh
            continue
        points = grid(experiment.config.decode)
        weights[method], tried[method] = choose_weights(references, lists, points)
        fewest = min(point["errors"] for point in tried[method])
        print(
            f"decode: {method}: lm_scale {weights[method].lm_scale:g} and word_bonus "
            f"{weights[method].word_bonus:g} are chosen on {split}: {fewest} errors"
        )
    write_json(file, {"chosen_on": split, "weights": msgspec.to_builtins(weights), "tried": tried})


def _write_method(
    experiment: Experiment,
    split: str,
    method: str,
    lists: Mapping[str, NBest],
    about: Mapping[str, float],
    chosen: Optional[Weights],
) -> None:
    """Write a method's hypotheses in the order of ids, what they cost, and how many fell back."""
    directory = experiment.decoding / split
    rows = [
        {"id": key, "hyp": nbest.best(chosen.point) if chosen else nbest.words[0]}
        for key, nbest in lists.items()
    ]
    write_jsonl(directory / f"hypotheses_{method}.jsonl", rows)
    settings: Dict[str, Any] = {}
    fallbacks: Dict[str, int] = {}
    if chosen:
        settings = {**msgspec.to_builtins(experiment.config.decode), **msgspec.to_builtins(chosen)}
        for unused in ("lm_scales", "word_bonuses", "batch_duration", "shard_utterances"):
            settings.pop(unused)
        ways = [nbest.way for nbest in lists.values()]
        fallbacks = {way: ways.count(way) for way in WAYS[1:]}
        for key, nbest in lists.items():
            if nbest.way != WAYS[0]:
                print(f"decode: {split} {key}: no lattice at the set beams, fell back to {nbest.way}")
    timing = {
        "audio_seconds": round(about["audio_seconds"], 3),
        "seconds": round(about["seconds"], 3),
        "fallbacks": fallbacks,
        "settings": settings,
    }
    write_json(directory / f"timing_{method}.json", timing)

"""Decode splits: dev by every weight of the grids, a test set by those that were chosen on dev."""

import collections
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import msgspec
import numpy as np
import torch

from asrkit.decode.lattices import read_lattices, write_lattices
from asrkit.decode.methods import (
    BEAMS,
    HLG_METHODS,
    LATTICE_METHODS,
    UtteranceDecoder,
    method_grids,
    method_settings,
)
from asrkit.decode.nbest import NBest, choose_weights, make_points, read_lists, word_errors, write_lists
from asrkit.decode.posteriors import compute_posteriors, read_posteriors
from asrkit.decode.search import WAYS
from asrkit.decode.shards import made_of, make_shards
from asrkit.errors import UserError
from asrkit.graph.store import DecodingGraph, load_graph
from asrkit.model.acoustic import load_model, subsampling
from asrkit.pipeline.code import code_fingerprints
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.progress import Progress
from asrkit.pipeline.runner import cache_of
from asrkit.signal.features import load_cuts
from asrkit.storage.files import read_json, write_json, write_jsonl
from asrkit.storage.fingerprint import hash_file, hash_value
from asrkit.storage.tensors import read_metadata
from asrkit.text.units import load_units

# What a lattice is made by; UtteranceDecoder's module does much else, with which lattices don't change
SEARCHING = ("asrkit.decode.search", "asrkit.decode.lattices")


def decode_all(experiment: Experiment) -> None:
    """Write decode/scales.json, and for each split its hypotheses and timings by method."""
    torch.set_num_threads(1)  # processes are the parallelism here, and threads don't survive a fork
    corpus = experiment.config.corpus
    decoder = _make_decoder(experiment)
    grids = method_grids(experiment.config.decode)
    points = {method: make_points(grid.values()) for method, grid in grids.items() if grid}
    dev = _search_split(experiment, corpus.dev, decoder)
    lists, about = _decode_split(experiment, corpus.dev, dev, decoder, points)
    _choose(experiment, lists)
    if "hlg" in lists:  # its words are timed by the weights chosen
        chosen = _chosen_points(experiment)
        timed, _ = _decode_split(experiment, corpus.dev, dev, decoder.only("hlg"), chosen, "timed")
        lists.update(timed)
    _write_split(experiment, corpus.dev, lists, about)
    for split in dict.fromkeys(corpus.tests):
        if split != corpus.dev:
            _decode_chosen(experiment, split, decoder)


def decode_frozen(experiment: Experiment, split: str) -> None:
    """Decode one set with the weights that decode/scales.json holds."""
    torch.set_num_threads(1)
    _decode_chosen(experiment, split, _make_decoder(experiment))


def _make_decoder(experiment: Experiment) -> UtteranceDecoder:
    return UtteranceDecoder(
        experiment.config.decode,
        load_units(experiment.folder("units")),
        _load_matching_graph(experiment),
        **_decoder_files(experiment),
    )


def _decoder_files(experiment: Experiment) -> Dict[str, Path]:
    """What a decoder reads beside units and graph, if its methods ask for it."""
    return {
        "words_file": experiment.folder("units") / "words.txt",
        "arpa": experiment.folder("lm") / "lm.arpa",
        "larger": experiment.folder("lm") / f"rescore.{experiment.config.lm.rescore_order}.arpa",
        "model": experiment.folder("average") / "model.safetensors",
        "neural": experiment.folder("lm") / "neural.safetensors",
    }


def _graph_file(experiment: Experiment) -> Path:
    return experiment.folder("graph") / "HLG.safetensors"


def _decode_chosen(experiment: Experiment, split: str, decoder: UtteranceDecoder) -> None:
    searched = _search_split(experiment, split, decoder)
    lists, about = _decode_split(experiment, split, searched, decoder, _chosen_points(experiment))
    _write_split(experiment, split, lists, about)


def _chosen_points(experiment: Experiment) -> Dict[str, np.ndarray]:
    weights = _chosen_weights(experiment)
    return {method: np.array([list(chosen.values())]) for method, chosen in weights.items()}


def _chosen_weights(experiment: Experiment) -> Dict[str, Dict[str, float]]:
    """Weights by name of each method that has some, in the order of an n-best list's columns."""
    weights: Dict[str, Dict[str, float]] = read_json(experiment.folder("decode") / "scales.json")["weights"]
    grids = method_grids(experiment.config.decode)
    return {method: {name: weights[method][name] for name in grid} for method, grid in grids.items() if grid}


def _load_matching_graph(experiment: Experiment) -> DecodingGraph:
    """HLG, after refusing a graph or a model of other units or of another lexicon."""
    graph = load_graph(_graph_file(experiment))
    _, model_made_of = load_model(experiment.folder("average") / "model.safetensors")
    for part, origin, name in (
        ("graph", graph.made_of, "units"),
        ("graph", graph.made_of, "lexicon"),
        ("model", model_made_of, "units"),
    ):
        expected = hash_file(experiment.folder("units") / f"{name}.txt")
        if origin.get(name) != expected:
            raise UserError(
                f"the {part} was made for another {name}.txt",
                expected=f"{name}.txt {expected}",
                where=f"{part}: {name} {origin.get(name)}",
                todo="run.sh, which redoes what is stale",
            )
    return graph


def _search_split(
    experiment: Experiment, split: str, decoder: UtteranceDecoder
) -> List[Tuple[Path, Optional[Path]]]:
    """Shards of posteriors, and of the lattices of each, or None where they aren't kept or no method asks.

    They are outside the stage's folder, and say what they were made of: another run takes what is
    still right, so that new weights, or another method, need neither the model nor the search.
    """
    config = experiment.config.decode
    file = experiment.folder("average") / "model.safetensors"
    posteriors = compute_posteriors(
        load_model(file)[0],
        list(load_cuts(experiment, split)),
        experiment.directory / "posteriors" / split,
        shard_utterances=config.shard_utterances,
        batch_duration=config.batch_duration,
        jobs=experiment.jobs,
        with_encoded="attention" in config.methods,
        model_made_of=_fingerprint(experiment, ["asrkit.decode.posteriors"], file),
    )
    if not (HLG_METHODS & set(config.methods) and config.keep_lattices):
        return [(file, None) for file in posteriors]
    lattices = [experiment.directory / "lattices" / split / file.name for file in posteriors]
    settings = [getattr(config, name) for name in (*BEAMS, "search_lm_scale", "blank_skip_threshold")]
    graph = _fingerprint(experiment, SEARCHING, _graph_file(experiment))
    origins = [hash_value([graph, settings, made_of(file)]) for file in posteriors]

    def work(index: int) -> None:
        log_probs = read_posteriors(posteriors[index]).log_probs
        found = {utterance: decoder.search(utterance, each) for utterance, each in log_probs.items()}
        write_lattices(lattices[index], found, origins[index])

    with Progress(f"search {split}", len(lattices), "shards") as bar:
        make_shards(lattices, work, experiment.jobs, lambda _: bar.advance(), origins)
    return list(zip(posteriors, lattices))


def _fingerprint(experiment: Experiment, modules: Sequence[str], *files: Path) -> str:
    """What stands for the files that are there and for the code of some modules."""
    cache = cache_of(experiment)
    there = [cache.fingerprint(file) if file.is_file() else None for file in files]
    code = code_fingerprints(modules, experiment, cache)
    if experiment.records.is_dir():  # not in the folder of asrkit evaluate, which has no records
        cache.save()
    return hash_value([there, code])


def _decode_split(
    experiment: Experiment,
    split: str,
    searched: Sequence[Tuple[Path, Optional[Path]]],
    decoder: UtteranceDecoder,
    points: Mapping[str, np.ndarray],
    name: str = "nbest",
) -> Tuple[Dict[str, Dict[str, NBest]], Dict[str, Any]]:
    """n-best lists of each method in the order of ids, and seconds; a process takes a shard of posteriors."""
    outputs = [experiment.folder("decode") / split / f"{name}-{file.name}" for file, _ in searched]
    tables = [experiment.folder("units") / f"{table}.txt" for table in ("units", "lexicon")]
    files = [*tables, _graph_file(experiment), *_decoder_files(experiment).values()]
    common = [
        _fingerprint(experiment, ["asrkit.decode.methods"], *files),
        msgspec.to_builtins(decoder.config),
        {method: of.tolist() for method, of in points.items()},
    ]
    origins = [
        hash_value([common, made_of(posteriors), lattices and made_of(lattices)])
        for posteriors, lattices in searched
    ]

    def work(index: int) -> None:
        _decode_shard(*searched[index], outputs[index], decoder, points, origins[index])

    with Progress(f"decode {split}", len(outputs), "shards") as bar:
        make_shards(outputs, work, experiment.jobs, lambda _: bar.advance(), origins)
    shards = [read_lists(file) for file in outputs]
    found = sorted((name.partition("/")[::2], nbest) for part, _ in shards for name, nbest in part.items())
    methods: Sequence[str] = decoder.config.methods
    lists = {method: {key: nbest for (of, key), nbest in found if of == method} for method in methods}
    about = {
        "audio_seconds": sum(part["audio_seconds"] for _, part in shards),
        "seconds": {method: sum(part["seconds"][method] for _, part in shards) for method in methods},
    }
    return lists, about


def _decode_shard(
    posteriors_file: Path,
    lattices_file: Optional[Path],
    file: Path,
    decoder: UtteranceDecoder,
    points: Mapping[str, np.ndarray],
    origin: str,
) -> None:
    posteriors = read_posteriors(posteriors_file)
    lattices = read_lattices(lattices_file) if lattices_file is not None else {}
    lists: Dict[str, NBest] = {}
    spent: Dict[str, float] = collections.defaultdict(lambda: posteriors.seconds)
    for utterance, log_probs in posteriors.log_probs.items():
        encoded = posteriors.encoded.get(utterance)
        found = decoder.decode(utterance, log_probs, points, encoded, lattices.get(utterance))
        for method, (nbest, seconds) in found.items():
            lists[f"{method}/{utterance}"] = nbest
            spent[method] += seconds
    about = {"made_of": origin, "audio_seconds": posteriors.audio_seconds, "seconds": spent}
    write_lists(file, lists, about)


def _choose(experiment: Experiment, lists: Mapping[str, Mapping[str, NBest]]) -> None:
    """Write scales.json: for each method the weights with the fewest errors on dev, and what was tried."""
    dev = experiment.config.corpus.dev
    references = _references(experiment, dev)
    weights, tried = {}, {}
    for method, grid in method_grids(experiment.config.decode).items():
        if grid:
            weights[method], tried[method] = choose_weights(references, lists[method], grid)
            said = ", ".join(f"{name} {value:g}" for name, value in weights[method].items())
            fewest = min(point["errors"] for point in tried[method])
            print(f"decode: {method}: {said}, chosen on {dev}: {fewest} errors")
    write_json(
        experiment.folder("decode") / "scales.json", {"chosen_on": dev, "weights": weights, "tried": tried}
    )


def _references(experiment: Experiment, split: str) -> Dict[str, List[str]]:
    return {cut.id: cut.supervisions[0].text.split() for cut in load_cuts(experiment, split)}


def _write_split(
    experiment: Experiment,
    split: str,
    lists: Mapping[str, Mapping[str, NBest]],
    about: Mapping[str, Any],
) -> None:
    references, weights = _references(experiment, split), _chosen_weights(experiment)
    for method, of_method in lists.items():
        of_weights = weights.get(method, {})
        chosen = _choose_hypotheses(method, of_method, references, of_weights)
        _write_hypotheses(experiment, split, method, chosen, of_method)
        ways = {key: nbest.way for key, nbest in of_method.items()}
        _write_timing(experiment, split, method, ways, about, of_weights)


def _choose_hypotheses(
    method: str,
    lists: Mapping[str, NBest],
    references: Mapping[str, Sequence[str]],
    weights: Mapping[str, float],
) -> Dict[str, List[str]]:
    """Words of each utterance: the best by the weights, by the reference for oracle, else the only ones."""
    if method == "oracle":
        return {
            key: min(nbest.words, key=lambda words: word_errors(references[key], words))
            for key, nbest in lists.items()
        }
    return {key: nbest.best(list(weights.values())) for key, nbest in lists.items()}


def _write_hypotheses(
    experiment: Experiment,
    split: str,
    method: str,
    hypotheses: Mapping[str, List[str]],
    lists: Mapping[str, NBest],
) -> None:
    """Write a method's hypotheses in the order of ids: words, [start, duration, confidence] where known."""
    config = experiment.config
    step = config.features.frame_shift * subsampling(config.model)  # seconds a frame
    rows: List[Dict[str, Any]] = []
    for key, words in hypotheses.items():
        rows.append({"id": key, "hyp": words})
        if method in LATTICE_METHODS and lists[key].way != WAYS[0]:
            rows[-1]["way"] = lists[key].way
        timed = lists[key].timed
        if method == "hlg" and len(timed) == len(words):  # what fell back to greedy has none
            rows[-1]["timed"] = [
                [round(word.first * step, 3), round((word.last + 1 - word.first) * step, 3), word.confidence]
                for word in timed
            ]
    write_jsonl(experiment.folder("decode") / split / f"hypotheses_{method}.jsonl", rows)


def _write_timing(
    experiment: Experiment,
    split: str,
    method: str,
    ways: Mapping[str, str],
    about: Mapping[str, Any],
    weights: Mapping[str, float],
) -> None:
    """Write what a method cost, and how many utterances fell back."""
    fallbacks: Dict[str, int] = {}
    if method in LATTICE_METHODS:
        fallbacks = {way: list(ways.values()).count(way) for way in WAYS[1:]}
        for key, way in ways.items():
            if way != WAYS[0]:
                print(f"decode: {split} {key}: {method}: no lattice at the set beams, fell back to {way}")
        if any(fallbacks.values()):
            said = ", ".join(f"{way} {count}" for way, count in fallbacks.items())
            print(f"decode: {split}: {method}: of {len(ways)} utterances {said}")
    model = experiment.folder("average") / "model.safetensors"
    made_of_model = read_metadata(model, check=False)["made_of"]  # checked when it was loaded
    timing = {
        "audio_seconds": round(about["audio_seconds"], 3),
        "seconds": round(about["seconds"][method], 3),
        "fallbacks": fallbacks,
        "settings": {**method_settings(experiment.config.decode, method), **weights},
        "training": made_of_model.get("training"),
    }
    write_json(experiment.folder("decode") / split / f"timing_{method}.json", timing)

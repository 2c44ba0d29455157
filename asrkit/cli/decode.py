"""Stage 8: decode dev, choose the language-model scale on it, then decode each test set once."""

import time
from pathlib import Path
from typing import Any, Dict, List, Sequence

import msgspec
import torch

from asrkit.config import DecodeConfig
from asrkit.decode.choose import choose_scale
from asrkit.decode.posteriors import compute_posteriors, read_posteriors
from asrkit.decode.search import Transcript, prepare_graph, search_utterance
from asrkit.errors import UserError
from asrkit.graph.store import DecodingGraph, load_graph
from asrkit.model.acoustic import greedy_ctc, load_model
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.parallel import run_parallel
from asrkit.pipeline.progress import Progress
from asrkit.signal.features import load_cuts
from asrkit.storage.files import read_json, write_json, write_jsonl
from asrkit.storage.fingerprint import hash_file
from asrkit.text.units import Units, load_units


def run(experiment: Experiment) -> None:
    """Write decode/scales.json, and for each split its hypotheses and timings by method."""
    config = experiment.config
    torch.set_num_threads(1)  # processes are the parallelism here, and threads don't survive a fork
    units = load_units(experiment.units)
    graph = _load_matching_graph(experiment)
    corpus = config.corpus
    for split in dict.fromkeys([corpus.dev, *corpus.tests]):
        files = _write_posteriors(experiment, split)
        scales_file = experiment.decoding / "scales.json"
        scales = config.decode.lm_scales if split == corpus.dev else [read_json(scales_file)["lm_scale"]]
        rows = _search_split(experiment, split, files, graph, units, scales)
        if split == corpus.dev:
            chosen, tried = choose_scale(_references(experiment, split), rows, config.decode.lm_scales)
            write_json(scales_file, {"lm_scale": chosen, "chosen_on": split, "tried": tried})
            print(f"decode: lm_scale {chosen} is chosen on {split}: {tried[str(chosen)]} errors")
            scales = [chosen]
        _write_methods(experiment, split, rows, scales[0])


def decode_frozen(experiment: Experiment, split: str) -> None:
    """Decode one set with the scale that decode/scales.json holds."""
    torch.set_num_threads(1)
    units = load_units(experiment.units)
    graph = _load_matching_graph(experiment)
    scale = read_json(experiment.decoding / "scales.json")["lm_scale"]
    rows = _search_split(experiment, split, _write_posteriors(experiment, split), graph, units, [scale])
    _write_methods(experiment, split, rows, scale)


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


def _references(experiment: Experiment, split: str) -> Dict[str, List[str]]:
    return {cut.id: cut.supervisions[0].text.split() for cut in load_cuts(experiment, split)}


def _search_split(
    experiment: Experiment,
    split: str,
    files: Sequence[Path],
    graph: DecodingGraph,
    units: Units,
    scales: Sequence[float],
) -> List[Dict[str, Any]]:
    """Search each shard of posteriors in its own process; finished shards are kept."""
    config = experiment.config.decode
    fst = prepare_graph(graph, config.search_lm_scale)
    outputs = [file.with_name(file.stem.replace("posteriors", "search") + ".json") for file in files]
    missing = [index for index, file in enumerate(outputs) if not file.exists()]

    def work(position: int) -> None:
        index = missing[position]
        write_json(outputs[index], _search_shard(files[index], fst, graph.words, units, scales, config))

    with Progress(f"search {split}", len(files), "shards") as bar:
        bar.advance(count=len(files) - len(missing))
        run_parallel(work, len(missing), experiment.jobs, lambda _, __: bar.advance())
    return [read_json(file) for file in outputs]


def _search_shard(
    file: Path,
    fst: Any,
    symbols: Sequence[str],
    units: Units,
    scales: Sequence[float],
    config: DecodeConfig,
) -> Dict[str, Any]:
    posteriors = read_posteriors(file)
    transcripts: List[Transcript] = []
    greedy: Dict[str, List[str]] = {}
    started = time.perf_counter()
    for utterance, log_probs in posteriors.log_probs.items():
        ids = greedy_ctc(log_probs[None], [log_probs.shape[0]])[0]
        greedy[utterance] = units.words(ids)
    greedy_seconds = time.perf_counter() - started
    started = time.perf_counter()
    for utterance, log_probs in posteriors.log_probs.items():
        transcripts.append(
            search_utterance(fst, symbols, utterance, log_probs, scales, config, greedy[utterance])
        )
    return {
        "audio_seconds": posteriors.audio_seconds,
        "model_seconds": posteriors.seconds,
        "greedy_seconds": greedy_seconds,
        "search_seconds": time.perf_counter() - started,
        "greedy": greedy,
        "transcripts": [
            {"id": t.id, "way": t.way, "words": {str(s): w for s, w in t.words.items()}} for t in transcripts
        ],
    }


def _write_methods(experiment: Experiment, split: str, shards: List[Dict[str, Any]], scale: float) -> None:
    """Write hypotheses in the order of ids, and what decoding cost. "hlg" takes the scale chosen on dev."""
    directory = experiment.decoding / split
    hlg = {row["id"]: row["words"][str(scale)] for shard in shards for row in shard["transcripts"]}
    greedy = {key: words for shard in shards for key, words in shard["greedy"].items()}
    ways = [row["way"] for shard in shards for row in shard["transcripts"]]
    fallbacks = {way: ways.count(way) for way in ("wider_beam", "greedy", "empty")}
    for shard in shards:
        for row in shard["transcripts"]:
            if row["way"] != "lattice":
                print(f"decode: {split} {row['id']}: no lattice at the set beams, fell back to {row['way']}")
    settings = {**msgspec.to_builtins(experiment.config.decode), "lm_scale": scale}
    for unused in ("lm_scales", "batch_duration", "shard_utterances"):
        settings.pop(unused)
    audio, model_seconds = _total(shards, "audio_seconds"), _total(shards, "model_seconds")
    for method, rows, seconds, counts, about in (
        ("greedy", greedy, _total(shards, "greedy_seconds"), {}, {}),
        ("hlg", hlg, _total(shards, "search_seconds"), fallbacks, settings),
    ):
        write_jsonl(
            directory / f"hypotheses_{method}.jsonl",
            ({"id": key, "hyp": words} for key, words in sorted(rows.items())),
        )
        timing = {
            "audio_seconds": round(audio, 3),
            "seconds": round(model_seconds + seconds, 3),
            "fallbacks": counts,
            "settings": about,
        }
        write_json(directory / f"timing_{method}.json", timing)


def _total(shards: List[Dict[str, Any]], key: str) -> float:
    return float(sum(shard[key] for shard in shards))

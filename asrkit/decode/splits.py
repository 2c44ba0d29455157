"""Stage decode: dev at every weight of the grids, then the test sets at the weights chosen on dev.

features --> posteriors/SPLIT/*.safetensors      acoustic model              asrkit.decode.posteriors
         --> lattices/SPLIT/*.safetensors        search in HLG               asrkit.decode.search
         --> decode/SPLIT/nbest-*.safetensors    n-best list per method      asrkit.decode.methods
         --> decode/scales.json                  weights, from dev's lists   asrkit.decode.nbest
         --> decode/SPLIT/hypotheses_METHOD.jsonl, timing_METHOD.json
"""

import collections
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import msgspec
import numpy as np
import torch

from asrkit.config.methods import (
    BEAMS,
    FOLDERS,
    GRAPH,
    METHODS,
    NEURAL_LM,
    RENAMED,
    SECOND_NEURAL_LM,
    Method,
)
from asrkit.decode.methods import UtteranceDecoder
from asrkit.decode.nbest import (
    OUTCOMES,
    NBest,
    choose_weights,
    make_points,
    read_lists,
    word_errors,
    write_lists,
)
from asrkit.decode.posteriors import compute_posteriors, read_posteriors
from asrkit.decode.shards import made_of, make_shards
from asrkit.errors import UserError
from asrkit.model.acoustic import load_model, subsampling
from asrkit.model.device import device_of
from asrkit.pipeline.code import code_fingerprints
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.progress import Progress
from asrkit.pipeline.runner import cache_of
from asrkit.signal.features import load_cuts
from asrkit.storage.files import read_json, write_json, write_jsonl
from asrkit.storage.fingerprint import hash_file, hash_value
from asrkit.text.units import load_units

if TYPE_CHECKING:
    from asrkit.graph.store import DecodingGraph

IDS_SHOWN = 10  # per outcome, in the log; hypotheses_METHOD.jsonl has all
Lists = Dict[str, Dict[str, NBest]]  # n-best list by method and utterance
Weights = Dict[str, Dict[str, float]]  # by method and name


def decode_all(experiment: Experiment) -> None:
    """Write decode/scales.json, and hypotheses and timings of each split by method."""
    corpus = experiment.config.corpus
    decoder = SplitDecoder(experiment)
    dev = decoder.search(corpus.dev)
    points = {name: make_points(grid.values()) for name, grid in decoder.grids.items()}
    lists, cost = decoder.decode(corpus.dev, dev, points)
    weights = decoder.choose(lists)
    timed = {name: weights[name] for name in weights if METHODS[name].timed}
    if timed:  # words are timed at the chosen weights
        lists.update(decoder.decode(corpus.dev, dev, _points(timed), "timed")[0])
    decoder.write(corpus.dev, lists, cost, weights)
    for split in dict.fromkeys(corpus.tests):
        if split != corpus.dev:
            decoder.decode_with(weights, split)


def decode_frozen(experiment: Experiment, split: str) -> None:
    """Decode one set with the weights in decode/scales.json."""
    decoder = SplitDecoder(experiment)
    scales = read_json(experiment.folder("decode") / "scales.json")["weights"]
    chosen = {RENAMED.get(name, name): values for name, values in scales.items()}
    weights = {
        method: {name: chosen[method][name] for name in grid} for method, grid in decoder.grids.items()
    }
    decoder.decode_with(weights, split)


def _points(weights: Weights) -> Dict[str, np.ndarray]:
    return {method: np.array([list(values.values())]) for method, values in weights.items()}


class Cost(NamedTuple):
    """What decoding a split took."""

    audio_seconds: float
    seconds: Dict[str, float]  # by method


class SplitDecoder:
    """Decodes the splits of an experiment; model, graph and methods are loaded once."""

    def __init__(self, experiment: Experiment) -> None:
        torch.set_num_threads(1)  # processes are the parallelism here, and threads don't survive a fork
        self.experiment, self.config = experiment, experiment.config.decode
        self.methods = {name: METHODS[name] for name in self.config.methods}
        self.grids = {name: method.grid(self.config) for name, method in self.methods.items()}
        order = str(experiment.config.lm.rescore_order)
        self.files = {
            file: experiment.place(file.replace("{lm.rescore_order}", order))
            for method in self.methods.values()
            for file in method.files
        }
        lm = experiment.config.lm
        for file, neural in ((NEURAL_LM, lm.neural), (SECOND_NEURAL_LM, lm.second_neural)):
            if file in self.files and neural.path is not None:
                self.files[FOLDERS[file]] = experiment.named(neural.path)
        self.model_file = experiment.folder("average") / "model.safetensors"
        self.model, self.model_made_of = load_model(self.model_file)
        self._check_made_of("model", self.model_made_of, "units")
        # References have silence as a word only if the model learned it from transcripts
        units = load_units(experiment.folder("units")).with_silence(experiment.config.train.optional_silence)
        graph = self._load_graph() if GRAPH in self.files else None
        self.decoder = UtteranceDecoder(self.config, units, graph, self.files, self.model)

    def __reduce__(self) -> Tuple[Any, ...]:
        """On a worker of a cluster model and graph are read from their files."""
        return SplitDecoder, (self.experiment,)

    def _load_graph(self) -> "DecodingGraph":
        from asrkit.graph.store import load_graph

        graph = load_graph(self.files[GRAPH])
        self._check_made_of("graph", graph.made_of, "units", "lexicon")
        return graph

    def _check_made_of(self, part: str, origin: Mapping[str, Any], *tables: str) -> None:
        """Refuse a graph or model of other units or another lexicon."""
        for name in tables:
            expected = hash_file(self.experiment.folder("units") / f"{name}.txt")
            if origin.get(name) != expected:
                raise UserError(
                    f"the {part} was made with another {name}.txt",
                    expected=f"{name}.txt {expected}",
                    where=f"{part}: {name} {origin.get(name)}",
                    todo="run.sh, which redoes what is stale",
                )

    def search(self, split: str) -> List[Tuple[Path, Optional[Path]]]:
        """Shards of posteriors, each with its shard of lattices, or None if lattices aren't kept or needed.

        The shards are stored outside the stage's folder, with fingerprints of their inputs. Other scales and
        methods reuse them: neither the model nor the search runs again.
        """
        experiment, config = self.experiment, self.config
        posteriors = compute_posteriors(
            self.model,
            list(load_cuts(experiment, split)),
            experiment.directory / "posteriors" / split,
            shard_utterances=config.shard_utterances,
            batch_duration=config.batch_duration,
            jobs=experiment.jobs,
            cluster=experiment.cluster,
            with_encoded=any(method.encoder_output for method in self.methods.values()),
            model_made_of=self._fingerprint("asrkit.decode.posteriors", self.model_file),
            device=config.device,
            precision=config.precision,
        )
        if GRAPH not in self.files or not config.keep_lattices:
            return [(file, None) for file in posteriors]
        from asrkit.decode.search import write_lattices

        lattices = [experiment.directory / "lattices" / split / file.name for file in posteriors]
        settings = [getattr(config, name) for name in (*BEAMS, "search_lm_scale", "blank_skip_threshold")]
        graph = self._fingerprint("asrkit.decode.search", self.files[GRAPH])
        origins = [hash_value([graph, settings, made_of(file)]) for file in posteriors]

        def work(index: int) -> None:
            log_probs = read_posteriors(posteriors[index]).log_probs
            device = self._search_device()
            if device is not None:
                found = self.decoder.search_together(log_probs, device)
            else:
                found = {name: self.decoder.search(name, each) for name, each in log_probs.items()}
            write_lattices(lattices[index], found, origins[index])

        with Progress(f"search {split}", len(lattices), "shards") as bar:
            make_shards(lattices, work, experiment.jobs, lambda _: bar.advance(), origins, experiment.cluster)
        return list(zip(posteriors, lattices))

    def _search_device(self) -> Optional[torch.device]:
        """The GPU of this process; None: utterances are searched alone, on the CPU."""
        from asrkit.decode.search import search_device

        return search_device(device_of(self.config.device, os.getpid()))

    def _fingerprint(self, module: str, *files: Path) -> str:
        """Fingerprint of files, if they exist, and of a module's code."""
        cache = cache_of(self.experiment)
        contents = [cache.fingerprint(file) if file.is_file() else None for file in files]
        code = code_fingerprints([module], self.experiment, cache)
        if self.experiment.records.is_dir():  # not in the folder of asrkit evaluate, which has no records
            cache.save()
        return hash_value([contents, code])

    def decode(
        self,
        split: str,
        shards: Sequence[Tuple[Path, Optional[Path]]],
        points: Mapping[str, np.ndarray],
        name: str = "nbest",
    ) -> Tuple[Lists, Cost]:
        """n-best lists of the methods in `points`, in the order of ids; a process takes a shard at a time."""
        outputs = [self.experiment.folder("decode") / split / f"{name}-{file.name}" for file, _ in shards]
        tables = [self.experiment.folder("units") / f"{table}.txt" for table in ("units", "lexicon")]
        common = [
            self._fingerprint("asrkit.decode.methods", self.model_file, *tables, *self.files.values()),
            msgspec.to_builtins(self.config),
            {method: each.tolist() for method, each in points.items()},
        ]
        origins = [
            hash_value([common, made_of(posteriors), lattices and made_of(lattices)])
            for posteriors, lattices in shards
        ]

        def work(index: int) -> None:
            self._decode_shard(*shards[index], outputs[index], points, origins[index])

        with Progress(f"decode {split}", len(outputs), "shards") as bar:
            jobs, cluster = self.experiment.jobs, self.experiment.cluster
            make_shards(outputs, work, jobs, lambda _: bar.advance(), origins, cluster)
        parts = [read_lists(file) for file in outputs]
        found = sorted((key.partition("/")[::2], nbest) for part, _ in parts for key, nbest in part.items())
        lists: Lists = {method: {} for method in points}
        for (method, utterance), nbest in found:
            lists[method][utterance] = nbest
        audio_seconds = sum(about["audio_seconds"] for _, about in parts)
        seconds = {method: sum(about["seconds"][method] for _, about in parts) for method in points}
        return lists, Cost(audio_seconds, seconds)

    def _decode_shard(
        self,
        posteriors_file: Path,
        lattices_file: Optional[Path],
        file: Path,
        points: Mapping[str, np.ndarray],
        origin: str,
    ) -> None:
        posteriors = read_posteriors(posteriors_file)
        lattices = {}
        if lattices_file is not None:
            from asrkit.decode.search import read_lattices

            lattices = read_lattices(lattices_file)
        elif GRAPH in self.files and (device := self._search_device()) is not None:
            lattices = self.decoder.search_together(posteriors.log_probs, device)
        lists: Dict[str, NBest] = {}
        spent: Dict[str, float] = collections.defaultdict(lambda: posteriors.seconds)
        for utterance, log_probs in posteriors.log_probs.items():
            encoded = posteriors.encoded.get(utterance)
            found = self.decoder.decode(utterance, log_probs, points, encoded, lattices.get(utterance))
            for method, (nbest, seconds) in found.items():
                lists[f"{method}/{utterance}"] = nbest
                spent[method] += seconds
        about = {"made_of": origin, "audio_seconds": posteriors.audio_seconds, "seconds": spent}
        write_lists(file, lists, about)

    def choose(self, lists: Lists) -> Weights:
        """Per method, the weights with the fewest word errors on dev; scales.json gets them and all tried."""
        dev = self.experiment.config.corpus.dev
        references = self._references(dev)
        weights: Weights = {}
        tried = {}
        for method, grid in self.grids.items():
            weights[method] = {}
            if grid:
                weights[method], tried[method] = choose_weights(references, lists[method], grid)
                chosen = ", ".join(f"{name} {value:g}" for name, value in weights[method].items())
                fewest = min(point["errors"] for point in tried[method])
                print(f"decode: {method}: {chosen}, chosen on {dev} ({fewest} word errors)")
        written = {method: values for method, values in weights.items() if values}
        scales = {"chosen_on": dev, "weights": written, "tried": tried}
        write_json(self.experiment.folder("decode") / "scales.json", scales)
        return weights

    def decode_with(self, weights: Weights, split: str) -> None:
        """Decode a split at the chosen weights and write the results."""
        lists, cost = self.decode(split, self.search(split), _points(weights))
        self.write(split, lists, cost, weights)

    def _references(self, split: str) -> Dict[str, List[str]]:
        return {cut.id: cut.supervisions[0].text.split() for cut in load_cuts(self.experiment, split)}

    def write(self, split: str, lists: Lists, cost: Cost, weights: Weights) -> None:
        """Write hypotheses and timing of each method, and log the utterances that fell back."""
        folder = self.experiment.folder("decode") / split
        references = self._references(split) if any(of.is_bound for of in self.methods.values()) else {}
        for name, method in self.methods.items():
            rows = []
            for utterance, nbest in lists[name].items():
                words = nbest.best(list(weights[name].values()))
                if method.is_bound:
                    errors = [word_errors(references[utterance], each) for each in nbest.words]
                    words = nbest.words[int(np.argmin(errors))]
                rows.append(self._hypothesis(method, utterance, words, nbest))
            write_jsonl(folder / f"hypotheses_{name}.jsonl", rows)
            timing = {
                "audio_seconds": round(cost.audio_seconds, 3),
                "seconds": round(cost.seconds[name], 3),
                "fallbacks": self._log_fallbacks(f"{split}: {name}", rows) if method.has_lattice else {},
                "settings": {**method.settings_of(self.config), **weights[name]},
                "training": self.model_made_of.get("training"),
            }
            write_json(folder / f"timing_{name}.json", timing)

    def _hypothesis(self, method: Method, utterance: str, words: List[str], nbest: NBest) -> Dict[str, Any]:
        """Row of hypotheses_METHOD.jsonl: words, fallback if any, [start, duration, confidence] per word."""
        row: Dict[str, Any] = {"id": utterance, "hyp": words}
        if method.has_lattice and nbest.outcome != "lattice":
            row["outcome"] = nbest.outcome
        if method.timed and len(nbest.timed) == len(words):  # a greedy fallback has no times
            config = self.experiment.config
            step = config.features.frame_shift * subsampling(config.model)  # seconds per frame
            row["timed"] = [
                [round(word.first * step, 3), round((word.last + 1 - word.first) * step, 3), word.confidence]
                for word in nbest.timed
            ]
        return row

    def _log_fallbacks(self, name: str, rows: Sequence[Mapping[str, Any]]) -> Dict[str, int]:
        """Utterances per outcome other than the first; logged if there are any."""
        beam, factor = self.config.search_beam, self.config.retry_beam_factor
        counts: Dict[str, int] = {}
        for outcome, meaning in list(OUTCOMES.items())[1:]:
            ids = [row["id"] for row in rows if row.get("outcome") == outcome]
            counts[outcome] = len(ids)
            if ids:
                event = meaning.format(wider=beam * factor, narrower=beam / factor)
                more = f" and {len(ids) - IDS_SHOWN} more" if len(ids) > IDS_SHOWN else ""
                print(f"decode: {name}: {len(ids)} of {len(rows)} utterances: {event}:")
                print(f"    {', '.join(ids[:IDS_SHOWN])}{more}")
        return counts

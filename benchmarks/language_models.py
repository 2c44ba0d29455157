#!/usr/bin/env python3
"""Train each kind of neural language model on the LM text of an experiment and rescore its n-best lists.

EXP is a decoded experiment with nbest-rescoring. Perplexity, word errors with scales chosen on dev,
parameters and processor time go into records/language_models.json of the recipe, from which `asrkit report`
makes a table. For a large text:

    --recipe librispeech --dev-only --set tokens=pieces --set dim=256 --set sentences=200000 --set epochs=2

Models are kept below --keep, where an interrupted training resumes.
"""

import dataclasses
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import msgspec
import numpy as np
import torch
import yaml
from measure import given_experiment, make_parser, print_figure, run_measurement

from asrkit.config import NeuralLmConfig
from asrkit.config.recipe import DecodeConfig
from asrkit.corpus.cuts import read_transcripts
from asrkit.decode.nbest import NBest, choose_weights, read_lists, word_errors
from asrkit.errors import UserError
from asrkit.lm.build import spell_words, write_texts
from asrkit.lm.neural import load_neural, scorer_of, train_neural
from asrkit.pipeline.cost import read_commit
from asrkit.pipeline.experiment import REPOSITORY, Experiment, open_experiment
from asrkit.pipeline.machine import count_cores
from asrkit.pipeline.parallel import run_parallel
from asrkit.storage.files import read_json, write_json

HYPOTHESES = 100  # per list, at most
LISTS = ("nbest-rescoring", "nbest")  # the method, and its former name
MODELS = {
    "lstm": NeuralLmConfig(kind="lstm", layers=1, epochs=4),
    "residual": NeuralLmConfig(kind="residual", layers=3, epochs=4, learning_rate=2e-3),
    "masked": NeuralLmConfig(kind="masked", layers=2, epochs=12, learning_rate=1e-3),
}
Scores = Dict[str, np.ndarray]  # (hypothesis,) by utterance


@dataclasses.dataclass
class Split:
    """A decoded set: its n-best lists, their transcripts, and scores of the lists by language model."""

    name: str
    references: Dict[str, List[str]]
    lists: Dict[str, NBest]
    audio_seconds: float
    scores: Dict[str, Scores]

    def weighed(self, columns: Sequence[str]) -> Dict[str, NBest]:
        """Lists with the acoustic score, the number of words, and the scores of these models."""
        return {
            utterance: dataclasses.replace(
                nbest,
                scores=np.column_stack(
                    [nbest.scores[:, [0, 2]], *(self.scores[name][utterance] for name in columns)]
                ),
            )
            for utterance, nbest in self.lists.items()
        }


def read_split(experiment: Experiment, name: str, graph: str, larger: str) -> Split:
    """The first HYPOTHESES of each list of a set, with the scores of both n-gram models."""
    from asrkit.signal.features import load_cuts

    lists: Dict[str, NBest] = {}
    seconds = 0.0
    for file in sorted((experiment.folder("decode") / name).glob("nbest-*.safetensors")):
        found, about = read_lists(file)
        seconds += about["audio_seconds"]
        for key, nbest in found.items():
            method, _, utterance = key.partition("/")
            if method in LISTS:
                lists[utterance] = NBest(nbest.words[:HYPOTHESES], nbest.scores[:HYPOTHESES], nbest.outcome)
    references = {cut.id: cut.supervisions[0].text.split() for cut in load_cuts(experiment, name)}
    scores = {
        model: {utterance: scores_of(nbest, column) for utterance, nbest in lists.items()}
        for model, column in ((graph, 1), (larger, 3))
    }
    return Split(name, references, lists, seconds, scores)


def scores_of(nbest: NBest, column: int) -> np.ndarray:
    """A column of the scores (hypothesis,); 0 for a greedy fallback, which has no language-model scores."""
    return nbest.scores[:, column] if column < nbest.scores.shape[1] else np.zeros(len(nbest.words))


def systems_of(graph: str, larger: str) -> Dict[str, Tuple[str, ...]]:
    """Columns of scores beside the acoustic one and the number of words, by the name of the system."""
    return {
        "none": (),
        f"{graph} of the graph": (graph,),
        larger: (larger,),
        **{kind: (kind,) for kind in MODELS},
        **{f"{ngram} + {kind}": (ngram, kind) for ngram in (graph, larger) for kind in MODELS},
        f"{larger} + residual + masked": (larger, "residual", "masked"),
    }


def settings_of(changes: Sequence[str]) -> Dict[str, NeuralLmConfig]:
    """MODELS with settings of the command line, KEY=VALUE for all of them, KIND.KEY=VALUE for one."""
    models = {kind: msgspec.to_builtins(settings) for kind, settings in MODELS.items()}
    for change in sorted(changes, key=lambda each: "." in each.partition("=")[0]):
        name, _, value = change.partition("=")
        only, _, key = name.rpartition(".")
        if only and only not in models:
            raise UserError(
                f"no model {only}", ", ".join(models), "--set", "KIND.KEY=VALUE, or KEY=VALUE for all"
            )
        for kind in [only] if only else models:
            models[kind][key] = yaml.safe_load(value)
    return {kind: msgspec.convert(settings, NeuralLmConfig) for kind, settings in models.items()}


def train_all(experiment: Experiment, folder: Path, changes: Sequence[str]) -> Dict[str, Dict[str, Any]]:
    """Perplexity, parameters and training time by kind; the models and these figures are in `folder`."""
    models = settings_of(changes)
    texts, _, _ = write_texts(experiment, folder)
    lines = [line for text in texts for line in text.read_text(encoding="utf-8").splitlines()]
    dev = read_transcripts(experiment, experiment.config.corpus.dev)
    kinds = [kind for kind in models if not (folder / f"{kind}.json").exists()]

    def work(index: int) -> None:
        torch.set_num_threads(1)  # processes are the parallelism
        kind, begun = kinds[index], time.process_time()
        spellings = spell_words(experiment, models[kind], lines, dev)
        perplexity = train_neural(models[kind], lines, dev, folder / kind, spellings)
        parameters = sum(each.numel() for each in load_neural(folder / kind).parameters())
        seconds = time.process_time() - begun
        figures = {"perplexity": perplexity, "parameters": parameters, "training_seconds": seconds}
        write_json(folder / f"{kind}.json", figures)

    run_parallel(work, len(kinds), experiment.jobs, lambda _, nothing: None)
    return {kind: read_json(folder / f"{kind}.json") for kind in models}


def rescore_all(splits: Sequence[Split], folder: Path, jobs: int, context: Optional[int]) -> Dict[str, float]:
    """Add the scores of each trained model; seconds of processor time per second of audio, by kind.

    `context`: of the masked model, instead of that of its training.
    """
    kinds, rtf = list(MODELS), {}

    def work(index: int) -> Tuple[List[Scores], float]:
        torch.set_num_threads(1)
        model = load_neural(folder / kinds[index])
        if kinds[index] == "masked" and context is not None:
            model.context = context
        score, begun = scorer_of(model), time.process_time()
        found = [{key: score(nbest.words) for key, nbest in split.lists.items()} for split in splits]
        return found, time.process_time() - begun

    def done(index: int, result: Tuple[List[Scores], float]) -> None:
        found, seconds = result
        rtf[kinds[index]] = seconds / sum(split.audio_seconds for split in splits)
        for split, scores in zip(splits, found):
            split.scores[kinds[index]] = scores

    run_parallel(work, len(kinds), jobs, done)
    return rtf


def choose(splits: Sequence[Split], columns: Sequence[str]) -> Dict[str, Any]:
    """The weights of some models with the fewest errors on the first set, and the errors with them."""
    decode = DecodeConfig()
    grid = {"word_bonus": decode.word_bonuses, **dict.fromkeys(columns, (0.0, *decode.lm_scales))}
    weighed = [split.weighed(columns) for split in splits]
    weights, _ = choose_weights(splits[0].references, weighed[0], grid)
    best = list(weights.values())
    errors = {
        split.name: sum(word_errors(split.references[key], nbest.best(best)) for key, nbest in of.items())
        for split, of in zip(splits, weighed)
    }
    words = {split.name: sum(map(len, split.references.values())) for split in splits}
    return {"errors": errors, "words": words, "weights": weights}


def measure() -> None:
    """Train, rescore dev and the first test set, write the record, and print the figures."""
    parser = make_parser(__doc__, recipe="an4", exp="a decoded experiment with nbest-rescoring")
    parser.add_argument("--text-sentences", type=int, default=3000, help="drawn from the grammar")
    parser.add_argument(
        "--set", action="append", default=[], metavar="[KIND.]KEY=VALUE", help="of section lm.neural"
    )
    parser.add_argument("--dev-only", action="store_true", help="leave the test set for the chosen system")
    parser.add_argument("--context", type=int, help="tokens that masked reads on either side when it scores")
    parser.add_argument("--keep", type=Path, metavar="DIR", required=True, help="keeps the models")
    options = parser.parse_args()
    torch.set_num_threads(1)
    experiment = open_experiment(given_experiment(options.exp, "decoded with nbest-rescoring"), count_cores())
    lm = msgspec.structs.replace(experiment.config.lm, text_sentences=options.text_sentences)
    config = msgspec.structs.replace(experiment.config, lm=lm)
    recipe, folder = REPOSITORY / "recipes" / options.recipe, options.keep.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    experiment = dataclasses.replace(experiment, recipe_directory=recipe, config=config)
    graph, larger = f"{lm.order}-gram", f"{lm.rescore_order}-gram"
    names = [config.corpus.dev, *([] if options.dev_only else config.corpus.tests[:1])]
    splits = [read_split(experiment, name, graph, larger) for name in names]
    trained = train_all(experiment, folder, options.set)
    rtf = rescore_all(splits, folder, experiment.jobs, options.context)
    rows = []
    for name, columns in systems_of(graph, larger).items():
        neural = [trained[column] for column in columns if column in trained]
        costs = {key: sum(each[key] for each in neural) for key in ("parameters", "training_seconds")}
        rows.append(
            {
                "model": name,
                "perplexity": neural[0]["perplexity"] if len(neural) == 1 else None,
                **choose(splits, columns),
                **costs,
                "rtf": sum(rtf[column] for column in columns if column in rtf),
                "acoustic_parameters": read_json(options.exp / "cost.json")["parameters"],
                "commit": read_commit(),
            }
        )
        print(rows[-1], flush=True)
    write_json(recipe / "records" / "language_models.json", rows)
    print_figure(f"{options.recipe}_masked_rescoring_rtf", rtf["masked"])


if __name__ == "__main__":
    run_measurement(measure)

#!/usr/bin/env python3
"""The data stages of a recipe on synthetic utterances: time and peak memory per share and step.

The counts, hours and words are those of expect.json; durations, speakers and texts are realistic. No audio is
read or written.
"""

import collections
import contextlib
import dataclasses
import json
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence

import msgspec
import numpy as np
from made_up_corpus import make_vocabulary, published_counts, rehearsal_utterances
from measure import make_parser, print_figures, run_measurement

from asrkit.config import FeaturesConfig, RecipeConfig, load_config
from asrkit.config.recipe import LmConfig
from asrkit.corpus.prepare import check_splits, sort_into_splits, write_splits
from asrkit.errors import UserError
from asrkit.pipeline.experiment import REPOSITORY, Experiment
from asrkit.pipeline.machine import count_cores
from asrkit.pipeline.parallel import run_parallel
from asrkit.score.splits import score_all
from asrkit.stages import lm, units
from asrkit.stages.features import assemble
from asrkit.storage.files import read_json, read_jsonl, write_bytes, write_json, write_jsonl

RANKS = 8
WRONG = 0.05  # of the words of a rehearsed transcript
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a step took."""

    seconds: float
    processor_seconds: float  # which other work on the machine doesn't stretch
    peak_bytes: int  # resident at its highest, what earlier steps of the stage left included


Step = Callable[[str, Callable[[], Any]], Any]  # does something under a name, and notes its cost


def measure() -> None:
    """Print the table, and the chosen figure of the largest share last."""
    parser = make_parser(__doc__)
    parser.add_argument("--recipe", default="librispeech", help="a name, or a folder with recipe.yaml")
    parser.add_argument("--share", nargs="+", type=Fraction, default=[Fraction(1, 16), Fraction(1, 4)])
    parser.add_argument("--last", choices=("seconds", "megabytes"), default="seconds")
    parser.add_argument("--directory", type=Path, help="keep the experiment of each share there")
    options = parser.parse_args()
    recipe = (REPOSITORY / "recipes" / options.recipe).absolute()  # a whole path stays as it is
    settings = rehearsal_settings(load_config(recipe / "recipe.yaml"))
    costs: Dict[str, Dict[str, Cost]] = {}
    for share in sorted(options.share):
        with contextlib.ExitStack() as stack:
            kept = options.directory or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            folder = kept.absolute() / f"share-{share.numerator}-{share.denominator}"
            experiment = Experiment(settings, folder, folder / "audio", recipe, count_cores())
            costs[str(share)] = rehearse(experiment, float(share), seed=1)
    print("\n".join(table(costs)))
    steps = list(costs[str(max(options.share))].values())
    figures = {
        "seconds": sum(cost.seconds for cost in steps),
        "megabytes": round(max(cost.peak_bytes for cost in steps) / 1e6),
    }
    print_figures(figures, options.last, prefix=f"{recipe.name}_rehearsal_")


def reset_peak() -> None:
    """Reset the peak memory to the current memory, if the system allows it."""
    with contextlib.suppress(OSError):
        CLEAR.write_text("5")  # proc(5): resets VmHWM


def peak_bytes() -> int:
    """The most bytes since reset_peak, or since the process began."""
    for line in STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no VmHWM in {STATUS}")


def rehearsal_settings(config: RecipeConfig) -> RecipeConfig:
    """Those of the recipe, for a share of it, with an n-gram of the transcripts instead of given files."""
    corpus = msgspec.structs.replace(config.corpus, partial=True)
    of_lm = config.lm
    lm_settings = LmConfig(
        order=of_lm.order, estimator=of_lm.estimator, min_counts=of_lm.min_counts, prune=of_lm.prune
    )
    return msgspec.structs.replace(config, corpus=corpus, lm=lm_settings)


def rehearse(experiment: Experiment, share: float, seed: int, ranks: int = RANKS) -> Dict[str, Cost]:
    """Run the data stages on made-up utterances, and print counts; gives the cost of each step.

    Each stage has a process of its own, as in a run, so that none holds what another one did. Raises
    UserError when utterances are lost on the way.
    """
    stages: Sequence[Callable[[Step], Any]] = (
        lambda step: _rehearse_manifests(experiment, share, seed, step),
        lambda step: _rehearse_features(experiment, step),
        lambda step: step("units and lexicon", lambda: units.run(experiment)),
        lambda step: step("language model", lambda: lm.run(experiment)),
        lambda step: _rehearse_sampling(experiment, ranks, step),
        lambda step: _rehearse_scoring(experiment, seed, step),
    )
    costs: Dict[str, Cost] = {}
    for stage in stages:
        costs.update(_measure(stage))
    return costs


def measure_manifests(experiment: Experiment, share: float, seed: int) -> Dict[str, Cost]:
    """The cost of each step of stage manifests."""
    return _measure(lambda step: _rehearse_manifests(experiment, share, seed, step))


def _measure(stage: Callable[[Step], Any]) -> Dict[str, Cost]:
    """Do the steps of a stage in a process of its own; gives what each took."""
    costs: Dict[str, Cost] = {}

    def step(name: str, action: Callable[[], Any]) -> Any:
        reset_peak()
        begun, worked = time.perf_counter(), time.process_time()
        result = action()
        seconds, worked = time.perf_counter() - begun, time.process_time() - worked
        costs[name] = Cost(seconds, worked, peak_bytes())
        print(f"{name}: {costs[name].seconds:.1f} s, {costs[name].peak_bytes / 1e6:.0f} MB", flush=True)
        return result

    def work(_: int) -> Dict[str, Cost]:
        stage(step)
        return costs

    run_parallel(work, 1, 1, lambda _, found: costs.update(found))
    return costs


def table(costs: Dict[str, Dict[str, Cost]]) -> List[str]:
    """A row a step: processor seconds and megabytes of each share, and what an utterance of the largest share
    takes as a multiple of what one of the smallest does."""
    shares = list(costs)
    times = float(Fraction(shares[-1]) / Fraction(shares[0]))
    titles = "".join(f" {f'{share}: s':>10} {'MB':>7}" for share in shares)
    lines = [f"{'step, processor s':<20}{titles}  s an utterance"]
    for name in costs[shares[-1]]:
        row = [costs[share][name] for share in shares]
        growth = row[-1].processor_seconds / max(row[0].processor_seconds, 1e-3) / times
        cells = "".join(f" {cost.processor_seconds:>10.1f} {cost.peak_bytes / 1e6:>7.0f}" for cost in row)
        lines.append(f"{name:<20}{cells}  x {growth:.2f}")
    return lines


def _rehearse_manifests(experiment: Experiment, share: float, seed: int, step: Step) -> None:
    """Stage manifests, whose inspection of audio is answered from the made-up facts."""
    from asrkit.corpus.splits import refuse_absent_sets
    from asrkit.corpus.validation import validate

    config = experiment.config
    counts = published_counts(config.corpus, experiment.recipe_directory / "expect.json")
    vocabulary = make_vocabulary(config.corpus, counts)
    if config.units.kind == "phones" and config.units.lexicon is not None:
        from asrkit.text.lexicon import read_lexicon

        entries = read_lexicon(experiment.named(config.units.lexicon))
        vocabulary = list(dict.fromkeys(entry.word for entry in entries))
    utterances, facts = step(
        "making utterances up",
        lambda: rehearsal_utterances(
            counts, config.corpus, vocabulary, share, seed, experiment.corpus_directory
        ),
    )
    refuse_absent_sets(utterances, config.corpus, str(experiment.corpus_directory))
    valid, rejections = step(
        "validation",
        lambda: validate(utterances, config.corpus, experiment.jobs, lambda file, _: facts[file]),
    )
    splits, rejections = step("splitting", lambda: sort_into_splits(valid, rejections, config.corpus))
    found = sum(map(len, splits.values())) + len(rejections)
    if found != len(utterances):
        raise UserError(f"{found} utterances after splitting", expected=str(len(utterances)))
    completeness = step("leaks and counts", lambda: check_splits(experiment, splits, rejections))
    step("manifests", lambda: write_splits(experiment, splits, completeness))


def _rehearse_features(experiment: Experiment, step: Step) -> None:
    """Stage features without the features: their places, and the cuts that name these."""
    from asrkit.corpus.manifests import read_cuts
    from asrkit.corpus.splits import sets_of
    from asrkit.signal.features import Shard, plan_shards

    corpus, config = experiment.config.corpus, experiment.config.features
    names = sets_of(corpus)

    def write_shards() -> List[Shard]:
        shards: List[Shard] = []
        for name in names:
            cuts = list(read_cuts(experiment, name))
            shards += plan_shards(name, cuts, experiment.config, train=name == corpus.train)
        for shard in shards:
            file = experiment.folder("features") / "shards" / f"{shard.name}.json"
            write_bytes(file, json.dumps(_shard_record(shard, config)).encode())
        return shards

    shards = step("shards of features", write_shards)
    step("joining shards", lambda: assemble(experiment, shards))


def _shard_record(shard: Any, config: FeaturesConfig) -> Dict[str, Any]:
    """What stage features writes beside a shard, had it one: features that are 0."""
    from lhotse.utils import compute_num_frames

    from asrkit.signal.features import feature_row, speed_perturbed

    rows, first = [], 0
    for cut in shard.cuts:
        for speed in shard.speeds:
            copy = speed_perturbed(cut, speed, config.sampling_rate)
            frames = compute_num_frames(copy.duration, config.frame_shift, copy.sampling_rate)
            key, path = f"{first},{frames},{config.bins}", f"features/shards/{shard.name}.i16"
            rows.append(feature_row(copy, frames, key, path, config))
            first += frames
    zeros = [0] * config.bins
    return {"rejected": [], "frames": first, "sum": zeros, "sum_of_squares": zeros, "cuts": rows}


def _rehearse_sampling(experiment: Experiment, ranks: int, step: Step) -> None:
    """What stage train does before its first step, and the batches of an epoch on `ranks` processes."""
    from asrkit.model.acoustic import AcousticModel
    from asrkit.text.units import load_units
    from asrkit.train.examples import count_utterances
    from asrkit.train.loop import Training, plan_steps
    from asrkit.train.optimizer import make_optimizer
    from asrkit.train.session import load_splits
    from asrkit.train.world import World

    config = experiment.config
    pieces = load_units(experiment.folder("units"))
    model = AcousticModel(config.model, config.features.bins, len(pieces))
    world = World(0, ranks)
    train, dev, rejected = step("training examples", lambda: load_splits(experiment, pieces, model, world))
    optimizer = make_optimizer(model, config.train, world)
    training = Training(
        model, optimizer, config.train, pieces, train, dev, experiment.folder("train"), world=world
    )
    steps = step(f"epoch on {ranks} ranks", lambda: plan_steps(training, 0, ranks))
    of_ranks = [[batches[rank::ranks] for batches in steps] for rank in range(ranks)]
    given = collections.Counter(
        part.id
        for of_rank in of_ranks
        for batches in of_rank
        for batch in batches
        for example in batch
        for part in example.parts or (example,)
    )
    if given != collections.Counter(example.id for example in train):
        found = f"an epoch gives {len(given)} utterances, {sum(given.values())} in all"
        raise UserError(found, expected=f"each of {len(train)} once")
    for rank, of_rank in enumerate(of_ranks):
        batches = [batch for of_step in of_rank for batch in of_step]
        examples = [example for batch in batches for example in batch]
        seconds = sum(example.seconds for example in examples)
        padded = sum(len(batch) * max(example.seconds for example in batch) for batch in batches)
        print(
            f"rank {rank}: {len(of_rank)} steps, {len(batches)} batches, "
            f"{count_utterances(examples)} utterances, {seconds / 3600:.1f} h, "
            f"{1 - seconds / max(padded, 1e-9):.1%} padding"
        )
    lost = sum(row["split"] == config.corpus.train for row in rejected)
    print(f"epoch: {len(steps)} steps, {len(given)} utterances, each once; {lost} can't be aligned")


def _rehearse_scoring(experiment: Experiment, seed: int, step: Step) -> None:
    """Stage score on transcripts of dev and test sets of which every twentieth word is wrong."""
    corpus = experiment.config.corpus
    references = 0
    for number, split in enumerate(dict.fromkeys([corpus.dev, *corpus.tests])):
        random = np.random.default_rng([seed, number])
        rows = read_jsonl(experiment.folder("manifests") / f"{split}_supervisions.jsonl.gz")
        hypotheses = []
        for row in rows:
            words = row["text"].split()
            wrong = random.random(len(words)) < WRONG
            said = [words[index - 1] if wrong[index] else word for index, word in enumerate(words)]
            hypotheses.append({"id": row["id"], "hyp": said})
            references += 1
        seconds = sum(row["duration"] for row in rows)
        timing = {"audio_seconds": seconds, "seconds": seconds, "fallbacks": {}, "settings": {}}
        write_jsonl(experiment.folder("decode") / split / "hypotheses_greedy.jsonl", hypotheses)
        write_json(experiment.folder("decode") / split / "timing_greedy.json", timing)
    step("scoring", lambda: score_all(experiment, ("greedy",)))
    results = read_json(experiment.directory / "results.json")
    scored = sum(record["utterances"] for record in results if record["unit"] == "word")
    if scored != references:
        raise UserError(f"{scored} utterances are scored", expected=str(references))


if __name__ == "__main__":
    run_measurement(measure)

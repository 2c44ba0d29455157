#!/usr/bin/env python3
"""Making batches alone: seconds of audio per second, with all that reads audio, by number of workers.

AN4's or yesno's recordings at three speeds; half get noise, a third reverberation, all SpecAugment.
Noises and room impulse responses are made up here. With no worker, batches are made in the measuring process
with one thread. The last line is the rate of the most workers.
"""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, List

from measure import find_corpus, make_parser, print_figure, run_measurement

from asrkit.config import load_config
from asrkit.pipeline.experiment import REPOSITORY, Experiment
from asrkit.pipeline.machine import prepare_processor

if TYPE_CHECKING:
    from asrkit.train.feed import Request

RATE = 16000
AUGMENT = (
    "augment=[{kind: reverberation, directory: %s/rirs, probability: 0.3},"
    " {kind: noise, directory: %s/noises, probability: 0.5}, {kind: spec_augment}]"
)
NOISES, NOISE_SECONDS, RIRS, RIR_SECONDS = 20, 30, 20, 0.5
BATCH_SECONDS = 100.0


def write_sounds(folder: Path) -> None:
    """White noises and decaying impulse responses, as long as MUSAN's and RIRS_NOISES's usually are."""
    import numpy as np
    import soundfile

    random = np.random.default_rng(1)
    decay = np.exp(-np.arange(int(RIR_SECONDS * RATE)) / (0.1 * RATE))
    for kind, files in (("noises", NOISES), ("rirs", RIRS)):
        (folder / kind).mkdir()
        for number in range(files):
            count = NOISE_SECONDS * RATE if kind == "noises" else len(decay)
            noise = random.normal(0, 0.1, count) * (1 if kind == "noises" else decay)
            soundfile.write(folder / kind / f"{number}.wav", noise, RATE)


def prepare(options: Any, folder: Path) -> Experiment:
    """An experiment with manifests and features."""
    from asrkit.stages import features, manifests

    recipe = REPOSITORY / "recipes" / options.recipe
    exp = options.exp or folder / "exp"
    settings = [AUGMENT % (folder, folder), "features.speed_factors=[0.9, 1.0, 1.1]"]
    config = load_config(recipe / "recipe.yaml", None, settings)
    experiment = Experiment(config, exp, find_corpus(options.recipe, options.corpus_dir, exp), recipe, jobs=2)
    if not (exp / "features" / "normalisation.safetensors").exists():
        manifests.run(experiment)
        features.run(experiment)
    return experiment


def rate_of(maker: Any, requests: "List[Request]", workers: int, batches: int) -> float:
    """Seconds of audio per second, after a first batch of each worker."""
    from asrkit.train.feed import Feed

    feed = Feed(maker, workers, pinned=False)
    made, seconds = feed.batches(requests), 0.0
    for _ in range(max(1, workers)):
        next(made)
    begun = time.perf_counter()
    for _ in range(batches):
        seconds += float(next(made).lengths.sum()) / 100
    taken = time.perf_counter() - begun
    feed.close()
    return seconds / taken


def measure() -> None:
    """Print a row for each number of workers, and the figure of the last."""
    parser = make_parser(__doc__, recipe="an4", exp="keeps features; default: a temporary folder")
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 1, 2, 4])
    parser.add_argument("--batches", type=int, default=30, help=f"of {BATCH_SECONDS:g} s of audio each")
    options = parser.parse_args()
    prepare_processor()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sounds(folder)
        experiment = prepare(options, folder)
        import torch

        from asrkit.signal.features import load_cuts
        from asrkit.signal.normalisation import Normalisation
        from asrkit.storage.tensors import load_tensors
        from asrkit.text.units import Units
        from asrkit.train.augmentation import make_augmenter
        from asrkit.train.batches import plan_batches
        from asrkit.train.examples import load_examples
        from asrkit.train.feed import BatchMaker, Request

        torch.set_num_threads(1)
        stored, _ = load_tensors(experiment.folder("features") / "normalisation.safetensors")
        normalisation = Normalisation(stored["mean"], stored["inverse_deviation"])
        cuts = load_cuts(experiment, experiment.config.corpus.train)
        examples, _ = load_examples(cuts, Units([], []), experiment.config.model, normalisation)
        augmenter = make_augmenter(experiment, normalisation)
        plan: List[List[int]] = []
        while len(plan) < options.batches + max(1, *options.workers):
            durations = [example.seconds for example in examples]
            settings = {"batch_duration": BATCH_SECONDS, "buckets": 20}
            plan += plan_batches(durations, seed=1, epoch=len(plan), **settings)  # type: ignore[arg-type]
        requests = [Request(draw, [(place,) for place in batch]) for draw, batch in enumerate(plan)]
        rate = 0.0
        for workers in options.workers:
            maker = BatchMaker(examples, augmenter, seed=1, views=1, workers=workers)
            rate = rate_of(maker, requests, workers, options.batches)
            print(f"{workers} workers: {rate:.0f} s of audio a second", flush=True)
    print_figure("feed_audio_seconds_per_second", rate)


if __name__ == "__main__":
    run_measurement(measure)

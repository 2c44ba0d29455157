#!/usr/bin/env python3
"""Seconds of audio trained on per second, with the model and the batches of a recipe.

Features are noise and targets random letters, as many as in AN4. Whole steps are timed:
masking, forward, backward, optimiser; in as many processes as the recipe has.
"""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, List, Tuple

from measure import make_parser, print_figure, run_measurement

from asrkit.config import RecipeConfig, load_config
from asrkit.pipeline.cost import count_cores
from asrkit.pipeline.experiment import REPOSITORY
from asrkit.pipeline.processor import prepare_processor

if TYPE_CHECKING:
    from asrkit.train.examples import Example
    from asrkit.train.world import World

UNITS = 32
LETTERS_A_SECOND = 5
WARM_UP = 3  # steps; the first ones choose kernels and get memory


def make_batches(config: RecipeConfig, steps: int) -> "List[List[Example]]":
    """Noise in lengths like AN4's, most of 1 to 5 seconds, batched as in training."""
    import torch

    from asrkit.train.batches import plan_batches
    from asrkit.train.examples import Example

    examples = []
    for index, frames in enumerate((torch.rand(steps * 40) ** 2 * 500 + 80).int().tolist()):
        target = torch.randint(1, UNITS, (frames * LETTERS_A_SECOND // 100,)).tolist()
        features = torch.randn(frames, config.features.bins)
        examples.append(Example(f"u{index}", features, target, "", frames / 100))
    plan = plan_batches(
        [example.seconds for example in examples],
        seed=1,
        epoch=0,
        batch_duration=config.train.batch_duration / config.train.processes,
        buckets=config.train.buckets,
    )
    return [[examples[index] for index in batch] for batch in plan[:steps]]


def train(config: RecipeConfig, steps: int, world: "World") -> Tuple[float, float]:
    """Seconds of audio of all processes, wall seconds after warming up."""
    import torch

    from asrkit.model.acoustic import AcousticModel
    from asrkit.text.units import Units
    from asrkit.train.checkpoint import Position
    from asrkit.train.loop import Training, take_step
    from asrkit.train.optimizer import make_optimizer

    torch.manual_seed(1)
    batches = make_batches(config, (steps + WARM_UP) * world.size)
    model = AcousticModel(config.model, config.features.bins, UNITS).train()
    optimizer = make_optimizer(model, config.train, world)
    training = Training(model, optimizer, config.train, Units([], []), [], [], Path(), world=world)
    position, begun = Position(), 0.0
    for step in range(steps + WARM_UP):
        if step == WARM_UP:
            begun = time.perf_counter()
        take_step(training, position, batches[step * world.size : (step + 1) * world.size], progress=0.5)
    seconds = time.perf_counter() - begun
    return sum(example.seconds for batch in batches[WARM_UP * world.size :] for example in batch), seconds


def train_together(config: RecipeConfig, steps: int, threads: int) -> Tuple[float, float]:
    """The same with the recipe's number of processes."""
    import torch

    from asrkit.pipeline.parallel import run_parallel
    from asrkit.train.world import join_world

    size = config.train.processes
    measured: List[Tuple[float, float]] = []

    def work(rank: int) -> Tuple[float, float]:
        torch.set_num_threads(threads)
        return train(config, steps, join_world(rank, size, Path(folder) / "rendezvous"))

    with tempfile.TemporaryDirectory() as folder:
        run_parallel(work, size, size, lambda _, result: measured.append(result))
    return measured[0]


def measure() -> None:
    """Train some steps, print what and how fast."""
    parser = make_parser(__doc__)
    parser.add_argument("--recipe", default="an4", help="whose recipe.yaml gives model and batches")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    config = load_config(REPOSITORY / "recipes" / options.recipe / "recipe.yaml", None, options.set)
    prepare_processor()
    from asrkit.model.acoustic import AcousticModel
    from asrkit.model.description import describe_model

    processes = config.train.processes
    threads = config.train.threads or max(1, count_cores() // processes)
    audio, seconds = train_together(config, options.steps, threads)
    model = AcousticModel(config.model, config.features.bins, UNITS)
    work = sum(part.multiply_adds for part in describe_model(model, config.features.frame_shift))
    print(f"{options.steps} steps, processes {processes} x {threads}: {audio:.0f} s in {seconds:.1f} s")
    print_figure("train_parameters", model.parameter_count())
    print_figure("forward_multiply_adds_a_second_of_audio", work)
    # Two operations a multiply-add; the backward pass takes two products for each of the forward pass.
    print_figure("train_gflops", 6 * work * audio / seconds / 1e9)
    print_figure("train_audio_seconds_per_second", audio / seconds)


if __name__ == "__main__":
    run_measurement(measure)

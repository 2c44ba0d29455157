#!/usr/bin/env python3
"""Seconds of audio trained on per second, with the model and the batches of a recipe.

Features are noise and targets random letters, as many as in AN4. Whole steps are timed:
masking, forward, backward, optimiser.
"""

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
        batch_duration=config.train.batch_duration,
        buckets=config.train.buckets,
    )
    return [[examples[index] for index in batch] for batch in plan[:steps]]


def train(config: RecipeConfig, steps: int) -> Tuple[float, float, int]:
    """Seconds of audio, wall seconds after warming up, parameters."""
    import torch

    from asrkit.model.acoustic import AcousticModel
    from asrkit.text.units import Units
    from asrkit.train import loop
    from asrkit.train.checkpoint import Position
    from asrkit.train.optimizer import make_optimizer

    torch.manual_seed(1)
    batches = make_batches(config, steps + WARM_UP)
    model = AcousticModel(config.model, config.features.bins, UNITS).train()
    optimizer = make_optimizer(model, config.train)
    training = loop.Training(model, optimizer, config.train, Units([], []), [], [], Path())
    position, begun = Position(), 0.0
    for number, batch in enumerate(batches):
        if number == WARM_UP:
            begun = time.perf_counter()
        loop._step(training, position, batch, progress=0.5)
    seconds = time.perf_counter() - begun
    audio = sum(example.seconds for batch in batches[WARM_UP:] for example in batch)
    return audio, seconds, model.parameter_count()


def measure() -> None:
    """Train some steps, print what and how fast."""
    parser = make_parser(__doc__)
    parser.add_argument("--recipe", default="an4", help="whose recipe.yaml gives model and batches")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=count_cores())
    options = parser.parse_args()
    config = load_config(REPOSITORY / "recipes" / options.recipe / "recipe.yaml")
    prepare_processor()
    import torch

    torch.set_num_threads(options.threads)
    audio, seconds, parameters = train(config, options.steps)
    print(f"torch {torch.__version__}; {options.steps} steps: {audio:.0f} s of audio in {seconds:.1f} s")
    print_figure("train_parameters", parameters)
    print_figure("train_threads", options.threads)
    print_figure("train_audio_seconds_per_second", audio / seconds)


if __name__ == "__main__":
    run_measurement(measure)

#!/usr/bin/env python3
"""Training of each preset: seconds of audio a second, multiply-adds, and the share of two roofs.

Presets are the recipes' models, ResNets at widths for a CPU, and a model of 4.6 million parameters. Features
are noise and targets random letters, as many as in AN4. Whole steps are timed: masking, forward, backward,
optimiser; in as many processes as the recipe has. The roofs, measured right after in the same processes: a
large float32 product of matrices, and the model's own convolutions in channels-last, apart from all else.
"""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Tuple

from measure import make_parser, print_figure, run_measurement

from asrkit.config import RecipeConfig, load_config
from asrkit.pipeline.cost import count_cores
from asrkit.pipeline.experiment import REPOSITORY
from asrkit.pipeline.processor import prepare_processor

if TYPE_CHECKING:
    from asrkit.model.acoustic import AcousticModel
    from asrkit.train.examples import Example
    from asrkit.train.world import World

UNITS = 32
LETTERS_A_SECOND = 5
WARM_UP = 2  # steps; the first ones choose kernels and get memory
MATRIX = 2048  # rows and columns
NARROW = ("model.stem_channels=8", "model.stage_channels=[8, 16, 24, 32]")
MEDIUM = (  # coarse where convolutions see most, and 80 ms a frame where the parameters are
    "model.stem_channels=16",
    "model.stem_stride=[2, 4]",
    "model.stage_channels=[16, 32, 64, 96]",
    "model.stage_time_strides=[1, 2, 2, 1]",
    "model.stage_frequency_strides=[1, 2, 2, 1]",
    "model.attention_blocks=4",
    "model.attention_dim=256",
    "model.feedforward_dim=1152",
    "train.batch_duration=100",
)
PRESETS: Dict[str, Tuple[str, Tuple[str, ...]]] = {  # a recipe, and what is set over it
    **{depth: ("an4", (f"model.depth={depth}", *NARROW)) for depth in ("resnet18", "resnet34")},
    **{depth: ("an4", (f"model.depth={depth}", *NARROW)) for depth in ("resnet50", "resnet101")},
    "medium": ("an4", MEDIUM),
    "yesno": ("yesno", ()),
    "demo": ("demo", ()),
    "an4": ("an4", ()),
}


def make_batches(config: RecipeConfig, steps: int) -> "List[List[Example]]":
    """Noise in lengths like AN4's, most of 1 to 5 seconds, batched as in training."""
    import torch

    from asrkit.train.batches import plan_batches
    from asrkit.train.examples import Example

    examples = []
    for index, frames in enumerate((torch.rand(steps * 60) ** 2 * 500 + 80).int().tolist()):
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


def train(config: RecipeConfig, steps: int, world: "World") -> Tuple[float, float, float, float]:
    """Seconds of audio of all processes, wall seconds after warming up; then the roofs of this process, of
    matrices and of convolutions, in GFLOP/s."""
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
    audio = sum(example.seconds for batch in batches[WARM_UP * world.size :] for example in batch)
    return audio, seconds, matrix_rate(), convolution_rate(model, batches[-1])


def matrix_rate() -> float:
    """GFLOP/s of a float32 product of matrices."""
    import torch

    a, b = torch.randn(2, MATRIX, MATRIX)
    return 2 * MATRIX**3 / least_seconds(lambda: a @ b) / 1e9


def convolution_rate(model: "AcousticModel", examples: "List[Example]") -> float:
    """GFLOP/s of the front's convolutions on the shapes of a batch, forward and backward, nothing else."""
    import torch

    from asrkit.train.examples import collate

    seen: List[Tuple[torch.nn.Conv2d, torch.Tensor]] = []

    def keep(module: Any, inputs: Any, _: Any) -> None:
        seen.append((module, inputs[0].detach().clone(memory_format=torch.preserve_format)))

    convolutions = [module for module in model.front.modules() if isinstance(module, torch.nn.Conv2d)]
    hooks = [module.register_forward_hook(keep) for module in convolutions]
    model(*collate(examples))
    for hook in hooks:
        hook.remove()
    work = seconds = 0.0
    for module, x in seen:
        gradient = torch.randn_like(module(x))
        x.requires_grad_()
        seconds += least_seconds(lambda m=module, x=x, g=gradient: m(x).backward(g))  # type: ignore[misc]
        work += gradient.numel() * module.weight[0].numel()
    return 6 * work / seconds / 1e9


def least_seconds(call: Callable[[], Any], times: int = 3) -> float:
    """The least time of some calls after a first one: other work only ever adds time."""
    call()
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return min(taken)


def train_together(config: RecipeConfig, steps: int, threads: int) -> Tuple[float, float, float, float]:
    """The same of all processes that the recipe has; the roofs are sums."""
    import torch

    from asrkit.pipeline.parallel import run_parallel
    from asrkit.train.world import join_world

    size = config.train.processes
    measured: List[Tuple[float, float, float, float]] = []

    def work(rank: int) -> Tuple[float, float, float, float]:
        torch.set_num_threads(threads)
        return train(config, steps, join_world(rank, size, Path(folder) / "rendezvous"))

    with tempfile.TemporaryDirectory() as folder:
        run_parallel(work, size, size, lambda _, result: measured.append(result))
    audio, seconds = measured[0][:2]
    return audio, seconds, sum(row[2] for row in measured), sum(row[3] for row in measured)


def measure() -> None:
    """Train some steps of each preset, print a row of each, and the figure of the last."""
    parser = make_parser(__doc__)
    parser.add_argument("presets", nargs="*", metavar="PRESET", help=f"of {', '.join(PRESETS)}; default: all")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    if not set(options.presets) <= set(PRESETS):
        parser.error(f"presets are {', '.join(PRESETS)}")
    prepare_processor()
    from asrkit.model.acoustic import AcousticModel
    from asrkit.model.description import describe_model

    row = "{:<10} {:>9} {:>11} {:>14} {:>8} {:>8} {:>10} {:>11} {:>16}"
    print(row.format(
        "preset", "processes", "parameters", "mult-adds/s", "audio/s", "GFLOP/s", "of matmul", "(GFLOP/s)",
        "of convolutions (GFLOP/s)",
    ))  # fmt: skip
    rate = 0.0
    for preset in options.presets or PRESETS:
        recipe, assignments = PRESETS[preset]
        file = REPOSITORY / "recipes" / recipe / "recipe.yaml"
        config = load_config(file, None, [*assignments, *options.set])
        processes = config.train.processes
        threads = config.train.threads or max(1, count_cores() // processes)
        audio, seconds, matrices, convolutions = train_together(config, options.steps, threads)
        model = AcousticModel(config.model, config.features.bins, UNITS)
        work = sum(part.multiply_adds for part in describe_model(model, config.features.frame_shift))
        rate = audio / seconds
        # Two operations a multiply-add; the backward pass takes two products for each of the forward pass.
        gflops = 6 * work * rate / 1e9
        print(row.format(
            preset, f"{processes} x {threads}", f"{model.parameter_count():,}", f"{work:,}", f"{rate:.1f}",
            f"{gflops:.1f}", f"{gflops / matrices:.0%}", f"({matrices:.0f})",
            f"{gflops / convolutions:.0%} ({convolutions:.0f})",
        ), flush=True)  # fmt: skip
    print_figure("train_audio_seconds_per_second", rate)


if __name__ == "__main__":
    run_measurement(measure)

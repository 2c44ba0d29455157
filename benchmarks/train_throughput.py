#!/usr/bin/env python3
"""Training throughput per preset: seconds of audio per second, multiply-adds, fraction of two rooflines.

Presets are the recipes' models, ResNets at widths for a CPU, and a model of 4.6 million parameters. Features
are noise and targets random letters, as many as in AN4. Whole steps are timed: masking, forward, backward,
optimiser; in as many processes as the recipe has. GFLOP/s are those of the model's products, then with those
that make Muon's matrices orthogonal. The roofs, measured right after in the same processes: a large product
of matrices in the precision of training, and the model's own convolutions in channels-last, apart from all
else.

With --device cuda the models of the LibriSpeech recipe, 28 and 80 million parameters, are trained on one GPU
in float32, in bfloat16, and in bfloat16 with train.compile; rows end with the GPU's utilisation and memory.
"""

import dataclasses
import subprocess
import tempfile
import time
import timeit
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Tuple

from measure import make_parser, print_figure, run_measurement

from asrkit.config import RecipeConfig, load_config
from asrkit.pipeline.experiment import REPOSITORY
from asrkit.pipeline.machine import count_cores, prepare_processor

if TYPE_CHECKING:
    import torch

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
LARGE_MATRIX = 8192  # on a GPU
GPU_PRESETS = {"librispeech": None, "large": "large.yaml"}  # what is set over the LibriSpeech recipe
GPU_VARIANTS = (
    ("train.precision=float32",),
    ("train.precision=bfloat16",),
    ("train.precision=bfloat16", "train.compile=true"),
)
PRESETS: Dict[str, Tuple[str, Tuple[str, ...]]] = {  # a recipe, and what is set over it
    **{name: ("an4", (f"model.front={name}", *NARROW)) for name in ("resnet18", "resnet34")},
    **{name: ("an4", (f"model.front={name}", *NARROW)) for name in ("resnet50", "resnet101")},
    "medium": ("an4", MEDIUM),
    "yesno": ("yesno", ()),
    "demo": ("demo", ()),
    "an4": ("an4", ()),
}


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one process measured."""

    audio: float  # seconds, of all processes
    seconds: float  # wall time, after warming up
    parameters: int
    multiply_adds: int  # of the model, a second of audio
    muon: int  # operations of one step's orthogonalisation, in all processes
    matrices: float  # GFLOP/s of this process
    convolutions: float  # the same
    memory: int = 0  # peak bytes of a GPU
    utilisation: str = ""  # of a GPU


def make_batches(config: RecipeConfig, steps: int) -> "List[List[Example]]":
    """`steps` batches of noise, as in training; utterances have lengths as in AN4, mostly 1 to 5 seconds."""
    import torch

    from asrkit.train.batches import plan_batches
    from asrkit.train.examples import Example

    frames: List[int] = []
    plan: List[List[int]] = []
    while len(plan) <= steps:
        frames += (torch.rand(max(steps * 60, len(frames))) ** 2 * 500 + 80).int().tolist()
        plan = plan_batches(
            [each / 100 for each in frames],
            seed=1,
            epoch=0,
            batch_duration=config.train.batch_duration / config.train.processes,
            buckets=config.train.buckets,
        )

    plan.remove(min(plan, key=lambda batch: sum(frames[index] for index in batch)))  # the incomplete one

    def make(index: int) -> Example:
        target = torch.randint(1, UNITS, (frames[index] * LETTERS_A_SECOND // 100,)).tolist()
        features = torch.randn(frames[index], config.features.bins)
        return Example(f"u{index}", features, target, "", frames[index] / 100)

    return [[make(index) for index in batch] for batch in plan[:steps]]


def train(config: RecipeConfig, steps: int, world: "World", device: str) -> Measured:
    """Take the steps, then measure the roofs."""
    import torch

    from asrkit.model.acoustic import AcousticModel
    from asrkit.model.description import describe_model
    from asrkit.text.units import Units
    from asrkit.train.checkpoint import TrainState
    from asrkit.train.loop import Training, take_step
    from asrkit.train.optimizer import make_optimizer
    from asrkit.train.preflight import compile_parts

    torch.manual_seed(1)
    batches = make_batches(config, (steps + WARM_UP) * world.size)
    model = AcousticModel(config.model, config.features.bins, UNITS).train()
    multiply_adds = sum(p.multiply_adds for p in describe_model(model, config.features.frame_shift))
    model.to(device)
    if config.train.compile:
        compile_parts(model)
    optimizer = make_optimizer(model, config.train, world)
    training = Training(model, optimizer, config.train, Units([], []), [], [], Path(), world=world)
    state = TrainState()

    def take(step: int) -> None:
        take_step(training, state, batches[step * world.size : (step + 1) * world.size], progress=0.5)

    seconds = time_steps(take, steps, device)
    half = torch.bfloat16 if config.train.precision == "bfloat16" else torch.float32
    return Measured(
        seconds=seconds,
        audio=sum(example.seconds for batch in batches[WARM_UP * world.size :] for example in batch),
        parameters=model.parameter_count(),
        multiply_adds=multiply_adds,
        muon=orthogonalisation_work(optimizer),
        memory=torch.cuda.max_memory_allocated() if device == "cuda" else 0,
        utilisation=gpu_utilisation(lambda: take(WARM_UP)) if device == "cuda" else "",
        matrices=matrix_rate(device, half),
        convolutions=convolution_rate(model, batches[-1]) if device == "cpu" else 1.0,
    )


def time_steps(take: Callable[[int], None], steps: int, device: str) -> float:
    """Wall time in seconds of `steps` steps, after WARM_UP steps that aren't counted."""
    for step in range(WARM_UP):
        take(step)
    wait(device)
    begun = time.perf_counter()
    for step in range(WARM_UP, WARM_UP + steps):
        take(step)
    wait(device)
    return time.perf_counter() - begun


def wait(device: str) -> None:
    """Wait until a GPU has finished all its work."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def gpu_utilisation(take: Callable[[], None]) -> str:
    """Utilisation over the last second by nvidia-smi, while steps that aren't timed keep the GPU busy."""
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asked:
        while asked.poll() is None:
            take()
        return asked.communicate()[0].partition("\n")[0].strip()


def orthogonalisation_work(optimizer: "torch.optim.Optimizer") -> int:
    """Operations of a step: each of Muon's iterations takes three products of a matrix's shorter side r and
    longer side c: (r, c) by (c, r), (r, r) by (r, r), (r, r) by (r, c)."""
    from asrkit.train.optimizer import ITERATIONS

    work = 0
    for group in optimizer.param_groups:
        for weight in group["params"] if group["matrices"] else ():
            rows = weight.shape[0] // group["matrices"]
            columns = weight[0].numel()
            r, c = sorted((rows, columns))
            work += group["matrices"] * ITERATIONS * 2 * (2 * r * r * c + r**3)
    return work


def matrix_rate(device: str, dtype: "torch.dtype") -> float:
    """GFLOP/s of a product of matrices."""
    import torch

    size = LARGE_MATRIX if device == "cuda" else MATRIX
    a, b = torch.randn(2, size, size, device=device).to(dtype)

    def multiply() -> None:
        a @ b
        wait(device)

    return 2 * size**3 / least_seconds(multiply) / 1e9


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
    return min(timeit.repeat(call, number=1, repeat=times))


def train_together(config: RecipeConfig, steps: int, threads: int, device: str) -> List[Measured]:
    """What each of the recipe's processes measured. Torch runs in them alone: a fork loses its threads."""
    import torch

    from asrkit.pipeline.parallel import run_parallel
    from asrkit.train.world import join_world

    size = config.train.processes
    measured: List[Measured] = []

    def work(rank: int) -> Measured:
        torch.set_num_threads(threads)
        world = join_world(rank, size, Path(folder) / "rendezvous")
        return train(config, steps, world, device)

    with tempfile.TemporaryDirectory() as folder:
        run_parallel(work, size, size, lambda _, result: measured.append(result))
    return measured


def configurations(presets: List[str], device: str, given: List[str]) -> Iterator[Tuple[str, RecipeConfig]]:
    """Each preset's settings; on a GPU in each of GPU_VARIANTS, with compilation if torch has it."""
    import torch

    for preset in presets:
        if device == "cpu":
            recipe, assignments = PRESETS[preset]
            file = REPOSITORY / "recipes" / recipe / "recipe.yaml"
            yield preset, load_config(file, None, [*assignments, *given])
            continue
        recipe_folder = REPOSITORY / "recipes" / "librispeech"
        over = GPU_PRESETS[preset]
        for variant in GPU_VARIANTS:
            if hasattr(torch.nn.Module, "compile") or "train.compile=true" not in variant:
                overlay = recipe_folder / over if over else None
                yield preset, load_config(recipe_folder / "recipe.yaml", overlay, [*variant, *given])


def measure() -> None:
    """Train some steps of each preset, print a row of each, and the figure of the last."""
    parser = make_parser(__doc__)
    parser.add_argument("presets", nargs="*", metavar="PRESET", help=f"of {', '.join(PRESETS)}; default: all")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    known = GPU_PRESETS if options.device == "cuda" else PRESETS
    if not set(options.presets) <= set(known):
        parser.error(f"presets are {', '.join(known)}")
    prepare_processor()
    row = "{:<10} {:>9} {:>11} {:>14} {:>8} {:>8} {:>10} {:>12} {:>11} {:>16}"
    print(row.format(
        "preset", "processes", "parameters", "mult-adds/s", "audio/s", "GFLOP/s", "with Muon's", "of matmul",
        "(GFLOP/s)", "of convolutions (GFLOP/s)",
    ))  # fmt: skip
    rate = 0.0
    for preset, config in configurations(options.presets or list(known), options.device, options.set):
        processes = config.train.processes
        threads = config.train.threads or max(1, count_cores() // processes)
        measured = train_together(config, options.steps, threads, options.device)
        one = measured[0]
        rate = one.audio / one.seconds
        # Two operations a multiply-add; the backward pass takes two products for each of the forward pass.
        of_model = 6 * one.multiply_adds * rate / 1e9
        all_work = of_model + one.muon * options.steps / one.seconds / 1e9
        matrices = sum(process.matrices for process in measured)
        convolutions = sum(process.convolutions for process in measured)
        last = f"{of_model / convolutions:.0%} ({convolutions:.0f})"
        if options.device == "cuda":
            compiled = ", compiled" if config.train.compile else ""
            last = f"{config.train.precision}{compiled}; busy {one.utilisation}; {one.memory / 1e9:.1f} GB"
        print(row.format(
            preset, f"{processes} x {threads}", f"{one.parameters:,}", f"{one.multiply_adds:,}",
            f"{rate:.1f}", f"{of_model:.1f}", f"{all_work:.1f}", f"{all_work / matrices:.0%}",
            f"({matrices:.0f})", last,
        ), flush=True)  # fmt: skip
    print_figure("train_audio_seconds_per_second", rate)


if __name__ == "__main__":
    run_measurement(measure)

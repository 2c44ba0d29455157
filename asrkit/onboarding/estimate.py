"""Disk, memory and hours that a recipe will take, from counts and measurements."""

from pathlib import Path
from typing import Any, Dict, Iterator, NamedTuple, Optional, Tuple

from asrkit.config import RecipeConfig, load_config
from asrkit.corpus.splits import sets_of
from asrkit.corpus.statistics import read_versions
from asrkit.errors import UserError
from asrkit.score.records import headlines, read_results
from asrkit.storage.files import read_json

NUMBER_BYTES = 2  # of a feature, in int16, and of a posterior, in float16
LATTICE_BYTES = 5_000  # a second of audio, measured on AN4
WEIGHT_BYTES = 4
BACKWARD = 3  # the work of a training pass, in forward passes
# Operations a second of a GPU by train.precision, in 10^12: an NVIDIA A100's, by its data sheet
GPU_RATES = {"float32": 19.5, "bfloat16": 312.0, "float16": 312.0}
GPU_SHARE = 0.1  # of that rate that training reaches: a guess, since small convolutions seldom fill a GPU
RESUMING = 2  # checkpoints of weights and momentum that training keeps to resume and to fall back on
ROW = "{:<10} {:>9}  {:>9}  {}"


class Target(NamedTuple):
    """What training is planned for, as the options of asrkit plan say; nothing: the measured hardware."""

    throughput: Optional[float]  # audio seconds a second, of one GPU
    gpus: Optional[int]
    gpu_rate: Optional[float]  # TFLOP/s
    gpu_share: Optional[float]


def plan_lines(
    settings: RecipeConfig,
    expected: Path,
    units: int,
    exp: Optional[Path],
    measured: Path,
    target: Target,
) -> Iterator[str]:
    """What the stages of a recipe will take, a line each; `exp` and `measured` as the options of asrkit plan.

    `expected` is the recipe's expect.json, whose hours count where there is no experiment `exp`.
    """
    hours = _hours_of_experiment(exp) if exp else _published_hours(settings, expected)
    trained = hours.pop(settings.corpus.train)
    epoch = trained * sum(1 / factor for factor in settings.features.speed_factors)
    others = sum(hours.values())
    known = _Measured(measured, units)
    parameters, work = _size_of(settings, units)
    listing = "".join(f", {name} {of:.1f} h" for name, of in hours.items())
    source = f"of {exp}" if exp else "as published (expect.json)"
    yield f"{settings.name}: {settings.corpus.train} {trained:.1f} h{listing}, {source}"
    yield f"an epoch: {epoch:,.1f} h, at {len(settings.features.speed_factors)} speeds"
    yield f"model: {parameters:,} parameters, {work / 1e6:,.0f} M multiply-adds a second of audio"
    yield f"measured: {known.line}"
    yield ROW.format("stage", "disk", "hours", "disk is computed; hours are from")
    stored = (epoch + others) * 3600 / settings.features.frame_shift * settings.features.bins * NUMBER_BYTES
    features = f"measured {known.features:,.0f} audio s/s; extrapolated by hours"
    yield _row("features", stored, (epoch + others) / known.features, features)
    kept = settings.train.keep_best + settings.train.keep_last + 2 * RESUMING
    speed, train = _training_speed(known, settings, work, target)
    yield _row("train", parameters * WEIGHT_BYTES * kept, settings.train.epochs * epoch / speed, train)
    methods = [method for method in settings.decode.methods if method in known.rtf]
    unknown = "".join(f"; {way} not measured" for way in settings.decode.methods if way not in methods)
    decode = ", ".join(f"{method} RTF {known.rtf[method]:.2g}" for method in methods)
    decode = f"measured {decode}; extrapolated by hours, as if model and graph were as small{unknown}"
    stored = others * 3600 * _decoded_bytes(settings, units)
    yield _row("decode", stored, others * sum(known.rtf[method] for method in methods), decode)
    yield _memory_line(settings, units, target.gpus)


def _decoded_bytes(config: RecipeConfig, units: int) -> float:
    """Of posteriors, perhaps the encoder's output, and lattices, for a second of audio."""
    from asrkit.model.acoustic import subsampling

    numbers = units + config.model.attention_dim * ("attention-decoder" in config.decode.methods)
    lattices = LATTICE_BYTES * config.decode.keep_lattices
    return numbers * NUMBER_BYTES / (config.features.frame_shift * subsampling(config.model)) + lattices


class _Measured:
    """What records say of the hardware: speeds in audio seconds a second, real-time factors."""

    def __init__(self, folder: Path, units: int) -> None:
        cost, done = read_json(folder / "cost.json"), load_config(folder / "recipe.yaml")
        seconds = {name: stage["seconds"] for name, stage in cost["stages"].items()}
        results = read_results(folder / "results.json")
        _, self.work = _size_of(done, units)
        self.features = cost["audio_hours"] * 3600 / seconds["features"]
        self.trained = self.work * _views(done)
        self.train = done.train.epochs * cost["audio_hours"] * 3600 / seconds["train"]
        self.rtf = {record["method"]: record["rtf"] for record in headlines(results, "test")}
        peaks = ", ".join(
            f"{name} {of['peak_bytes'] / 1e9:.2f} GB"
            for name, of in cost["stages"].items()
            if name in ("features", "train", "decode")
        )
        self.line = (
            f"{done.name} on {cost['cores']} cores, {cost['device']}; its model has "
            f"{self.work / 1e6:,.0f} M multiply-adds; its memory was {peaks}"
        )


def _training_speed(known: _Measured, config: RecipeConfig, work: int, target: Target) -> Tuple[float, str]:
    """Audio seconds trained a second, and where the figure is from."""
    throughput, gpus, gpu_rate, gpu_share = target
    if (gpu_rate or gpu_share) and (throughput or not gpus):
        raise UserError(
            "--gpu-rate or --gpu-share has nothing to say here",
            expected="--gpus, and no measured --throughput, beside it",
        )
    work *= _views(config)
    if throughput:
        speed, source = throughput, f"given {throughput:,.0f} audio s/s"
    elif gpus:
        rate, share = gpu_rate or GPU_RATES[config.train.precision], gpu_share or GPU_SHARE
        speed = rate * 1e12 * share / (BACKWARD * 2 * work)  # a multiply-add is two operations
        source = f"never run: extrapolated from {100 * share:g} % of {rate:g} TFLOP/s: {speed:,.1f} audio s/s"
    else:
        speed = known.train * known.trained / work
        source = f"measured {known.train:,.0f} audio s/s; extrapolated by multiply-adds: {speed:,.1f}"
    if gpus:
        speed *= gpus
        source += f" a GPU; assumed {gpus} times that, as if gradients and features came in no time"
    return speed, source


def _memory_line(config: RecipeConfig, units: int, gpus: Optional[int]) -> str:
    """What a process of training holds: weights, and activations of its part of a step."""
    from asrkit.model.acoustic import AcousticModel
    from asrkit.model.description import SECONDS, activation_bytes
    from asrkit.train.optimizer import make_optimizer

    model = AcousticModel(config.model, config.features.bins, units)
    copies = 3 if config.train.ema_decay else 2  # weights and gradients, and perhaps the running mean
    numbers = copies * model.parameter_count()
    for group in make_optimizer(model, config.train).param_groups:
        # Muon keeps one number for each, AdamW two
        numbers += (1 if group["matrices"] else 2) * sum(weight.numel() for weight in group["params"])
    seconds = config.train.batch_duration / ((gpus or config.train.processes) * config.train.accumulate)
    activations = activation_bytes(model, config.features.frame_shift) * seconds * _views(config)
    averaged = ", running mean" if copies == 3 else ""
    return (
        f"memory of a {'GPU' if gpus else 'process'}: computed {WEIGHT_BYTES * numbers / 1e9:.2f} GB for "
        f"weights, gradients, optimiser{averaged}; extrapolated {activations / 1e9:.2f} GB for activations "
        f"of its {seconds:,.0f} s of a step, from {SECONDS:g} s counted in float32; allocators take more"
    )


def _views(config: RecipeConfig) -> int:
    """How often an utterance passes the model in a step."""
    return 2 if config.train.consistency_weight else 1


def _row(stage: str, disk: float, hours: float, source: str) -> str:
    return ROW.format(stage, f"{disk / 1e9:,.1f} GB" if disk else "-", f"{hours:,.1f}", source)


def _published_hours(config: RecipeConfig, file: Path) -> Dict[str, float]:
    """Hours by split, of the version of expect.json that has most of them."""
    published: Dict[str, Any] = max(
        (version.splits for version in read_versions(file)),
        key=lambda sets: sum(of.get("hours", 0.0) for of in sets.values()),
    )
    sets = sets_of(config.corpus)
    unknown = [own for of in sets.values() for own in of if "hours" not in published.get(own, {})]
    if unknown:
        raise UserError(
            f"no hours of {', '.join(unknown)}",
            expected="a count named hours of each set",
            where=str(file),
            todo="run stage manifests, then asrkit plan --exp EXP",
        )
    return {name: sum(published[own]["hours"] for own in of) for name, of in sets.items()}


def _hours_of_experiment(exp: Path) -> Dict[str, float]:
    splits = read_json(exp / "manifests" / "statistics.json")["splits"]
    return {name: of["seconds"] / 3600 for name, of in splits.items()}


def _size_of(config: RecipeConfig, units: int) -> Tuple[int, int]:
    """Parameters, and multiply-adds a second of audio, of a recipe's model."""
    from asrkit.model.acoustic import AcousticModel
    from asrkit.model.description import describe_model

    model = AcousticModel(config.model, config.features.bins, units)
    parts = describe_model(model, config.features.frame_shift)
    return model.parameter_count(), sum(part.multiply_adds for part in parts)

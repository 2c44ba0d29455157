"""asrkit plan: the disk and time that a recipe takes, extrapolated from the records of a finished run."""

from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Tuple

from asrkit.config import RecipeConfig, load_config
from asrkit.corpus.splits import sets_of
from asrkit.corpus.statistics import read_versions
from asrkit.errors import UserError
from asrkit.score.records import headlines, read_results
from asrkit.storage.files import read_json

FEATURE_BYTES = 2  # per value: lhotse stores int16
UNITS = 500  # output units of the models compared; their number hardly changes the work


def estimate_lines(
    config: RecipeConfig, expected: Path, measured: Path, speed: Optional[float]
) -> Iterator[str]:
    """Hours of audio per split, disk for features, wall time of the long stages; one line each.

    Time is proportional to hours of audio, training time also to the model's multiply-adds.
    `expected`: expect.json, with the hours of each set.
    `measured`: folder with results.json, cost.json and recipe.yaml of a finished run.
    `speed`: training speed of other hardware, in seconds of audio per second.
    """
    hours = _published_hours(config, expected)
    train = hours[config.corpus.train] * sum(1 / factor for factor in config.features.speed_factors)
    others = sum(hours.values()) - hours[config.corpus.train]
    cost, done = (
        _read_cost(measured / "cost.json", speed is None),
        load_config(measured / "recipe.yaml", earlier=True),
    )
    audio, seconds = cost["audio_hours"], {name: of["seconds"] for name, of in cost["stages"].items()}
    (parameters, work), (_, measured_work) = _size_of(config), _size_of(done)
    source = "--throughput"
    if speed is None:
        speed = done.train.epochs * audio * 3600 / seconds["train"] * measured_work / work
        source = f"{done.name} on {cost['cores']} cores, {cost['device']}"
    disk = (train + others) * 3600 / config.features.frame_shift * config.features.bins * FEATURE_BYTES
    features = seconds["features"] / 3600 * (train + others) / audio
    rtf = {row["method"]: row["rtf"] for row in headlines(read_results(measured / "results.json"), "test")}
    yield f"audio: {', '.join(f'{name} {_short(of)} h' for name, of in hours.items())} ({expected.name})"
    yield f"model: {parameters:,} parameters, {work / 1e6:,.0f} M multiply-adds per second of audio"
    yield f"features: {_short(disk / 1e9)} GB, {_short(features)} h"
    epochs = config.train.epochs
    yield (
        f"train: {_short(epochs * train / speed)} h for {epochs} epochs of {_short(train)} h, "
        f"at {speed:,.1f} seconds of audio per second ({source})"
    )
    for method in config.decode.methods:
        time = "not measured"
        if method in rtf:
            time = f"{_short(others * rtf[method])} h at RTF {rtf[method]:.2g}"
        yield f"decode, {method}: {time}"


def _short(value: float) -> str:
    """Format with one decimal, or with one significant digit if that would be 0.0."""
    return f"{value:,.1f}" if value >= 0.1 else f"{value:.1g}"


def _published_hours(config: RecipeConfig, file: Path) -> Dict[str, float]:
    """Hours per split, from the version of expect.json with the most audio.

    With corpus.dev_speakers there is no dev, because train includes its hours.
    """
    if not file.exists():
        expected, todo = "the utterances and hours of each set", "write it as recipes/librispeech has it"
        raise UserError(f"no {file.name}", expected, str(file), todo)
    versions = [version.splits for version in read_versions(file)]
    published = max(versions, key=lambda sets: sum(of.get("hours", 0.0) for of in sets.values()))
    sets = sets_of(config.corpus)
    unknown = [own for names in sets.values() for own in names if "hours" not in published.get(own, {})]
    if unknown:
        todo = 'add them to the counts of these sets, such as "hours": 5.4'
        raise UserError(f"no hours for {', '.join(unknown)}", "hours for each set", str(file), todo)
    return {name: float(sum(published[own]["hours"] for own in of)) for name, of in sets.items() if of}


def _read_cost(file: Path, with_training: bool) -> Dict[str, Any]:
    """Read cost.json; raises UserError if figures that the estimate needs are missing."""
    cost: Dict[str, Any] = read_json(file, Dict[str, Any])
    stages = cost.get("stages")
    known = [name for name, of in stages.items() if "seconds" in of] if isinstance(stages, dict) else []
    needed = ("features", "train") if with_training else ("features",)
    absent = [f"stage {name}" for name in needed if name not in known]
    absent += [
        name
        for name in ("audio_hours", *(("cores", "device") if with_training else ()))
        if not cost.get(name)
    ]
    if absent:
        todo = "finish that run (run.sh), or name another with --measured"
        if "stage features" not in absent and with_training:
            todo += ", or give the speed of training with --throughput"
        raise UserError(f"no {', '.join(absent)}", "the records of a finished run", str(file), todo)
    return cost


def _size_of(config: RecipeConfig) -> Tuple[int, int]:
    """Parameters, and multiply-adds per second of audio; a consistency loss passes each utterance twice."""
    from asrkit.model.acoustic import AcousticModel
    from asrkit.model.description import describe_model

    model = AcousticModel(config.model, config.features.bins, UNITS)
    work = sum(part.multiply_adds for part in describe_model(model, config.features.frame_shift))
    return model.parameter_count(), work * (2 if config.train.consistency_weight else 1)

"""asrkit plan: disk, memory and hours that a recipe will take, from counts and measurements."""

from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import click

from asrkit.config import RecipeConfig, load_config
from asrkit.corpus.splits import sets_of
from asrkit.corpus.statistics import read_versions
from asrkit.errors import UserError
from asrkit.score.records import headlines, read_results
from asrkit.storage.files import read_json

FOLDER = click.Path(path_type=Path)
NUMBER_BYTES = 2  # of a feature: shards hold int16
WEIGHT_BYTES = 4
RESUMING = 2  # checkpoints of weights and momentum that training keeps to resume and to fall back on
ROW = "{:<10} {:>9}  {:>9}  {}"


@click.command("plan")
@click.option("--recipe", required=True, type=FOLDER, metavar="DIR", help="Folder with recipe.yaml.")
@click.option("--config", type=FOLDER, metavar="FILE", help="YAML file laid over recipe.yaml.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change one setting.")
@click.option("--units", default=500, show_default=True, help="Units that the model predicts.")
@click.option("--exp", type=FOLDER, metavar="DIR", help="Take hours from its stage 1, not from expect.json.")
@click.option(
    "--measured", type=FOLDER, metavar="DIR", default=Path("recipes/an4/records"), show_default=True
)
@click.option("--train-speed", type=float, metavar="N", help="Audio seconds trained a second, as measured.")
def command(
    recipe: Path,
    config: Optional[Path],
    assignments: Tuple[str, ...],
    units: int,
    exp: Optional[Path],
    measured: Path,
    train_speed: Optional[float],
) -> None:
    """Print what the stages of a recipe will take on the hardware that --measured was recorded on.

    --measured is a finished experiment, or the records of one: results.json, cost.json, recipe.yaml. Stages
    are taken to need time in proportion to hours of audio, and training in proportion to multiply-adds too.
    For other hardware give the speed that training prints there with --train-speed.
    """
    settings = load_config(recipe / "recipe.yaml", config, assignments)
    hours = _hours_of_experiment(exp) if exp else _published_hours(settings, recipe / "expect.json")
    trained = hours.pop(settings.corpus.train)
    epoch = trained * sum(1 / factor for factor in settings.features.speed_factors)
    others = sum(hours.values())
    known = _Measured(measured, units)
    parameters, work = _size_of(settings, units)
    listing = "".join(f", {name} {of:.1f} h" for name, of in hours.items())
    source = f"of {exp}" if exp else "as published (expect.json)"
    click.echo(f"{settings.name}: {settings.corpus.train} {trained:.1f} h{listing}, {source}")
    click.echo(f"an epoch: {epoch:,.1f} h, at {len(settings.features.speed_factors)} speeds")
    click.echo(f"model: {parameters:,} parameters, {work / 1e6:,.0f} M multiply-adds a second of audio")
    click.echo(f"measured: {known.line}")
    click.echo(ROW.format("stage", "disk", "hours", "disk is computed; hours are from"))
    stored = (epoch + others) * 3600 / settings.features.frame_shift * settings.features.bins * NUMBER_BYTES
    features = f"measured {known.features:,.0f} audio s/s; extrapolated by hours"
    _print_row("features", stored, (epoch + others) / known.features, features)
    kept = settings.train.keep_best + settings.train.keep_last + 2 * RESUMING
    speed = train_speed or known.train * known.work / work
    train = f"measured {known.train:,.0f} audio s/s; extrapolated by multiply-adds: {speed:,.1f}"
    train = f"given {train_speed:,.0f} audio s/s" if train_speed else train
    _print_row("train", parameters * WEIGHT_BYTES * kept, settings.train.epochs * epoch / speed, train)
    methods = [method for method in settings.decode.methods if method in known.rtf]
    unknown = "".join(f"; {way} not measured" for way in settings.decode.methods if way not in methods)
    decode = ", ".join(f"{method} RTF {known.rtf[method]:.2g}" for method in methods)
    decode = f"measured {decode}; extrapolated by hours, as if model and graph were as small{unknown}"
    _print_row("decode", 0, others * sum(known.rtf[method] for method in methods), decode)
    least = 4 * WEIGHT_BYTES * parameters / 1e9
    click.echo(
        f"memory of training: computed {least:.1f} GB for weights, gradients, momentum and running mean; "
        "the rest is not extrapolated: training tries its largest step first"
    )


class _Measured:
    """What records say of the hardware: speeds in audio seconds a second, real-time factors."""

    def __init__(self, folder: Path, units: int) -> None:
        cost, done = read_json(folder / "cost.json"), load_config(folder / "recipe.yaml")
        seconds = {name: stage["seconds"] for name, stage in cost["stages"].items()}
        results = read_results(folder / "results.json")
        _, self.work = _size_of(done, units)
        self.features = cost["audio_hours"] * 3600 / seconds["features"]
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


def _print_row(stage: str, disk: float, hours: float, source: str) -> None:
    click.echo(ROW.format(stage, f"{disk / 1e9:,.1f} GB" if disk else "-", f"{hours:,.1f}", source))


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
            todo="run stage 1, then asrkit plan --exp EXP",
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

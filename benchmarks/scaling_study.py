#!/usr/bin/env python3
"""Train the variants of a recipe that recipes/NAME/studies/STUDY.yaml lists, and record their figures.

Each variant is added to recipes/NAME/records/study_STUDY.json once it is scored, so an interrupted study
resumes; `asrkit report` puts the table into RESULTS.md. A plot is saved beside the records. --keep keeps the
experiments, so an interrupted training resumes, too. --init-from names an experiment to start all from.
--data names one whose finished stages before training are taken where a variant doesn't change them, and with
--variants two commands can each run a part of the study.
"""

import os
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Sequence

import yaml
from measure import find_corpus, given_experiment, make_parser, print_figures, run_measurement, run_recipe

from asrkit.config import load_config
from asrkit.errors import UserError
from asrkit.pipeline.experiment import REPOSITORY
from asrkit.score.records import headlines, read_results
from asrkit.score.study import Row, spread_lines
from asrkit.storage.files import read_json, whole_file, write_json, write_text


def read_study(file: Path) -> Dict[str, Dict[str, Any]]:
    """Settings of each variant, by name: its own laid over `common`."""
    if not file.is_file():
        there = sorted(other.stem for other in file.parent.glob("*.yaml"))
        expected = f"one of: {', '.join(there)}"
        raise UserError(f"no study {file.stem}", expected=expected, where=str(file.parent))
    study = yaml.safe_load(file.read_text(encoding="utf-8"))
    common = with_config(file.parent.parent, study["common"])
    return {name: lay_over(common, own) for name, own in study["variants"].items()}


def with_config(recipe: Path, own: Dict[str, Any]) -> Dict[str, Any]:
    """Settings laid over those of the recipe's file that their `config` names, if they name one."""
    if "config" not in own:
        return own
    config = yaml.safe_load((recipe / own["config"]).read_text(encoding="utf-8"))
    return lay_over(config, {section: values for section, values in own.items() if section != "config"})


def lay_over(*layers: Dict[str, Any]) -> Dict[str, Any]:
    """Settings by section; those of a later layer replace the same ones of an earlier one."""
    settings: Dict[str, Any] = {}
    for layer in layers:
        for section, values in layer.items():
            settings[section] = {**settings.get(section, {}), **values}
    return settings


def take_data(source: Path, exp: Path) -> None:
    """Link what the stages before training made in another experiment; run.sh redoes what differs."""
    for name in ("manifests", "features", "units", "lm", "graph", "stages"):
        if not (exp / name).exists():  # files are replaced as a whole, so links are as good as copies
            shutil.copytree(source / name, exp / name, copy_function=_link_or_copy)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)


def add_row(file: Path, row: Dict[str, Any], variants: Dict[str, Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Rows of the file and this one, in the order of the study; those of other settings are left out."""
    rows: List[Dict[str, Any]] = [*(read_json(file) if file.exists() else []), row]
    order = list(variants)
    rows = [each for each in rows if variants.get(each["variant"]) == each["settings"]]
    rows.sort(key=lambda each: order.index(each["variant"]))
    write_json(file, rows)
    return rows


def run_variant(
    recipe: str, name: str, settings: Dict[str, Any], corpus: Path, exp: Path, *more: str
) -> Dict[str, Any]:
    """Run the stages of one variant to score, with `more` options of run.sh; gives its row."""
    overlay = exp.parent / f"{exp.name}-settings.yaml"
    overlay.parent.mkdir(parents=True, exist_ok=True)
    write_text(overlay, yaml.safe_dump(settings))
    run_recipe(recipe, exp, corpus, "--config", str(overlay), "--stop-stage", "score", *more)
    cost = read_json(exp / "cost.json")
    return {
        "variant": name,
        "settings": settings,
        "results": [
            {key: record[key] for key in ("set", "role", "method", "errors", "reference", "interval", "rtf")}
            for record in headlines(read_results(exp / "results.json"))
        ],
        "training_seconds": cost["stages"]["train"]["seconds"],
        "parameters": cost["parameters"],
        "multiply_adds": count_multiply_adds(recipe, overlay, exp),
        "commit": cost["commit"],
        "device": cost["device"],
    }


def count_multiply_adds(recipe: str, overlay: Path, exp: Path) -> int:
    """Multiply-adds per second of audio of the variant's model."""
    from asrkit.model.acoustic import AcousticModel
    from asrkit.model.description import describe_model
    from asrkit.text.units import load_units

    config = load_config(REPOSITORY / "recipes" / recipe / "recipe.yaml", overlay)
    model = AcousticModel(config.model, config.features.bins, len(load_units(exp / "units")))
    return sum(part.multiply_adds for part in describe_model(model, config.features.frame_shift))


def collect(rows: List[Dict[str, Any]]) -> Dict[str, float]:
    """Error rates, in percent, of each variant, then their lowest and mean, by name."""
    rates: Dict[str, List[float]] = {}
    figures: Dict[str, float] = {}
    for row in rows:
        for record in row["results"]:
            name = f"{record['set']}_{record['method']}_wer"
            rate = 100 * record["errors"] / record["reference"]
            figures[f"{row['variant']}_{name}".replace(",", "").replace(" ", "_")] = rate
            rates.setdefault(name, []).append(rate)
    figures.update({f"lowest_{name}": min(of) for name, of in rates.items()})
    figures.update({f"mean_{name}": statistics.mean(of) for name, of in rates.items()})
    return figures


def measure() -> None:
    """Run what has no row yet, draw, and print every figure, the chosen one last."""
    parser = make_parser(__doc__, recipe="an4")
    parser.add_argument("--study", default="scaling", help="a file of recipes/NAME/studies, without .yaml")
    parser.add_argument("--last", metavar="NAME", help="the figure to print last, without RECIPE_STUDY_")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the experiments below DIR/STUDY")
    parser.add_argument("--init-from", type=Path, metavar="EXP", help="what all trainings start from")
    parser.add_argument("--data", type=Path, metavar="EXP", help="what all take manifests to graph from")
    parser.add_argument("--variants", nargs="*", help="default: all of the study")
    options = parser.parse_args()
    more = ["--init-from", str(options.init_from.resolve())] if options.init_from else []
    recipe = REPOSITORY / "recipes" / options.recipe
    variants = read_study(recipe / "studies" / f"{options.study}.yaml")
    file = recipe / "records" / f"study_{options.study}.json"
    rows: List[Dict[str, Any]] = read_json(file) if file.exists() else []
    rows = [row for row in rows if variants.get(row["variant"]) == row["settings"]]
    done, chosen = {row["variant"] for row in rows}, options.variants or list(variants)
    if not set(chosen) <= set(variants):
        found = f"no variant {', '.join(sorted(set(chosen) - set(variants)))}"
        raise UserError(found, f"of: {'; '.join(variants)}", "--variants")
    data = given_experiment(options.data.resolve(), "whose data stages are done") if options.data else None
    with tempfile.TemporaryDirectory() as folder:
        corpus = find_corpus(options.recipe, options.corpus_dir, Path(folder))
        for name, settings in variants.items():
            if name not in done and name in chosen:
                print(f"==== {options.study}: {name}", flush=True)
                kept = options.keep / options.study if options.keep else Path(folder)
                exp = kept.resolve() / name.replace(" ", "-").replace(",", "")
                if data:
                    take_data(data, exp)
                row = run_variant(options.recipe, name, settings, corpus, exp, *more)
                rows = add_row(file, row, variants)
    if len(rows) > 1:
        draw_study(rows, file.with_suffix(".png"))
    print("\n".join(spread_lines(rows)))
    print_figures(collect(rows), options.last, prefix=f"{options.recipe}_{options.study}_")


def draw_study(rows: Sequence[Row], file: Path) -> None:
    """Error rates of each set (HLG where it was run) over training time and over multiply-adds, as PNG.

    If most variants have about the same model size, their names would lie on each other: over the variants.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    sets = list(dict.fromkeys(record["set"] for row in rows for record in row["results"]))
    of_set = {name: [row for row in rows if name in _sets_of(row)] for name in sets}
    sizes = [row["multiply_adds"] for row in rows]
    alike = [size for size in sizes if 0.9 < size / statistics.median(sizes) < 1.1]  # units change a layer
    if len(alike) > len(sizes) / 2:
        _draw_variants(figure.subplots(), of_set, [row["variant"] for row in rows])
    else:
        _draw_costs(figure.subplots(1, 2, sharey=True), of_set)
    with whole_file(file) as temporary, open(temporary, "wb") as stream:
        FigureCanvasAgg(figure).print_png(stream)


def _draw_variants(axis: Any, of_set: Dict[str, List[Row]], variants: List[str]) -> None:
    for number, (name, rows) in enumerate(of_set.items()):
        shift = (number - (len(of_set) - 1) / 2) * 0.6 / len(of_set)  # so that no interval hides another
        places = [variants.index(row["variant"]) + shift for row in rows]
        records = [_record_of(row, name) for row in rows]
        rates = [_rate_of(row, name) for row in rows]
        sides = [(rate - of["interval"][0], of["interval"][1] - rate) for rate, of in zip(rates, records)]
        axis.errorbar(rates, places, xerr=list(zip(*sides)), fmt="o", alpha=0.8, label=name)
    axis.set_yticks(range(len(variants)), variants)
    axis.invert_yaxis()
    axis.set_xlabel("word errors, %")
    axis.grid(alpha=0.3)
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))  # beside the points


def _draw_costs(axes: Any, of_set: Dict[str, List[Row]]) -> None:
    labels = ("training, minutes", "multiply-adds per second of audio, millions")
    for axis, label, key, unit in zip(axes, labels, ("training_seconds", "multiply_adds"), (60, 1e6)):
        for name, rows in of_set.items():
            x = [row[key] / unit for row in rows]
            y = [_rate_of(row, name) for row in rows]
            axis.scatter(x, y, label=name)
            for place, row in zip(zip(x, y), rows):
                axis.annotate(row["variant"], place, fontsize=7, xytext=(3, 3), textcoords="offset points")
        axis.set_xlabel(label)
        axis.margins(x=0.25)  # room for the names
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("word errors, %")
    axes[0].legend()


def _sets_of(row: Row) -> List[str]:
    return [record["set"] for record in row["results"]]


def _record_of(row: Row, name: str) -> Dict[str, Any]:
    """The result of a set, with HLG where it was run."""
    of_set = [record for record in row["results"] if record["set"] == name]
    return next((record for record in of_set if record["method"] == "1best"), of_set[0])


def _rate_of(row: Row, name: str) -> float:
    record = _record_of(row, name)
    return float(100 * record["errors"] / record["reference"])


if __name__ == "__main__":
    run_measurement(measure)

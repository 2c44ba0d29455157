"""asrkit report: generate RESULTS.md of every recipe and README's table from the records."""

from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import click

from asrkit.errors import UserError
from asrkit.pipeline.cost import Cost
from asrkit.pipeline.experiment import open_experiment
from asrkit.pipeline.finished import refuse_changed_results
from asrkit.score.formats import render_formats
from asrkit.score.language_models import render_language_models
from asrkit.score.records import read_results
from asrkit.score.report import render_results, render_table, replace_table
from asrkit.score.robustness import (
    FOLDER,
    read_measurement,
    read_measurements,
    render_robustness,
    write_measurement,
)
from asrkit.score.streams import render_streams
from asrkit.score.study import render_study
from asrkit.stages.table import STAGES, stage_named
from asrkit.storage.files import read_json, write_json, write_text

MEASURED: Dict[str, Callable[[Any], str]] = {  # records/NAME.json of benchmarks, and their sections
    "formats": render_formats,
    "language_models": render_language_models,
    "streams": render_streams,
}


@click.command("report")
@click.option("--exp", type=click.Path(path_type=Path), help="Copy the records of this experiment first.")
@click.option("--recipe", type=click.Path(path_type=Path), help="Recipe to copy them to: recipes/NAME.")
@click.option("--recipes", type=click.Path(path_type=Path), default=Path("recipes"), show_default=True)
@click.option("--readme", type=click.Path(path_type=Path), default=Path("README.md"), show_default=True)
@click.option("--check", is_flag=True, help="Write nothing; fail if a file doesn't match the records.")
def command(exp: Optional[Path], recipe: Optional[Path], recipes: Path, readme: Path, check: bool) -> None:
    """Write recipes/*/RESULTS.md and the table in README.md from recipes/*/records/.

    With --exp and --recipe, the experiment's results.json, cost.json and recipe.yaml, and what asrkit
    robustness measured, are first copied there.
    """
    if (exp is None) != (recipe is None):
        raise UserError("only one of --exp and --recipe", "both or none", "asrkit report")
    if exp is not None and check:
        found, todo = "--check, which writes nothing, with --exp", "asrkit report --exp EXP --recipe RECIPE"
        raise UserError(found, "only one of them", "asrkit report", f"{todo}, then asrkit report --check")
    if exp is not None and recipe is not None:
        _keep_records(exp, recipe)
    texts = _regenerate(recipes, readme)
    stale = [file for file, text in texts.items() if not file.exists() or file.read_text("utf-8") != text]
    if check and stale:
        found = f"differs from the records: {', '.join(map(str, stale))}"
        raise UserError(found, "generated files", str(recipes), "asrkit report")
    for file in stale:
        write_text(file, texts[file])
        print(f"wrote {file}")


def _keep_records(exp: Path, recipe: Path) -> None:
    """Copy results.json, cost.json and the complete configuration to the recipe's records/."""
    results, cost = read_results(exp / "results.json"), read_json(exp / "cost.json", Cost)
    refuse_changed_results(STAGES[: STAGES.index(stage_named("score")) + 1], exp)
    if not (recipe / "recipe.yaml").exists():
        todo = "asrkit report --exp EXP --recipe recipes/NAME"
        raise UserError(f"{recipe} is no recipe", "a folder with recipe.yaml", "--recipe", todo)
    write_json(recipe / "records" / "results.json", results)
    cost["command"] = f"recipes/{recipe.name}/run.sh --config recipes/{recipe.name}/records/recipe.yaml"
    write_json(recipe / "records" / "cost.json", cost)
    write_text(recipe / "records" / "recipe.yaml", (exp / "recipe.yaml").read_text("utf-8"))
    if (exp / FOLDER).is_dir():
        for name, measurement in read_measurements(open_experiment(exp)).items():
            write_measurement(recipe / "records" / FOLDER, name, measurement)


def _regenerate(recipes: Path, readme: Path) -> Dict[Path, str]:
    """Text of each generated file."""
    kept: List[Tuple[str, List[Dict[str, Any]], Dict[str, Any]]] = []
    texts: Dict[Path, str] = {}
    for file in sorted(recipes.glob("*/records/results.json")):
        recipe = file.parent.parent
        results, cost = read_results(file), read_json(file.with_name("cost.json"), Cost)
        kept.append((recipe.name, results, cost))
        studies = [
            render_study(study.stem[len("study_") :], read_json(study), f"records/{study.stem}.png")
            for study in sorted(file.parent.glob("study_*.json"))
        ]
        robustness = [
            render_robustness(read_measurement(each), f"records/{FOLDER}/{each.stem}.svg")
            for each in sorted(file.parent.glob(f"{FOLDER}/*.json"))
        ]
        sections = [render_results(recipe.name, results, cost), *robustness, *studies]
        texts[recipe / "RESULTS.md"] = "\n".join(sections)
        for name, render in MEASURED.items():
            measured = file.with_name(f"{name}.json")
            if measured.exists():
                texts[recipe / "RESULTS.md"] += render(read_json(measured))
    if not readme.exists():
        raise UserError(f"no {readme}", "README.md", str(readme), "run this in the project's folder")
    texts[readme] = replace_table(readme.read_text("utf-8"), render_table(kept))
    return texts

#!/usr/bin/env python3
"""Cut a trained model to shares of its size, and compare it with models of these sizes trained from scratch.

For each share: the pruned model as it is, fine-tuned for --epochs, and one of its size trained from scratch
for as many. A larger model of another recipe, --larger, is cut to the shares and fine-tuned on this recipe.
Rows go to recipes/NAME/records/study_pruning.json as they are made, for `asrkit report`; a row that is there
isn't made again. Experiments are kept below --keep, where an interrupted training resumes.
"""

import time
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import torch
import yaml
from measure import (
    find_corpus,
    given_experiment,
    make_parser,
    print_figures,
    run_asrkit,
    run_measurement,
    run_recipe,
)
from scaling_study import collect, draw_study

from asrkit.config import RecipeConfig
from asrkit.pipeline.experiment import REPOSITORY, open_experiment
from asrkit.score.records import headlines, read_results
from asrkit.storage.files import read_json, write_json, write_text

SECONDS = 20  # of audio, for the real-time factor
METHODS = ("greedy", "1best")
FINE_TUNING = {"learning_rate": 2e-3, "warmup_steps": 20, "final_rate_fraction": 0.05, "keep_last": 3}
STARTS: Sequence[Tuple[str, Dict[str, Any], str]] = (
    ("fine-tuned", FINE_TUNING, "--init-from"),
    ("from scratch", {"keep_last": 3}, ""),
)


def train(options: Any, exp: Path, pruned: Path, settings: Dict[str, Any], *more: str) -> None:
    """Train a model of the pruned model's size with all stages of the recipe."""
    overlay = exp.with_name(f"{exp.name}-settings.yaml")
    shared = {
        "train": settings,
        "average": {"candidates": ["best-1", "last-3"]},
        "decode": {"methods": [*METHODS]},
    }
    model = yaml.safe_load((pruned / "model.yaml").read_text("utf-8"))
    write_text(overlay, yaml.safe_dump({**model, **shared}))
    corpus = find_corpus(options.recipe, options.corpus_dir, exp)
    run_recipe(options.recipe, exp, corpus, "--config", str(overlay), *more)


def evaluate(exp: Path, of: Path, config: RecipeConfig) -> List[Dict[str, Any]]:
    """Results of a model without any training, on the sets of the experiment that it comes from."""
    found: List[Dict[str, Any]] = []
    for split, role in ((config.corpus.dev, "dev"), (config.corpus.tests[0], "test")):
        cuts = of / "manifests" / f"{split}_cuts.jsonl.gz"
        methods = [word for method in METHODS for word in ("--method", method)]
        run_asrkit("evaluate", "--exp", str(exp), "--cuts", str(cuts), *methods)
        results = read_results(exp / "evaluate" / cuts.name.partition(".")[0] / "results.json")
        found += [{**record, "set": split, "role": role} for record in results]
    return found


def describe(exp: Path, variant: str, results: List[Dict[str, Any]], cost: Dict[str, Any]) -> Dict[str, Any]:
    """A row of the study."""
    from asrkit.model.acoustic import load_model
    from asrkit.model.description import describe_model

    config = open_experiment(exp).config
    model, _ = load_model(exp / "average" / "model.safetensors")
    features = torch.randn(1, round(SECONDS / config.features.frame_shift), config.features.bins)
    lengths = torch.tensor([features.shape[1]])
    with torch.no_grad():
        model.eval()(features, lengths)
        started = time.process_time()
        for _ in range(5):
            model(features, lengths)
    parts = describe_model(model, config.features.frame_shift)
    keys = ("set", "role", "method", "errors", "reference", "interval", "rtf")
    return {
        "variant": variant,
        "settings": {},
        "results": [
            {key: record[key] for key in keys}
            for record in sorted(headlines(results), key=lambda record: str(record["role"]), reverse=True)
            if record["method"] in METHODS
        ],
        "training_seconds": cost["stages"]["train"]["seconds"] if cost else 0.0,
        "parameters": model.parameter_count(),
        "multiply_adds": sum(part.multiply_adds for part in parts),
        "acoustic_rtf": (time.process_time() - started) / (5 * SECONDS),
        "commit": cost.get("commit"),
        "device": cost.get("device"),
    }


def rows_of(options: Any, keep: float, done: Dict[str, Dict[str, Any]]) -> Dict[str, Dict[str, Any]]:
    """The rows of a share that are not done yet."""
    base, folder, rows = options.exp, options.keep.resolve(), {}
    pruned = folder / f"pruned-{keep:g}"
    if not pruned.exists():
        run_asrkit("prune", "--exp", str(base), "--keep", str(keep), "--output", str(pruned))
    name = f"keep {keep:g}"
    if name not in done:
        results = evaluate(pruned, base, open_experiment(base).config)
        rows[name] = describe(pruned, name, results, {})
    for start, settings, option in STARTS:
        variant = f"{name}, {start}, {options.epochs} epochs"
        exp = folder / f"{keep:g}-{start.replace(' ', '-')}"
        if keep < 1 and variant not in done:
            more = [option, str(pruned)] if option else []
            train(options, exp, pruned, {"epochs": options.epochs, **settings}, *more)
            results, cost = read_results(exp / "results.json"), read_json(exp / "cost.json")
            rows[variant] = describe(exp, variant, results, cost)
    return rows


def rows_of_larger(options: Any, keep: float, done: Dict[str, Dict[str, Any]]) -> Dict[str, Dict[str, Any]]:
    """The row of a share of the larger model, fine-tuned on this recipe, if it isn't done yet."""
    folder = options.keep.resolve()
    source = open_experiment(given_experiment(options.larger, "of another recipe, trained"))
    pruned = folder / f"{source.config.name}-pruned-{keep:g}"
    if not pruned.exists():
        run_asrkit("prune", "--exp", str(options.larger), "--keep", str(keep), "--output", str(pruned))
    variant = f"{source.config.name}'s model, keep {keep:g}, fine-tuned, {options.epochs} epochs"
    if variant in done:
        return {}
    exp = folder / f"{source.config.name}-{keep:g}-fine-tuned"
    train(options, exp, pruned, {"epochs": options.epochs, **FINE_TUNING}, "--init-from", str(pruned))
    return {variant: describe(exp, variant, read_results(exp / "results.json"), read_json(exp / "cost.json"))}


def measure() -> None:
    """Make the rows, and print the error rates on dev."""
    parser = make_parser(__doc__, recipe="an4", exp="an experiment whose stages have finished")
    parser.add_argument("--keep", type=Path, metavar="DIR", required=True, help="keeps the experiments")
    parser.add_argument("--larger", type=Path, metavar="DIR", help="an experiment of another recipe")
    parser.add_argument("--shares", type=float, nargs="*", default=[1, 0.75, 0.5, 0.25])
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    given_experiment(options.exp, "whose stages have finished")
    file = REPOSITORY / "recipes" / options.recipe / "records" / "study_pruning.json"
    rows: List[Dict[str, Any]] = read_json(file) if file.exists() else []
    for keep in options.shares:
        done = {row["variant"]: row for row in rows}
        rows += rows_of(options, keep, done).values()
        if options.larger:
            rows += rows_of_larger(options, keep, done).values()
        write_json(file, rows)
        draw_study(rows, file.with_suffix(".png"))
    print_figures(collect(rows), None, prefix=f"{options.recipe}_pruning_")


if __name__ == "__main__":
    run_measurement(measure)

"""asrkit compare: the difference of two experiments on the same test sets, with its p-value."""

from pathlib import Path
from typing import List, Optional, Tuple

import click

from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment, open_experiment
from asrkit.pipeline.finished import refuse_changed_results
from asrkit.score.comparison import compare, comparison_lines
from asrkit.score.records import headlines, read_results
from asrkit.score.splits import evaluate_transcripts
from asrkit.score.transcripts import load_transcripts
from asrkit.stages.table import stage_named

EXPERIMENT = click.Path(path_type=Path)


@click.command("compare")
@click.argument("exp_a", type=EXPERIMENT)
@click.argument("exp_b", type=EXPERIMENT)
@click.option("--set-name", help="Dev or test set.  [default: every common test set]")
@click.option("--method", help="Decoding method, e.g. hlg.  [default: every common one]")
def command(exp_a: Path, exp_b: Path, set_name: Optional[str], method: Optional[str]) -> None:
    """Compare the errors of EXP_A and EXP_B per utterance, in the unit of EXP_A's headline error rate."""
    a, b = open_experiment(exp_a), open_experiment(exp_b)
    for each in (a, b):
        refuse_changed_results([stage_named("score")], each.directory)
    if a.config.score.normalise != b.config.score.normalise:
        steps = [", ".join(each.config.score.normalise) or "none" for each in (a, b)]
        differs = f"text normalisation differs: A has {steps[0]}, B has {steps[1]}"
        todo = "score one of them again: run.sh --stage score --set score.normalise=[...]"
        raise UserError(differs, "the same score.normalise in both experiments", "asrkit compare", todo)
    for split, way in _choose(a, b, set_name, method):
        settings = a.config.score
        of_a, of_b = (
            evaluate_transcripts(each, load_transcripts(each, split, way)[0], [settings.unit])[0]
            for each in (a, b)
        )
        found = compare(of_a, of_b, settings.bootstrap_samples)
        print(f"{split} {way}")
        for line in comparison_lines(found):
            print(f"  {line}")


def _choose(
    a: Experiment, b: Experiment, set_name: Optional[str], method: Optional[str]
) -> List[Tuple[str, str]]:
    """Pairs (set, method) with results in both experiments; dev only if --set-name asks for it."""
    of_a, of_b = (headlines(read_results(each.directory / "results.json")) for each in (a, b))
    theirs = {(record["set"], record["method"]) for record in of_b}
    both = [record for record in of_a if (record["set"], record["method"]) in theirs]
    chosen = [
        (record["set"], record["method"])
        for record in both
        if (record["set"] == set_name or (set_name is None and record["role"] == "test"))
        and method in (None, record["method"])
    ]
    if not chosen:
        there = ", ".join(f"{record['set']} {record['method']}" for record in both) or "none"
        wanted = f"{set_name or 'a test set'} {method or ''}".rstrip()
        found = f"no results of {wanted} in both experiments"
        raise UserError(found, f"a set and method that both have: {there}", "--set-name, --method")
    return chosen

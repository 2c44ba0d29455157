"""asrkit compare: the difference of two experiments on the same test sets, and its significance."""

from pathlib import Path
from typing import List, Optional, Tuple

import click

from asrkit.cli.options import FILE
from asrkit.config.methods import current_method
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment, open_experiment
from asrkit.pipeline.finished import refuse_changed_results
from asrkit.score.comparison import compare, comparison_lines
from asrkit.score.records import headlines, read_results
from asrkit.score.splits import evaluate_transcripts
from asrkit.score.transcripts import load_transcripts
from asrkit.show.page import show
from asrkit.show.systems import labels_of
from asrkit.stages.table import stage_named

EXPERIMENT = click.Path(path_type=Path)


@click.command("compare")
@click.argument("exp_a", type=EXPERIMENT)
@click.argument("exp_b", type=EXPERIMENT)
@click.option("--set-name", help="A set.  [default: every test set of both]")
@click.option("--method", help="Decoding method, e.g. 1best.  [default: every method of both]")
@click.option(
    "--html",
    type=FILE,
    help="Write a page too, with both side by side for each utterance, by --method or the one chosen on dev.",
)
def command(
    exp_a: Path, exp_b: Path, set_name: Optional[str], method: Optional[str], html: Optional[Path]
) -> None:
    """Compare EXP_A and EXP_B, utterance by utterance, in the unit of EXP_A (score.unit)."""
    a, b = open_experiment(exp_a), open_experiment(exp_b)
    for each in (a, b):
        refuse_changed_results([stage_named("score")], each.directory)
    if a.config.score.normalise != b.config.score.normalise:
        steps = [", ".join(each.config.score.normalise) or "none" for each in (a, b)]
        raise UserError(
            f"different text normalisation: A has {steps[0]}, B has {steps[1]}",
            "the same score.normalise in both experiments",
            "asrkit compare",
            "score one of them again: run.sh --stage score --set score.normalise=[...]",
        )
    method = method and current_method(method, "--method")
    for split, name in _choose(a, b, set_name, method):
        settings = a.config.score
        of_a, of_b = (
            evaluate_transcripts(each, load_transcripts(each, split, name)[0], [settings.unit])[0]
            for each in (a, b)
        )
        print(f"{split} {name}")
        for line in comparison_lines(compare(of_a, of_b, settings.bootstrap_samples)):
            print(f"  {line}")
    if html:
        labelled = dict(zip(labels_of([exp_a, exp_b]), (a, b)))
        show(html, labelled, sets=[set_name] if set_name else [], method=method or "")


def _choose(
    a: Experiment, b: Experiment, set_name: Optional[str], method: Optional[str]
) -> List[Tuple[str, str]]:
    """Pairs (set, method) with results in both experiments; dev only if --set-name names it."""
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
        raise UserError(
            f"no results of {set_name or 'a test set'} {method or ''}".rstrip() + " in both experiments",
            f"a set and method that both have: {there}",
            "--set-name, --method",
        )
    return chosen

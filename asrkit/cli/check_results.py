"""asrkit check-results: fail if a result is worse than allowed; for continuous integration."""

from pathlib import Path
from typing import Optional

import click

from asrkit.cli.options import FiniteRange
from asrkit.config.methods import current_method
from asrkit.errors import UserError
from asrkit.pipeline.finished import refuse_changed_results
from asrkit.score.records import headlines, read_results, summary_lines
from asrkit.stages.table import stage_named


@click.command("check-results")
@click.option("--exp", required=True, type=click.Path(path_type=Path), help="The experiment's folder.")
@click.option("--set-name", required=True, help="The test set.")
@click.option("--method", required=True, help="Decoding method, e.g. 1best.")
@click.option("--max-rate", type=FiniteRange(min=0), help="Highest error rate allowed, in percent.")
@click.option("--max-errors", type=int, help="Highest number of errors allowed.")
def command(
    exp: Path, set_name: str, method: str, max_rate: Optional[float], max_errors: Optional[int]
) -> None:
    """Print the result of a set and method; exit with status 1 if it is worse than allowed."""
    if max_rate is None and max_errors is None:
        expected, todo = "--max-rate or --max-errors", "for example --max-rate 3.0"
        raise UserError("nothing to check against", expected, "asrkit check-results", todo)
    results = headlines(read_results(exp / "results.json"))
    refuse_changed_results([stage_named("score")], exp)
    method = current_method(method, "--method")
    found = [record for record in results if (record["set"], record["method"]) == (set_name, method)]
    if not found:
        there = ", ".join(f"{record['set']} {record['method']}" for record in results)
        todo = "choose --set-name and --method from these"
        raise UserError(f"no result of {set_name} {method}", f"one of: {there}", "results.json", todo)
    (line,) = summary_lines(found)
    limits = []
    if max_rate is not None and found[0]["rate"] > max_rate:
        limits.append(f"at most {max_rate:g} %")
    if max_errors is not None and found[0]["errors"] > max_errors:
        limits.append(f"at most {max_errors} errors")
    if limits:
        raise UserError(line, " and ".join(limits), "results.json")
    print(line)

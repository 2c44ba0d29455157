"""asrkit check-results: fail if an error rate is above a limit; for continuous integration."""

from pathlib import Path
from typing import Optional

import click

from asrkit.errors import UserError
from asrkit.pipeline.finished import refuse_changed_results
from asrkit.score.records import check_result, read_results
from asrkit.stages.table import stage_named


@click.command("check-results")
@click.option("--exp", required=True, type=click.Path(path_type=Path), help="Experiment.")
@click.option("--set-name", required=True, help="Test set.")
@click.option("--method", required=True, help="Decoding method, e.g. hlg.")
@click.option("--max-rate", type=float, help="Highest allowed error rate in percent.")
@click.option("--max-errors", type=int, help="Highest allowed number of errors.")
def command(
    exp: Path, set_name: str, method: str, max_rate: Optional[float], max_errors: Optional[int]
) -> None:
    """Print the result of a test set and method; exit with 1 if it is above the limit."""
    if max_rate is None and max_errors is None:
        raise UserError("no limit to check against", "--max-rate or --max-errors", "asrkit check-results")
    results = read_results(exp / "results.json")
    refuse_changed_results([stage_named("score")], exp)
    print(check_result(results, set_name, method, max_rate, max_errors))

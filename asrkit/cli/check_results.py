"""asrkit check-results: fail when a result is worse than it may be; for continuous integration."""

from pathlib import Path
from typing import Optional

import click

from asrkit.config.methods import current_method
from asrkit.errors import UserError
from asrkit.pipeline.finished import refuse_changed_results
from asrkit.score.records import check_result, read_results
from asrkit.stages.table import stage_named


@click.command("check-results")
@click.option("--exp", required=True, type=click.Path(path_type=Path), help="The experiment's folder.")
@click.option("--set-name", required=True, help="The test set.")
@click.option("--method", required=True, help="Decoding method, e.g. 1best.")
@click.option("--max-rate", type=float, help="Highest error rate allowed, in percent.")
@click.option("--max-errors", type=int, help="Highest number of errors allowed.")
def command(
    exp: Path, set_name: str, method: str, max_rate: Optional[float], max_errors: Optional[int]
) -> None:
    """Print the result of a set and method; exit with 1 when it is worse than allowed."""
    if max_rate is None and max_errors is None:
        raise UserError(
            "nothing to check against", expected="--max-rate or --max-errors", where="asrkit check-results"
        )
    results = read_results(exp / "results.json")
    refuse_changed_results([stage_named("score")], exp)
    print(check_result(results, set_name, current_method(method, "--method"), max_rate, max_errors))

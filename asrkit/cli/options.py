"""Types of command-line options that several verbs share."""

import math
from pathlib import Path
from typing import Any

import click

from asrkit.errors import UserError

FILE = click.Path(dir_okay=False, path_type=Path)  # an output file; never replaces a user's folder


class FiniteRange(click.FloatRange):
    """A finite float in a range; a plain FloatRange accepts NaN, since comparisons with it are false."""

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Return the number, or let click report an invalid value."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number

    def _describe_range(self) -> str:
        """For --help; click would write x<=None for any number."""
        return "" if self.min is None and self.max is None else super()._describe_range()


def refuse_alone(option: str, given: Any, needed: str, has_needed: Any) -> None:
    """Raise UserError for an option that has an effect only with another one."""
    if given is not None and not has_needed:
        found, todo = f"{option} without {needed}", f"leave {option} out, or add {needed}"
        raise UserError(found, f"both, or no {option}", "the command line", todo)

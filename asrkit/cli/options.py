"""Types of command-line options that several verbs share."""

import math
from pathlib import Path
from typing import Any

import click

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

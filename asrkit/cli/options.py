"""Types of options that several verbs have."""

import math
from pathlib import Path
from typing import Any

import click

FILE = click.Path(dir_okay=False, path_type=Path)  # to write: a folder of that name is the user's


class FiniteRange(click.FloatRange):
    """A float in a range. NaN, which is below and above no limit, and infinity are refused."""

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """The number; click reports another value as a wrong option."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number

    def _describe_range(self) -> str:
        """For --help; click would write x<=None for any number."""
        return "" if self.min is None and self.max is None else super()._describe_range()

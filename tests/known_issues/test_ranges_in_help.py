"""--help gave numbers of any size the range x<=None."""

import importlib
from typing import Iterator, Tuple

import click
import pytest

from asrkit.cli.main import VERBS
from asrkit.cli.main import asrkit as program


def commands() -> Iterator[Tuple[str, click.Command]]:
    """Every verb, and the commands below verbs."""
    for verb in VERBS:
        command = importlib.import_module(f"asrkit.cli.{verb.replace('-', '_')}").command
        yield verb, command
        for name, below in getattr(command, "commands", {}).items():
            yield f"{verb} {name}", below


@pytest.mark.k2  # asrkit graph imports it
def test_no_range_without_limits_is_shown() -> None:
    for name, command in commands():
        help = command.get_help(click.Context(command, parent=click.Context(program), info_name=name))
        assert "None" not in help, name


@pytest.mark.parametrize(("verb", "range"), [("speak", "0.25<=x<=4.0"), ("latency", "x>=0.01")])
def test_ranges_are_shown(verb: str, range: str) -> None:
    command = importlib.import_module(f"asrkit.cli.{verb}").command
    assert range in " ".join(command.get_help(click.Context(command)).split())

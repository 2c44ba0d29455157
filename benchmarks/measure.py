"""Shared by the measurements: run recipes, find speech, print figures."""

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Callable, Iterator, Mapping, Optional, Sequence, Union

from asrkit.errors import UserError
from asrkit.pipeline.experiment import REPOSITORY
from asrkit.pipeline.machine import count_cores, prepare_processor, processor_name

ASRKIT = [sys.executable, "-c", "from asrkit.cli.main import main; main()"]


@contextlib.contextmanager
def serving(*arguments: str) -> Iterator[int]:
    """The port of asrkit serve with these arguments, once it answers; it is ended afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*ASRKIT, "serve", *arguments, "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            _wait_until_ready(server, port)
            yield port
        finally:
            server.terminate()


def _wait_until_ready(server: "subprocess.Popen[bytes]", port: int) -> None:
    while server.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            return
        except OSError:
            time.sleep(0.1)
    raise UserError("the server ended before it listened", expected="asrkit serve")


def make_parser(description: Optional[str], *, recipe: str = "", exp: str = "") -> argparse.ArgumentParser:
    """Options of a measurement: --recipe and --corpus-dir with a default `recipe`, --exp if it has a use."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if exp:
        parser.add_argument("--exp", type=lambda text: Path(text).absolute(), metavar="DIR", help=exp)
    if recipe:
        names = sorted(each.parent.name for each in (REPOSITORY / "recipes").glob("*/run.sh"))
        parser.add_argument("--recipe", default=recipe, choices=names)
        parser.add_argument("--corpus-dir", type=Path, metavar="DIR", help="default: $ASRKIT_CORPORA/RECIPE")
    return parser


def find_corpus(recipe: str, given: Optional[Path], exp: Path) -> Path:
    """The corpus's folder, for demo one inside `exp` that stage download fills; UserError if none."""
    root = os.environ.get("ASRKIT_CORPORA")
    if given is None and recipe == "demo":
        return exp / "corpus"
    folder = given if given is not None else Path(root) / recipe if root else None
    if folder is None or not folder.is_dir():
        found = f"no folder {folder}" if folder else f"nothing says where the {recipe} corpus is"
        todo = f"--corpus-dir DIR, or export ASRKIT_CORPORA with the corpus in $ASRKIT_CORPORA/{recipe}"
        raise UserError(found, f"the {recipe} corpus as published", "--corpus-dir or $ASRKIT_CORPORA", todo)
    return folder.absolute()


def recipe_command(recipe: str, exp: Path, corpus: Path, *options: str) -> "list[str]":
    """The command line of a recipe's run.sh."""
    script = str(REPOSITORY / "recipes" / recipe / "run.sh")
    return ["bash", script, "--exp", str(exp), "--corpus-dir", str(corpus), *options]


def run_recipe(recipe: str, exp: Path, corpus: Path, *options: str) -> float:
    """Run run.sh and give its wall seconds; raises UserError when it fails."""
    begun = time.perf_counter()
    status = run_command(recipe_command(recipe, exp, corpus, *options))
    seconds = time.perf_counter() - begun
    if status:
        raise UserError(f"recipes/{recipe}/run.sh ended with status {status}", where=str(exp))
    return seconds


def run_command(command: Sequence[str]) -> int:
    """The exit status of a command, which is ended if this program is, and not left to work on alone."""
    with subprocess.Popen(command) as child:
        try:
            return child.wait()
        except BaseException:
            child.terminate()
            raise


def run_asrkit(*arguments: str) -> None:
    """Run asrkit with these arguments; raises UserError when it fails."""
    status = run_command([*ASRKIT, *arguments])
    if status:
        raise UserError(f"asrkit {arguments[0]} ended with status {status}")


def given_experiment(exp: Optional[Path], kind: str, file: str = "recipe.yaml") -> Path:
    """The folder of --exp, a `kind` of experiment; raises UserError if it lacks `file`."""
    if exp is None or not (exp / file).exists():
        raise UserError(f"no experiment in {exp}", expected=f"--exp DIR, {kind}")
    return exp


def print_figures(figures: Mapping[str, Union[int, float]], last: Optional[str], prefix: str = "") -> None:
    """All figures, the one named `last` at the end, or else in their order; UserError if there is none."""
    last = last or list(figures)[-1]
    if last not in figures:
        raise UserError(f"no figure {last}", expected=f"one of: {', '.join(figures)}", where="--last")
    for name in [*(name for name in figures if name != last), last]:
        print_figure(prefix + name, figures[name])


def print_figure(name: str, value: Union[int, float], digits: int = 4) -> None:
    """`name: value`; a real number with so many significant digits."""
    print(f"{name}: {value if isinstance(value, int) else f'{value:.{digits}g}'}", flush=True)


def run_measurement(measure: Callable[[], None]) -> None:
    """Say on what machine, measure, and tell a user's mistake without a traceback."""
    prepare_processor()  # measurements that compute themselves, as stages do
    load = os.getloadavg()[0]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that children are ended
    try:
        if not {"-h", "--help"} & set(sys.argv):
            print(f"{processor_name()}, {count_cores()} cores; load before: {load:.1f}", flush=True)
        measure()
    except UserError as error:
        sys.exit(f"error: {error}")

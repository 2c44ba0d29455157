"""asrkit graph: inspect a decoding graph, or write LG."""

import shutil
import subprocess
from pathlib import Path
from typing import Optional

import click
import k2

from asrkit.cli.options import FILE
from asrkit.errors import UserError
from asrkit.graph.compile import graph_size, make_graph
from asrkit.graph.drawing import graph_as_dot
from asrkit.graph.store import load_graph, save_graph
from asrkit.pipeline.experiment import open_experiment
from asrkit.pipeline.finished import refuse_changed
from asrkit.pipeline.runner import cache_of
from asrkit.stages.table import stage_named
from asrkit.storage.files import write_bytes, write_text
from asrkit.text.units import read_symbols


@click.group("graph")
def command() -> None:
    """Inspect a decoding graph, or write LG."""


@command.command("lg")
@click.argument("exp", type=click.Path(path_type=Path))
@click.option("--output", type=FILE, required=True, help="FILE.safetensors or .txt.")
def write_lg(exp: Path, output: Path) -> None:
    """Write LG of EXP, without input epsilons, for a decoder that adds a topology itself.

    A .txt file is in OpenFst's text format, with ids of units.txt and words.txt and -log scores; a
    .safetensors file is for asrkit graph info and draw.
    """
    if output.suffix not in (".txt", ".safetensors"):
        raise UserError(f"--output {output}", "FILE.txt or FILE.safetensors", where="asrkit graph lg")
    experiment = open_experiment(exp)
    for name in ("units", "lm"):
        refuse_changed(stage_named(name), experiment, cache_of(experiment), reads=())
    arpa = experiment.folder("lm") / "lm.arpa"
    graph = make_graph(experiment.folder("units"), arpa, experiment.config.graph, kind="LG")
    if output.suffix == ".txt":
        write_text(output, k2.to_str(graph.fst, openfst=True))
    else:
        save_graph(output, graph)
    print(f"wrote {output}: {graph.made_of['states']:,} states and {graph.made_of['arcs']:,} arcs")


@command.command("info")
@click.argument("file", type=click.Path(path_type=Path))
def info(file: Path) -> None:
    """Print a graph's numbers of states, arcs and words, and what it was made from."""
    graph = load_graph(file)
    about = {**graph.made_of, **graph_size(graph.fst), "words": len(graph.words)}
    for name, value in about.items():
        print(f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value}")


@command.command("draw")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--output", type=FILE, help="FILE.svg (default), .png, .pdf, .dot.")
@click.option("--units", type=click.Path(path_type=Path), help="units.txt, for names instead of ids.")
def draw(file: Path, output: Optional[Path], units: Optional[Path]) -> None:
    """Draw a small graph with Graphviz; a .dot file is Graphviz's input, written without it."""
    output = output or file.with_suffix(".svg")
    text = graph_as_dot(load_graph(file), read_symbols(units) if units else None)
    if output.suffix == ".dot":
        write_text(output, text)
    elif shutil.which("dot") is None:
        todo = f"apt install graphviz, or write its input: --output {output.with_suffix('.dot')}"
        raise UserError("dot isn't installed", "Graphviz, which draws", "the command dot", todo)
    else:
        drawn = subprocess.run(["dot", f"-T{output.suffix[1:]}"], input=text.encode(), capture_output=True)
        if drawn.returncode:
            found = f"dot failed: {drawn.stderr.decode(errors='replace').strip()}"
            raise UserError(found, "a format of dot, such as svg, png or pdf", f"--output {output}")
        write_bytes(output, drawn.stdout)
    print(f"wrote {output}")

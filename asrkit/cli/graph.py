"""Stage 5: the decoding graph HLG from units, lexicon and language model; asrkit graph: look at one."""

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Set

import click
import k2
import numpy as np

from asrkit.cli.stages import stage_named
from asrkit.config import GraphConfig
from asrkit.errors import UserError
from asrkit.graph.compile import compile_hlg, compile_lg, graph_size
from asrkit.graph.drawing import graph_as_dot
from asrkit.graph.grammar import Grammar, make_grammar
from asrkit.graph.lexicon import make_lexicon_tree
from asrkit.graph.silence import OptionalSilence
from asrkit.graph.store import DecodingGraph, load_graph, save_graph
from asrkit.pipeline.experiment import Experiment, open_experiment
from asrkit.pipeline.finished import refuse_changed
from asrkit.pipeline.runner import cache_of
from asrkit.storage.files import write_bytes, write_text
from asrkit.storage.fingerprint import hash_file
from asrkit.text.units import Units, load_units, read_symbols


def run(experiment: Experiment) -> None:
    """Write graph/HLG.safetensors."""
    started = time.monotonic()
    graph = make_graph(experiment.units, experiment.lm / "lm.arpa", experiment.config.graph)
    save_graph(experiment.graph / "HLG.safetensors", graph)
    print(
        f"graph: HLG of {graph.made_of['states']:,} states and {graph.made_of['arcs']:,} arcs "
        f"in {time.monotonic() - started:.1f} s"
    )


def _tell_unspoken(lexicon: Set[str], symbols: Sequence[str], grammar: Grammar) -> None:
    """Say which words of the lexicon can't be recognised for want of an n-gram."""
    absent = sorted(lexicon - {symbols[index] for index in np.unique(grammar.word)})
    if absent:
        print(
            f"graph: {len(absent):,} of {len(lexicon):,} words of the lexicon can't be recognised, for the "
            f"language model lacks them: {', '.join(absent[:5])}{', ...' if len(absent) > 5 else ''}"
        )


def make_graph(units_directory: Path, arpa: Path, config: GraphConfig, kind: str = "HLG") -> DecodingGraph:
    """HLG, or LG, of what stage units wrote and a language model, with what it was made of.

    Raises UserError where graph.optional_silence isn't a unit.
    """
    units = load_units(units_directory)
    words = read_symbols(units_directory / "words.txt")
    tree = make_lexicon_tree(units.lexicon, units.ids, {word: index for index, word in enumerate(words)})
    grammar = make_grammar(arpa, units_directory / "words.txt", units.unknown_word)
    _tell_unspoken({entry.word for entry in units.lexicon}, words, grammar)
    silence = _find_silence(config, units)
    if kind == "LG":
        fst = compile_lg(tree, grammar, silence)
    else:
        modified = config.topology == "modified"
        fst = compile_hlg(tree, grammar, units=len(units), modified=modified, silence=silence)
    made_of: Dict[str, Any] = {
        "units": hash_file(units_directory / "units.txt"),
        "lexicon": hash_file(units_directory / "lexicon.txt"),
        "lm": hash_file(arpa),
        "topology": config.topology if kind == "HLG" else "none",
        **graph_size(fst),
    }
    if silence is not None:
        made_of.update(optional_silence=config.optional_silence, silence_probability=silence.probability)
    return DecodingGraph(fst, words, made_of)


def _find_silence(config: GraphConfig, units: Units) -> Optional[OptionalSilence]:
    name = config.optional_silence
    if name is None:
        return None
    if name not in units.symbols[1:]:
        raise UserError(
            f"graph.optional_silence is {name}, which is no unit",
            expected=f"one of {' '.join(units.symbols[1:20])}{' ...' if len(units) > 20 else ''}",
            where="units/units.txt",
            todo=f'add the line "<SIL> {name}" to units.lexicon, or leave graph.optional_silence out',
        )
    return OptionalSilence(units.ids[name], config.silence_probability)


@click.group("graph")
def command() -> None:
    """Look at a decoding graph, or write LG."""


@command.command("lg")
@click.argument("exp", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), required=True, help="FILE.safetensors, or .txt.")
def write_lg(exp: Path, output: Path) -> None:
    """Write LG of EXP, without epsilons among its units, for a decoder that adds a topology itself.

    A .txt file is OpenFst's text, with the numbers of units.txt and words.txt and -log scores; a
    .safetensors file can be looked at by asrkit graph info and draw.
    """
    if output.suffix not in (".txt", ".safetensors"):
        raise UserError(
            f"--output {output}", expected="FILE.txt or FILE.safetensors", where="asrkit graph lg"
        )
    experiment = open_experiment(exp)
    for name in ("units", "lm"):
        refuse_changed(stage_named(name), experiment, cache_of(experiment), reads=())
    graph = make_graph(experiment.units, experiment.lm / "lm.arpa", experiment.config.graph, kind="LG")
    if output.suffix == ".txt":
        write_text(output, k2.to_str(graph.fst, openfst=True))
    else:
        save_graph(output, graph)
    click.echo(f"wrote {output}: {graph.made_of['states']:,} states and {graph.made_of['arcs']:,} arcs")


@command.command("info")
@click.argument("file", type=click.Path(path_type=Path))
def info(file: Path) -> None:
    """States, arcs and words of a graph, and what it was made of."""
    graph = load_graph(file)
    about = {**graph.made_of, **graph_size(graph.fst), "words": len(graph.words)}
    for name, value in about.items():
        click.echo(f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value}")


@command.command("draw")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--output", type=click.Path(path_type=Path), help="FILE.svg, .png, .pdf or .dot.  [default: .svg]"
)
@click.option("--units", type=click.Path(path_type=Path), help="units.txt, for names instead of numbers.")
def draw(file: Path, output: Optional[Path], units: Optional[Path]) -> None:
    """Draw a small graph, by dot of Graphviz; a .dot file is the drawing's text and needs no Graphviz."""
    output = output or file.with_suffix(".svg")
    text = graph_as_dot(load_graph(file), read_symbols(units) if units else None)
    if output.suffix == ".dot":
        write_text(output, text)
    elif shutil.which("dot") is None:
        raise UserError(
            "dot isn't installed",
            expected="Graphviz, which draws",
            where="the command dot",
            todo=f"install it (apt install graphviz), or take text: --output {output.with_suffix('.dot')}",
        )
    else:
        drawn = subprocess.run(["dot", f"-T{output.suffix[1:]}"], input=text.encode(), capture_output=True)
        if drawn.returncode:
            raise UserError(
                f"dot failed: {drawn.stderr.decode(errors='replace').strip()}",
                expected="a format that dot knows, such as svg, png or pdf",
                where=f"--output {output}",
            )
        write_bytes(output, drawn.stdout)
    click.echo(f"wrote {output}")

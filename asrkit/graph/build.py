"""HLG, or LG, of what stages units and lm wrote."""

from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Set

import numpy as np

from asrkit.config import GraphConfig
from asrkit.errors import UserError
from asrkit.graph.compile import compile_hlg, compile_lg, graph_size
from asrkit.graph.grammar import Grammar, make_grammar
from asrkit.graph.lexicon import make_lexicon_tree
from asrkit.graph.silence import OptionalSilence
from asrkit.graph.store import DecodingGraph
from asrkit.storage.fingerprint import hash_file
from asrkit.text.units import Units, load_units, read_symbols


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

"""HLG, LG and G of what stages units and lm wrote: CTC topology, lexicon and grammar, composed."""

from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import k2
import numpy as np
import torch

from asrkit.config import GraphConfig
from asrkit.errors import UserError
from asrkit.graph.arcs import FINAL, Arcs, join_arcs, make_arcs, make_table
from asrkit.graph.compose import compose_words
from asrkit.graph.grammar import NO_STATE, Grammar, make_grammar
from asrkit.graph.hubs import split_hubs
from asrkit.graph.lexicon import LexiconTree, make_lexicon_tree
from asrkit.graph.silence import OptionalSilence, add_silence
from asrkit.graph.store import DecodingGraph
from asrkit.graph.topology import add_topology
from asrkit.storage.fingerprint import hash_file
from asrkit.text.units import Units, load_units, read_symbols


def make_graph(units_directory: Path, arpa: Path, config: GraphConfig, kind: str = "HLG") -> DecodingGraph:
    """HLG or LG, with the hashes of what it was made from.

    Raises UserError if graph.optional_silence isn't a unit, and for a graph too large for k2.
    """
    units = load_units(units_directory)
    words = read_symbols(units_directory / "words.txt")
    tree = make_lexicon_tree(units.lexicon, units.ids, {word: index for index, word in enumerate(words)})
    grammar = make_grammar(arpa, units_directory / "words.txt", units.unknown_word)
    _report_words_without_ngram(units, words, grammar)
    silence = _find_silence(config, units)
    topology = config.topology if kind == "HLG" else "none"
    fst = compile_graph(tree, grammar, len(units), topology, silence)
    made_of: Dict[str, Any] = {
        "units": hash_file(units_directory / "units.txt"),
        "lexicon": hash_file(units_directory / "lexicon.txt"),
        "lm": hash_file(arpa),
        "topology": topology,
        **graph_size(fst),
    }
    if silence is not None:
        made_of.update(optional_silence=config.optional_silence, silence_probability=silence.probability)
    return DecodingGraph(fst, words, made_of)


def compile_graph(
    tree: LexiconTree,
    grammar: Grammar,
    units: int,
    topology: str = "standard",
    silence: Optional[OptionalSilence] = None,
) -> k2.Fsa:
    """HLG, or LG for topology "none", without input epsilons; `units` counts the blank too.

    Raises UserError if it is too large for k2.
    """
    arcs, final = compose_words(tree, grammar)
    if silence is not None:
        arcs, final = add_silence(arcs, final, silence)
    if topology == "none":
        table, words = add_final_state("LG", [arcs], final)
    else:
        modified = topology == "modified"
        table, words = add_topology(split_hubs(arcs, final, units, modified), units, modified)
    return k2.Fsa(torch.from_numpy(table), aux_labels=torch.from_numpy(words))


def make_acceptor(grammar: Grammar) -> k2.Fsa:
    """G as an acceptor of words, with epsilons on back-off arcs."""
    states = np.flatnonzero(grammar.backoff != NO_STATE).astype(np.int32)
    words = make_arcs(grammar.source, grammar.target, grammar.word, grammar.word, grammar.score)
    backoffs = make_arcs(states, grammar.backoff[states], 0, score=grammar.backoff_score[states])
    table, _ = add_final_state("G", [words, backoffs], grammar.final)
    return k2.arc_sort(k2.Fsa(torch.from_numpy(table)))


def graph_size(fst: k2.Fsa) -> Dict[str, int]:
    """Numbers of states and arcs."""
    return {"states": int(fst.shape[0]), "arcs": int(fst.num_arcs)}


def add_final_state(graph: str, parts: Sequence[Arcs], final: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """make_table's table and words, with arcs to one final state for the `final` scores (state,)."""
    ends = np.flatnonzero(np.isfinite(final)).astype(np.int32)
    arcs = join_arcs([*parts, make_arcs(ends, np.full_like(ends, len(final)), FINAL, FINAL, final[ends])])
    return make_table(graph, np.bincount(arcs.source, minlength=len(final) + 1), [arcs])


def words_without_ngram(units: Units, symbols: Sequence[str], grammar: Grammar) -> List[str]:
    """Sorted words of the lexicon that occur in no n-gram; `symbols`: those of words.txt."""
    found = set(np.unique(grammar.word).tolist())
    lexicon = {entry.word for entry in units.lexicon}
    return sorted(word for index, word in enumerate(symbols) if word in lexicon and index not in found)


def _report_words_without_ngram(units: Units, symbols: Sequence[str], grammar: Grammar) -> None:
    absent = words_without_ngram(units, symbols, grammar)
    if absent:
        words = len({entry.word for entry in units.lexicon})
        print(
            f"graph: {len(absent):,} of {words:,} words of the lexicon can't be recognised: the "
            f"language model lacks them: {', '.join(absent[:5])}{', ...' if len(absent) > 5 else ''}"
        )


def _find_silence(config: GraphConfig, units: Units) -> Optional[OptionalSilence]:
    name = config.optional_silence
    if name is None:
        return None
    if name not in units.symbols[1:]:
        found = f"graph.optional_silence is {name}, which is no unit"
        expected = f"one of {' '.join(units.symbols[1:20])}{' ...' if len(units) > 20 else ''}"
        todo = f'add the line "<SIL> {name}" to units.lexicon, or leave graph.optional_silence out'
        raise UserError(found, expected, "units/units.txt", todo)
    return OptionalSilence(units.ids[name], config.silence_probability)

"""Stage 5: the decoding graph HLG from units, lexicon and language model."""

import time

from asrkit.graph.compile import compile_hlg, graph_size
from asrkit.graph.grammar import make_grammar
from asrkit.graph.lexicon import make_lexicon_fst
from asrkit.graph.store import DecodingGraph, save_graph
from asrkit.pipeline.experiment import Experiment
from asrkit.storage.fingerprint import hash_file
from asrkit.text.units import load_units, read_symbols


def run(experiment: Experiment) -> None:
    """Write graph/HLG.safetensors."""
    started = time.monotonic()
    units = load_units(experiment.units)
    words = read_symbols(experiment.units / "words.txt")
    word_ids = {word: index for index, word in enumerate(words)}
    lexicon, first_unit_mark = make_lexicon_fst(units.lexicon, units.ids, word_ids)
    grammar = make_grammar(experiment.lm / "lm.arpa", experiment.units / "words.txt")
    hlg = compile_hlg(
        lexicon,
        grammar,
        units=len(units),
        first_unit_mark=first_unit_mark,
        first_word_mark=word_ids["#0"],
        modified=experiment.config.graph.topology == "modified",
    )
    made_of = {
        "units": hash_file(experiment.units / "units.txt"),
        "lexicon": hash_file(experiment.units / "lexicon.txt"),
        "lm": hash_file(experiment.lm / "lm.arpa"),
        "topology": experiment.config.graph.topology,
        **graph_size(hlg),
    }
    save_graph(experiment.graph / "HLG.safetensors", DecodingGraph(hlg, words, made_of))
    size = graph_size(hlg)
    print(
        f"graph: HLG of {size['states']:,} states and {size['arcs']:,} arcs "
        f"in {time.monotonic() - started:.1f} s"
    )

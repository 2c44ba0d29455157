"""Search in H alone, the CTC topology, without lexicon; an n-gram scores the words that its units make."""

from pathlib import Path
from typing import Callable, Optional

import k2
import numpy as np
from torch import Tensor

from asrkit.config import DecodeConfig
from asrkit.decode.nbest import NBest
from asrkit.decode.paths import draw_hypotheses, list_hypotheses
from asrkit.decode.rescore import make_ngram_scorer
from asrkit.decode.search import prepare_graph, search_lattice
from asrkit.graph.store import DecodingGraph
from asrkit.text.units import Units

BEST = np.zeros((1, 2))  # the only point of a lattice that has no other scores than the sound's


def make_topology_search(
    units: Units, arpa: Path, config: DecodeConfig
) -> Callable[[str, Tensor, int], Optional[NBest]]:
    """Search of an utterance's log-probabilities (frame, unit) for its n-best list; None for no lattice.

    Its last argument are the failures of search_lattice.
    The best path of units is that of greedy. Words are joined of units as greedy joins them.
    """
    fst = prepare_graph(DecodingGraph(k2.ctc_topo(len(units) - 1), units.symbols, {}))
    score = make_ngram_scorer(arpa)

    def search(utterance: str, log_probs: Tensor, failures: int) -> Optional[NBest]:
        way, lattice = search_lattice(fst, utterance, log_probs, config, failures)
        if lattice is None:
            return None
        drawn = draw_hypotheses(lattice, log_probs, config.nbest_paths)
        paths = list_hypotheses(lattice, units.symbols, way, BEST, drawn)
        words = [units.words([units.ids[unit] for unit in path]) for path in paths.words]
        return NBest(words, np.column_stack([paths.scores[:, 0], score(words), [*map(len, words)]]), way)

    return search

"""HLG: CTC topology, lexicon and grammar composed into one decoding graph."""

from typing import Dict

import k2
import torch

from asrkit.errors import UserError


def compile_hlg(
    lexicon: k2.Fsa,
    grammar: k2.Fsa,
    *,
    units: int,
    first_unit_mark: int,
    first_word_mark: int,
    modified: bool,
) -> k2.Fsa:
    """Compose H with the determinized, epsilon-free composition of L and G.

    `units` counts the units with blank; ids from `first_unit_mark` and `first_word_mark` on are
    disambiguation symbols. Raises UserError when a step leaves nothing.
    """
    lg = k2.connect(k2.compose(k2.arc_sort(lexicon), k2.arc_sort(grammar)))
    _refuse_empty(lg, "L composed with G", "the lexicon and the language model share no word")
    lg = k2.connect(k2.determinize(lg))
    _refuse_empty(lg, "LG determinized", "the lexicon lacks disambiguation symbols")
    erase_disambiguation(lg, first_unit_mark, first_word_mark)
    lg = k2.connect(k2.remove_epsilon(lg))
    settle_labels(lg)
    lg.aux_labels = lg.aux_labels.remove_values_eq(0)
    lg = k2.arc_sort(lg)
    topology = k2.ctc_topo(units - 1, modified=modified)
    hlg = k2.connect(k2.compose(topology, lg, inner_labels="tokens"))
    _refuse_empty(hlg, "H composed with LG", "the lexicon has units that the topology lacks")
    del hlg.tokens
    return k2.arc_sort(hlg)


def erase_disambiguation(fst: k2.Fsa, first_unit_mark: int, first_word_mark: int) -> None:
    """Turn disambiguation symbols into epsilon, in place; an acceptor has labels only."""
    labels = fst.labels.clone()
    labels[labels >= first_unit_mark] = 0
    fst.labels = labels
    if not hasattr(fst, "aux_labels"):
        pass
    elif isinstance(fst.aux_labels, torch.Tensor):
        fst.aux_labels[fst.aux_labels >= first_word_mark] = 0
    else:
        fst.aux_labels.values[fst.aux_labels.values >= first_word_mark] = 0
    fst.__dict__["_properties"] = None  # they were worked out for the old labels


def settle_labels(fst: k2.Fsa) -> None:
    """Tell k2 that the labels are as they should be.

    k2 1.23.4 copies the counter of label changes to the result of remove_epsilon, whose own tensor
    starts anew; the next use then raises "inappropriately modified".
    """
    fst.labels_version = fst.labels._version


def _refuse_empty(fst: k2.Fsa, step: str, cause: str) -> None:
    if fst.num_arcs == 0:
        raise UserError(
            f"{step} is empty",
            expected="a graph with at least one path",
            where="stage graph",
            todo=f"check units/lexicon.txt and lm/lm.arpa: {cause}",
        )


def graph_size(fst: k2.Fsa) -> Dict[str, int]:
    """States and arcs."""
    return {"states": int(fst.shape[0]), "arcs": int(fst.num_arcs)}

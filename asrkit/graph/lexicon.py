"""L: the lexicon as a transducer from units to words."""

from typing import Dict, List, Sequence, Tuple

import k2
import torch

from asrkit.text.lexicon import Pronunciation, add_disambiguation


def make_lexicon_fst(
    lexicon: Sequence[Pronunciation], unit_ids: Dict[str, int], word_ids: Dict[str, int]
) -> Tuple[k2.Fsa, int]:
    """L with disambiguation symbols, closed so that words follow each other.

    Returns (L, first disambiguation id): #0 has that id among units, #1 the next, and so on. A
    self-loop passes #0 on, which G uses on its back-off arcs.
    """
    first = max(unit_ids.values()) + 1
    marked, _ = add_disambiguation(lexicon)
    labels = dict(unit_ids)
    arcs: List[Tuple[int, int, int, int]] = [(0, 0, first, word_ids["#0"])]  # (from, to, unit, word)
    states = 1
    for entry in marked:
        source, word = 0, word_ids[entry.word]
        for position, unit in enumerate(entry.units):
            target = 0 if position == len(entry.units) - 1 else states
            states += target != 0
            label = first + int(unit[1:]) if unit.startswith("#") else labels[unit]
            arcs.append((source, target, label, word))
            source, word = target, 0
    final = states
    arcs.append((0, final, -1, -1))
    arcs.sort(key=lambda arc: arc[0])
    table = torch.tensor(arcs, dtype=torch.int32)  # (arc, 4)
    tensor = torch.stack([table[:, 0], table[:, 1], table[:, 2], torch.zeros_like(table[:, 0])], dim=1)
    return k2.Fsa(tensor, aux_labels=table[:, 3].contiguous()), first

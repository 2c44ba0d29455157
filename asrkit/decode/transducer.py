"""Searches with a transducer, of one utterance: in all unit sequences, or in LG.

Modified beam search, with two hypotheses kept; blank goes on to the next frame with the same units:

    frame 1    R -0.1, W -2.3              frame 2    R -0.3 (blank), R EH -1.4
    frame 3    R EH -1.3                   sums R + EH and R EH + blank: equal units are added
"""

from typing import TYPE_CHECKING, Dict, Optional, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from asrkit.config import DecodeConfig
from asrkit.config.symbols import BLANK
from asrkit.model.transducer import CONTEXT, Transducer

if TYPE_CHECKING:
    import k2

MOST_CONTEXTS = 32  # of last units, per frame of fast beam search; icefall's 8 loses paths of short contexts


@torch.no_grad()
def modified_beam_search(transducer: Transducer, encoded: Tensor, beam: int) -> Dict[Tuple[int, ...], float]:
    """The `beam` best unit sequences of encoder outputs (frame, dim), with log scores.

    At most one unit per frame; the scores of alignments that are kept add up. Source: icefall.
    """
    hypotheses: Dict[Tuple[int, ...], float] = {(): 0.0}
    for frame in transducer.encoder(encoded):
        sequences = list(hypotheses)
        contexts = torch.tensor([((BLANK,) * CONTEXT + units)[-CONTEXT:] for units in sequences])
        log_probs = _log_probs(transducer, frame, contexts)
        totals = log_probs.double() + torch.tensor(list(hypotheses.values()))[:, None]  # (sequence, unit)
        best, places = totals.flatten().topk(min(beam, totals.numel()))
        hypotheses = {}
        for score, place in zip(best.tolist(), places.tolist()):
            row, unit = divmod(place, totals.shape[1])
            units = sequences[row] if unit == BLANK else (*sequences[row], unit)
            hypotheses[units] = float(np.logaddexp(hypotheses.get(units, -np.inf), score))
    return hypotheses


@torch.no_grad()
def fast_beam_search(
    transducer: Transducer, encoded: Tensor, graph: "k2.Fsa", config: DecodeConfig
) -> "Optional[k2.Fsa]":
    """Lattice of the paths of LG in encoder outputs (frame, dim), as search_lattice makes it; None: no path.

    `graph` has lm_scores, and scores that are search_lm_scale times these.
    """
    import k2

    limits = config.search_beam, config.max_active_states, MOST_CONTEXTS
    settings = k2.RnntDecodingConfig(transducer.output.out_features, CONTEXT, *limits)
    streams = k2.RnntDecodingStreams([k2.RnntDecodingStream(graph)], settings)
    for frame in F.pad(transducer.encoder(encoded), (0, 0, 0, 1)):  # k2 takes the last frame for final arcs
        _, contexts = streams.get_contexts()
        streams.advance(_log_probs(transducer, frame, contexts.long()))
    streams.terminate_and_flush_to_streams()
    lattice = k2.connect(streams.format_output([len(encoded) + 1]))
    if not lattice.num_arcs:
        return None
    # k2 leaves out the final arcs' scores
    weighed = config.search_lm_scale * lattice.lm_scores
    lattice.acoustic_scores = torch.where(lattice.labels < 0, torch.zeros(()), lattice.scores - weighed)
    lattice.scores = lattice.acoustic_scores + weighed
    return lattice


def _log_probs(transducer: Transducer, frame: Tensor, contexts: Tensor) -> Tensor:
    """Log-probabilities (context, unit) of one frame, from its encoder state (dim,) in the joiner."""
    predicted = transducer.predictor(transducer.predict(contexts)[:, 0])
    return F.log_softmax(transducer.join(frame, predicted), dim=-1)

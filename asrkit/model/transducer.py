"""A transducer beside CTC: a predictor of the last units, and a joiner with the encoder's output.

Of each frame the joiner gives log-probabilities of a unit, or of blank, which goes on to the next frame:

    frame            1      2      3         at most one unit per frame, as in training
    READ = R EH D    R      EH     D

Sources: Graves 2012; predictor without recurrence: Ghodsi et al. 2020; pruned loss: Kuang et al. 2022.
"""

from typing import List, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asrkit.config.recipe import ModelConfig
from asrkit.config.symbols import BLANK
from asrkit.model.description import CONTEXT, Stage


class Transducer(nn.Module):
    """Predictor and joiner; units are those of CTC, and blanks stand before the first one."""

    def __init__(self, config: ModelConfig, units: int) -> None:
        super().__init__()
        dim = config.attention_dim
        self.embedding = nn.Embedding(units, dim)
        self.context = nn.Conv1d(dim, dim, CONTEXT, groups=config.attention_heads, bias=False)
        self.predictor = nn.Linear(dim, dim)
        self.encoder = nn.Linear(dim, dim)
        self.output = nn.Linear(dim, units)
        # Sums of two log-linear models, from which the loss finds the part of the joiner that it computes
        self.simple_predictor = nn.Linear(dim, units)
        self.simple_encoder = nn.Linear(dim, units)

    def predict(self, tokens: Tensor) -> Tensor:
        """States (batch, token - CONTEXT + 1, dim), each of CONTEXT neighbouring tokens (batch, token)."""
        embedded = self.embedding(tokens).transpose(1, 2)  # (batch, dim, token)
        return torch.relu(self.context(embedded)).transpose(1, 2)

    def join(self, encoded: Tensor, predicted: Tensor) -> Tensor:
        """Logits (..., unit) of `encoder` and `predictor` outputs (..., dim)."""
        logits: Tensor = self.output(torch.tanh(encoded + predicted))
        return logits

    def log_probs(self, encoded: Tensor, contexts: Tensor) -> Tensor:
        """Log-probabilities (batch, unit) after last units (batch, CONTEXT), for encoded (batch, dim)."""
        predicted = self.predictor(self.predict(contexts)[:, 0])
        return F.log_softmax(self.join(self.encoder(encoded), predicted).float(), dim=-1)

    def ends(self) -> List[nn.Module]:
        """The layers that read or predict units."""
        return [self.embedding, self.simple_predictor, self.simple_encoder, self.output]

    def stages(self) -> List[Stage]:
        """Its stages."""
        simple = [self.simple_predictor, self.simple_encoder]
        return [
            Stage("predictor", [self.embedding, self.context, self.predictor]),
            Stage("joiner", [*simple, self.encoder, self.output]),
        ]


@torch.no_grad()
def greedy_transducer(transducer: Transducer, encoded: Tensor, lengths: Sequence[int]) -> List[List[int]]:
    """The best unit or blank of each frame; (batch, frame, dim) to one list of units per utterance."""
    found: List[List[int]] = [[] for _ in lengths]
    contexts = torch.full((len(lengths), CONTEXT), BLANK, dtype=torch.long, device=encoded.device)
    for frame in range(max(lengths, default=0)):
        best = transducer.log_probs(encoded[:, frame], contexts).argmax(dim=-1)
        inside = torch.tensor([frame < length for length in lengths], device=encoded.device)
        emits = (best != BLANK) & inside
        shifted = torch.cat([contexts[:, 1:], best[:, None]], dim=1)
        contexts = torch.where(emits[:, None], shifted, contexts)
        for row, unit in zip(emits.nonzero()[:, 0].tolist(), best[emits].tolist()):
            found[row].append(unit)
    return found

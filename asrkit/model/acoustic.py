"""The acoustic model: features to log-probabilities of units."""

import math
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asrkit.config import ModelConfig
from asrkit.config.checks import model_conflicts
from asrkit.errors import UserError
from asrkit.model.attention import AttentionBlock
from asrkit.model.decoder import Decoder
from asrkit.model.dropout import Dropout
from asrkit.model.positions import distance_sinusoids, rotary_angles
from asrkit.model.residual import ResidualFront
from asrkit.storage.tensors import load_module, save_tensors


def check_model(config: ModelConfig) -> None:
    """Raise UserError for settings that don't make a model."""
    for conflict in model_conflicts(config):
        raise UserError(conflict.found, expected=conflict.expected, where="model", todo=conflict.todo)


class AcousticModel(nn.Module):
    """Residual convolutions, self-attention, a linear layer, log-softmax, and maybe an attention decoder."""

    def __init__(self, config: ModelConfig, bins: int, units: int) -> None:
        super().__init__()
        check_model(config)
        self.config, self.bins, self.units = config, bins, units
        self.register_buffer("feature_mean", torch.zeros(bins))
        self.register_buffer("feature_inverse_deviation", torch.ones(bins))
        self.front = ResidualFront(config, bins)
        self.project = nn.Linear(self.front.output_dim, config.attention_dim)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(AttentionBlock(config) for _ in range(config.attention_blocks))
        self.norm = nn.LayerNorm(config.attention_dim)
        self.output = nn.Linear(config.attention_dim, units)
        self.decoder = Decoder(config, units) if config.decoder_blocks else None

    def normalise(self, features: Tensor) -> Tensor:
        """Features (batch, time, bin) with the training set's mean and variance taken out."""
        return (features - self.feature_mean) * self.feature_inverse_deviation

    def forward(self, features: Tensor, lengths: Tensor) -> Tuple[Tensor, Tensor]:
        """Normalised features (batch, time, bin), frames (batch,) to log-probabilities
        (batch, frame, unit) at the lower rate, and their numbers of frames (batch,)."""
        _, log_probs, frames = self.encode(features, lengths)
        return log_probs, frames

    def encode(self, features: Tensor, lengths: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """As forward, with the encoder's output (batch, frame, attention_dim) before them: what the
        attention decoder and score_sequences read."""
        encoded, outputs, frames = self.forward_depths(features, lengths)
        return encoded, outputs[-1], frames

    def forward_depths(self, features: Tensor, lengths: Tensor) -> Tuple[Tensor, List[Tensor], Tensor]:
        """As encode, with a list of log-probabilities: after each block of model.intermediate_blocks
        (Lee and Watanabe 2021, by the same output layer), then after the last."""
        x, lengths = self.front(features, lengths)
        # (batch, frame, attention_dim); the residual stream is float32 in half precision too
        x = self.dropout(self.project(x)).float()
        positions = self._positions(x.shape[1], x.device)
        inside = (torch.arange(x.shape[1], device=x.device)[None] < lengths[:, None])[:, None, None]
        outputs = []
        for number, block in enumerate(self.blocks, start=1):
            x = block(x, inside, positions)
            if self.training and number in self.config.intermediate_blocks and number < len(self.blocks):
                outputs.append(self._classify(self.norm(x)))
        encoded = self.norm(x)
        return encoded, [*outputs, self._classify(encoded)], lengths

    def _positions(self, frames: int, device: torch.device) -> Tensor:
        dim, heads = self.config.attention_dim, self.config.attention_heads
        if self.config.positions == "relative":
            return distance_sinusoids(frames, dim, device)
        return rotary_angles(frames, dim // heads, device)

    def _classify(self, encoded: Tensor) -> Tensor:
        return F.log_softmax(self.output(encoded).float(), dim=-1)

    def parameter_count(self) -> int:
        """Trained numbers."""
        return sum(parameter.numel() for parameter in self.parameters())


def subsampling(config: ModelConfig) -> int:
    """Frames that go in for one that comes out."""
    return math.prod((config.stem_stride[0], *config.stage_time_strides))


def output_frames(config: ModelConfig, frames: int) -> int:
    """Frames that come out when `frames` go in."""
    for stride in (config.stem_stride[0], *config.stage_time_strides):
        frames = (frames - 1) // stride + 1
    return frames


def greedy_ctc(log_probs: Tensor, lengths: Sequence[int], blank: int = 0) -> List[List[int]]:
    """Best unit of each frame, repeats and blanks removed (Graves et al. 2006).

    (batch, frame, unit) to one list of units an utterance.
    """
    best = log_probs.argmax(dim=-1).cpu()
    sequences = []
    for row, length in zip(best, lengths):
        kept = torch.unique_consecutive(row[:length])
        sequences.append([int(unit) for unit in kept if unit != blank])
    return sequences


@torch.no_grad()
def score_sequences(
    model: AcousticModel, encoded: Tensor, frames: Tensor, hypotheses: Sequence[Sequence[Sequence[int]]]
) -> List[List[float]]:
    """Log-probability that the attention decoder gives to each hypothesis, its end included.

    `encoded` (batch, frame, attention_dim) and `frames` (batch,) are of model.encode; `hypotheses` holds
    unit sequences of each utterance, of any number and length, also none. Returns natural logarithms in the
    same order; padding changes none by more than 1e-4. Raises UserError for a model without decoder.
    """
    if model.decoder is None:
        raise UserError(
            "the model has no attention decoder",
            expected="one trained with model.decoder_blocks above 0",
            todo="--set model.decoder_blocks=2, and train again",
        )
    widest = max(map(len, hypotheses), default=0)
    if widest == 0:
        return [[] for _ in hypotheses]
    padded = [list(row) + [()] * (widest - len(row)) for row in hypotheses]
    sequences = [units for row in padded for units in row]
    log_probs, follow, inside = model.decoder.predict(sequences, encoded, frames)
    reached = log_probs.gather(-1, follow[..., None]).squeeze(-1) * inside  # (sequence, token)
    scores = reached.double().sum(dim=1).view(len(hypotheses), widest).tolist()
    return [kept[: len(row)] for kept, row in zip(scores, hypotheses)]


def save_model(file: Path, model: AcousticModel, made_of: Dict[str, Any]) -> None:
    """Write weights with all that is needed to build the model again."""
    about = {
        "model": msgspec.to_builtins(model.config),
        "bins": model.bins,
        "units": model.units,
        "made_of": made_of,
    }
    save_tensors(file, model.state_dict(), about)


def load_model(file: Path) -> Tuple[AcousticModel, Dict[str, Any]]:
    """Build the model that save_model wrote, in evaluation mode, and what it was made of."""

    def build(about: Dict[str, Any]) -> AcousticModel:
        msgspec.convert(about["made_of"], Dict[str, Any])
        return AcousticModel(msgspec.convert(about["model"], ModelConfig), about["bins"], about["units"])

    model, about = load_module(file, build, "a model", stage="average")
    return model, about["made_of"]

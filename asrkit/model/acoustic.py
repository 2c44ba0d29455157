"""The acoustic model: features to log-probabilities of units."""

import math
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asrkit.config import ModelConfig
from asrkit.config.checks import model_conflicts
from asrkit.config.earlier import current_tree
from asrkit.config.symbols import BLANK
from asrkit.errors import UserError
from asrkit.model.attention import Dropout
from asrkit.model.decoder import Decoder
from asrkit.model.description import Stage
from asrkit.model.device import move
from asrkit.model.encoder import ENCODERS
from asrkit.model.front import FRONT_ENDS
from asrkit.model.transducer import Transducer
from asrkit.signal.normalisation import Normalisation
from asrkit.storage.tensors import load_module, save_tensors


class AcousticModel(nn.Module):
    """Front end, encoder blocks, linear output layer, log-softmax; optionally a decoder or a transducer.

    Raises UserError for settings that don't fit each other.
    """

    def __init__(self, config: ModelConfig, bins: int, units: int) -> None:
        super().__init__()
        for conflict in model_conflicts(config):
            raise UserError(conflict.found, expected=conflict.expected, where="model", todo=conflict.todo)
        self.config, self.bins, self.units = config, bins, units
        self.register_buffer("feature_mean", torch.zeros(bins))
        self.register_buffer("feature_inverse_deviation", torch.ones(bins))
        self.front = FRONT_ENDS[config.front](config, bins)
        self.project = nn.Linear(self.front.output_dim, config.attention_dim)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(ENCODERS[config.encoder](config) for _ in range(config.attention_blocks))
        self.norm = nn.LayerNorm(config.attention_dim)
        self.output = nn.Linear(config.attention_dim, units)
        self.decoder = Decoder(config, units) if config.decoder_blocks else None
        self.transducer = Transducer(config, units) if config.transducer else None
        self.frozen: Tuple[str, ...] = ()  # parts, by asrkit.train.initialisation

    def train(self, mode: bool = True) -> "AcousticModel":
        """Set the mode of all parts but the frozen ones, whose statistics and dropout stay off."""
        super().train(mode)
        for name in self.frozen:
            self.get_submodule(name).eval()
        return self

    @property
    def normalisation(self) -> Normalisation:
        """For the features (time, bin) of one utterance."""
        mean, inverse_std = self.feature_mean, self.feature_inverse_deviation
        return Normalisation(mean, inverse_std, self.config.utterance_mean)

    def normalise(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Normalised features of a batch (batch, time, bin) with lengths (batch,)."""
        normalised = (features - self.feature_mean) * self.feature_inverse_deviation
        if not self.config.utterance_mean:
            return normalised
        frames = lengths.to(features.device)[:, None, None]
        inside = torch.arange(features.shape[1], device=features.device)[None, :, None] < frames
        return normalised - (normalised * inside).sum(dim=1, keepdim=True) / frames

    def forward(self, features: Tensor, lengths: Tensor) -> Tuple[Tensor, Tensor]:
        """Log-probabilities (batch, frame, unit) after subsampling, with their lengths (batch,), from
        normalised features (batch, time, bin) of lengths (batch,). Lengths are on the CPU in any case."""
        _, log_probs, frames = self.encode(features, lengths)
        return log_probs, frames

    def encode(
        self, features: Tensor, lengths: Tensor, chunk: Optional[int] = None
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """The encoder output (batch, frame, attention_dim), for the attention decoder and score_sequences,
        then what forward returns. `chunk`: see chunk_mask."""
        encoded, outputs, frames = self.forward_depths(features, lengths, chunk)
        return encoded, outputs[-1], frames

    def forward_depths(
        self, features: Tensor, lengths: Tensor, chunk: Optional[int] = None
    ) -> Tuple[Tensor, List[Tensor], Tensor]:
        """As encode, with a list of log-probabilities: in training after each of model.intermediate_blocks
        (Lee and Watanabe 2021, with a shared output layer), then after the last block."""
        x, lengths = self.front(features, lengths)
        # (batch, frame, attention_dim); the residual stream is float32 in half precision too
        x = self.dropout(self.project(x)).float()
        positions = self.blocks[0].positions(x.shape[1], x.device) if self.blocks else None
        ends = move(lengths, x.device)[:, None]
        inside = (torch.arange(x.shape[1], device=x.device)[None] < ends)[:, None, None]
        limited = {}
        if chunk is not None:  # padding sees its own chunk, too: softmax needs a key in each row
            visible = chunk_mask(x.shape[1], chunk, self.config.left_context, x.device)
            limited["visible"] = visible & (inside | ~inside.transpose(2, 3))
        outputs = []
        for number, block in enumerate(self.blocks, start=1):
            x = block(x, inside, positions, **limited)
            if self.training and number in self.config.intermediate_blocks and number < len(self.blocks):
                outputs.append(self.classify(self.norm(x)))
        encoded = self.norm(x)
        return encoded, [*outputs, self.classify(encoded)], lengths

    def classify(self, encoded: Tensor) -> Tensor:
        """Log-probabilities (batch, frame, unit) of the encoder output."""
        return F.log_softmax(self.output(encoded).float(), dim=-1)

    def parameter_count(self) -> int:
        """Number of trainable parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    def stages(self) -> List[Stage]:
        """The encoder's stages; the first module reads the features, the last one predicts units."""
        blocks = [
            Stage(f"block{number}", [block], [(block.receptive_frames, 1)])
            for number, block in enumerate(self.blocks, start=1)
        ]
        output = Stage("output", [self.norm, self.output])
        return [*self.front.stages(), Stage("project", [self.project]), *blocks, output]


def chunk_mask(frames: int, chunk: int, left: int, device: torch.device) -> Tensor:
    """Mask (query, key): each frame sees its chunk of `chunk` frames, and the `left` frames before the chunk.

    For 6 frames, chunk 2, left 2:   ##....   ##....   ####..   ####..   ..####   ..####
    """
    times = torch.arange(frames, device=device)
    starts = torch.div(times, chunk, rounding_mode="floor")[:, None] * chunk
    return (times < starts + chunk) & (times >= starts - left)


def subsampling(config: ModelConfig) -> int:
    """Subsampling factor: feature frames per output frame."""
    return math.prod(FRONT_ENDS[config.front].time_strides(config))


def output_frames(config: ModelConfig, frames: int) -> int:
    """Number of output frames for `frames` feature frames."""
    for stride in FRONT_ENDS[config.front].time_strides(config):
        frames = (frames - 1) // stride + 1
    return frames


def greedy_ctc(log_probs: Tensor, lengths: Sequence[int]) -> List[List[int]]:
    """Best unit of each frame, with repeats and blanks removed (Graves et al. 2006).

    (batch, frame, unit) to one list of units per utterance.
    """
    best = log_probs.argmax(dim=-1).cpu()
    sequences = []
    for row, length in zip(best, lengths):
        kept = torch.unique_consecutive(row[:length])
        sequences.append([int(unit) for unit in kept if unit != BLANK])
    return sequences


@torch.no_grad()
def score_sequences(
    model: AcousticModel, encoded: Tensor, frames: Tensor, hypotheses: Sequence[Sequence[Sequence[int]]]
) -> List[List[float]]:
    """Log-probability of each hypothesis by the attention decoder, including the end of sentence.

    `encoded` (batch, frame, attention_dim) and `frames` (batch,) are from model.encode. `hypotheses` are unit
    sequences per utterance, of any number (also none) and length. Returns natural logarithms in the same
    order; padding changes them by at most 1e-4. Raises UserError for a model without decoder.
    """
    if model.decoder is None:
        raise UserError(
            "the model has no attention decoder",
            expected="a model trained with model.decoder_blocks above 0",
            todo="--set model.decoder_blocks=2, and retrain",
        )
    widest = max(map(len, hypotheses), default=0)
    if widest == 0:
        return [[] for _ in hypotheses]
    padded = [list(row) + [()] * (widest - len(row)) for row in hypotheses]
    sequences = [units for row in padded for units in row]
    log_probs, targets, inside = model.decoder.predict(sequences, encoded, frames)
    reached = log_probs.gather(-1, targets[..., None]).squeeze(-1) * inside  # (sequence, token)
    scores = reached.double().sum(dim=1).view(len(hypotheses), widest).tolist()
    return [kept[: len(row)] for kept, row in zip(scores, hypotheses)]


def save_model(file: Path, model: AcousticModel, made_of: Dict[str, Any]) -> None:
    """Write the weights, and the settings that are needed to build the model."""
    about = {"model": msgspec.to_builtins(model.config), "bins": model.bins, "units": model.units}
    save_tensors(file, model.state_dict(), {**about, "made_of": made_of})


def load_model(file: Path) -> Tuple[AcousticModel, Dict[str, Any]]:
    """Load a file of save_model: the model in evaluation mode, and what it was made of."""

    def build(about: Dict[str, Any]) -> AcousticModel:
        msgspec.convert(about["made_of"], Dict[str, Any])
        config = current_tree({"model": about["model"]})["model"]  # maybe of an earlier version
        return AcousticModel(msgspec.convert(config, ModelConfig), about["bins"], about["units"])

    model, about = load_module(file, build, "a model", stage="average")
    return model, about["made_of"]

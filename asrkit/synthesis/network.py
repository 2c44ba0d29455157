"""A residual 1-D convolutional network from units and their durations to log-Mel features.

Feed-forward, like FastSpeech 2 (Ren et al. 2021) with convolutions instead of attention:

    units (batch, unit) -> residual blocks -> repeated by their frames -> residual blocks -> features
                                 |
                                 +-> logarithm of the frames per unit, for texts without a recording
"""

import dataclasses
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asrkit.config.recipe import SynthesisConfig
from asrkit.storage.tensors import load_module, save_tensors

DILATIONS = (1, 2, 4)  # of the frame blocks, in turn: with kernel 5, four of them see 0.33 s


class ConvolutionBlock(nn.Module):
    """x + W2 relu(W1 * relu(norm(x))): a pre-activation residual block (He et al. 2016)."""

    def __init__(self, dim: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)  # per frame: independent of padding and batch
        padding = dilation * (kernel // 2)
        self.convolution = nn.Conv1d(dim, dim, kernel, dilation=dilation, padding=padding)
        self.pointwise = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        """(batch, time, dim) to the same; `inside` (batch, time, 1) is 0 for padding."""
        y = F.relu(self.norm(x)) * inside
        y = self.convolution(y.transpose(1, 2)).transpose(1, 2)
        shortcut: Tensor = x + self.dropout(self.pointwise(F.relu(y)))
        return shortcut


class SpeechNetwork(nn.Module):
    """Units and speakers to durations and normalised log-Mel features."""

    def __init__(self, config: SynthesisConfig, bins: int, units: int, speakers: int) -> None:
        super().__init__()
        dim = config.dim
        self.unit = nn.Embedding(units, dim)
        self.speaker = nn.Embedding(speakers, dim)
        self.unit_blocks = nn.ModuleList(
            ConvolutionBlock(dim, config.kernel, 1, config.dropout) for _ in range(config.unit_blocks)
        )
        self.duration_block = ConvolutionBlock(dim, 3, 1, config.dropout)
        self.duration = nn.Linear(dim, 1)
        self.place = nn.Linear(3, dim)
        self.frame_blocks = nn.ModuleList(
            ConvolutionBlock(dim, config.kernel, DILATIONS[index % len(DILATIONS)], config.dropout)
            for index in range(config.frame_blocks)
        )
        self.output = nn.Linear(dim, bins)
        self.register_buffer("feature_mean", torch.zeros(bins))
        self.register_buffer("feature_inverse_deviation", torch.ones(bins))

    def encode(self, units: Tensor, counts: Tensor, speakers: Tensor) -> Tuple[Tensor, Tensor]:
        """Units (batch, unit), their counts (batch,), speakers (batch,) to hidden vectors (batch, unit, dim)
        and the logarithm of frames per unit (batch, unit)."""
        inside = _inside(counts, units.shape[1])
        x = self.unit(units) + self.speaker(speakers)[:, None]
        for block in self.unit_blocks:
            x = block(x, inside)
        # Durations are learnt from the hidden vectors, but don't shape them
        return x, self.duration(self.duration_block(x.detach(), inside)).squeeze(-1)

    def decode(self, hidden: Tensor, frames: Tensor, speakers: Tensor) -> Tuple[Tensor, Tensor]:
        """Hidden vectors (batch, unit, dim) and frames per unit (batch, unit), 0 for padding, to normalised
        features (batch, frame, bin) and their lengths (batch,)."""
        lengths = frames.sum(dim=1)
        index, place = spread(frames)
        x = hidden.gather(1, index[..., None].expand(-1, -1, hidden.shape[2]))
        x = x + self.place(place) + self.speaker(speakers)[:, None]
        inside = _inside(lengths, index.shape[1])
        for block in self.frame_blocks:
            x = block(x, inside)
        return self.output(x) * inside, lengths


def spread(frames: Tensor) -> Tuple[Tensor, Tensor]:
    """Of frames per unit (batch, unit): the unit of each frame (batch, frame), and where in it the frame is,
    (batch, frame, 3): shares passed and left, and the logarithm of the unit's frames.

        frames 2 1    ->    units 0 0 1    passed 1/4 3/4 1/2
    """
    indices, places = [], []
    for row in frames:
        index = torch.repeat_interleave(torch.arange(len(row)), row)
        begin = (row.cumsum(0) - row)[index]
        passed = (torch.arange(len(index)) - begin + 0.5) / row[index]
        indices.append(index)
        places.append(torch.stack([passed, 1 - passed, row[index].float().log()], dim=1))
    pad = nn.utils.rnn.pad_sequence
    return pad(indices, batch_first=True), pad(places, batch_first=True)


def _inside(lengths: Tensor, longest: int) -> Tensor:
    """(batch, longest, 1): 1 up to each length, then 0."""
    return (torch.arange(longest) < lengths[:, None]).float()[..., None]


@dataclasses.dataclass(frozen=True)
class Voice:
    """A trained network with what speaking needs."""

    network: SpeechNetwork
    speakers: List[str]

    @torch.no_grad()
    def features(self, units: Sequence[int], speaker: str, speed: float = 1.0) -> Tensor:
        """Log-Mel features (frame, bin) of units, pauses included; `speed` 2 halves the durations."""
        ids = torch.tensor([self.speakers.index(speaker)])
        hidden, log_frames = self.network.encode(torch.tensor([list(units)]), torch.tensor([len(units)]), ids)
        frames = (log_frames.exp() / speed).round().long().clamp(1, 300)  # 3 s at most
        normalised, _ = self.network.decode(hidden, frames, ids)
        network = self.network
        features: Tensor = normalised[0] / network.feature_inverse_deviation + network.feature_mean
        return features


def save_voice(
    file: Path, network: SpeechNetwork, config: SynthesisConfig, speakers: Sequence[str], made_of: str
) -> None:
    """Write the network with its settings and the names of its speakers."""
    shape = {"bins": network.output.out_features, "units": network.unit.num_embeddings}
    about = {"synthesis": msgspec.to_builtins(config), **shape, "speakers": list(speakers)}
    save_tensors(file, dict(network.state_dict()), {**about, "made_of": made_of})


def load_voice(file: Path) -> Voice:
    """Read a file of save_voice; raises UserError if it is missing or damaged."""

    def build(about: Dict[str, Any]) -> SpeechNetwork:
        speakers = msgspec.convert(about["speakers"], List[str])
        config = msgspec.convert(about["synthesis"], SynthesisConfig)
        return SpeechNetwork(config, about["bins"], about["units"], len(speakers))

    network, about = load_module(file, build, "a voice", stage="synthesise")
    return Voice(network, about["speakers"])

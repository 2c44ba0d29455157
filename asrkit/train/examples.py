"""Utterances for training and dev: features, unit ids, and which utterances can't be used."""

import dataclasses
from pathlib import Path
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from torch import Tensor

from asrkit.config import ModelConfig
from asrkit.model.acoustic import output_frames
from asrkit.signal.shard import read_rows
from asrkit.text.units import Units
from asrkit.train.loss import frames_needed


class StoredFeatures(NamedTuple):
    """Features of an utterance in a shard, not in memory: 1,000 hours have 300 GB."""

    file: Path
    key: str
    frames: int
    mean: Tensor  # (bin,)
    inverse_std: Tensor  # (bin,)

    def read(self) -> Tensor:
        """Normalised features (time, bin). Raises UserError if the shard can't be read."""
        return (torch.from_numpy(read_rows(self.file, self.key)) - self.mean) * self.inverse_std


@dataclasses.dataclass(frozen=True)
class Example:
    """An utterance, or a concatenation of several."""

    id: str
    source: Union[Tensor, StoredFeatures, None]  # normalised, (time, bin); None: that of the parts
    target: Optional[List[int]]  # None: CTC can't align it
    text: str
    seconds: float
    parts: Tuple["Example", ...] = ()  # of a concatenation

    @property
    def features(self) -> Tensor:
        """Normalised features (time, bin); stored ones are read on each access."""
        if self.source is None:
            return torch.cat([part.features for part in self.parts])
        return self.source.read() if isinstance(self.source, StoredFeatures) else self.source

    @property
    def frames(self) -> int:
        """Number of feature frames, without reading them."""
        if self.source is None:
            return sum(part.frames for part in self.parts)
        return self.source.frames if isinstance(self.source, StoredFeatures) else len(self.source)


def load_examples(
    cuts: Iterable[Any], units: Units, model: ModelConfig, mean: Tensor, inverse_std: Tensor
) -> Tuple[List[Example], List[Dict[str, str]]]:
    """Examples of lhotse cuts with features in shards, and id and reason of each that has no target."""
    examples: List[Example] = []
    rejected: List[Dict[str, str]] = []
    files: Dict[str, Path] = {}
    for cut in cuts:
        text = cut.supervisions[0].text
        if examples and examples[-1].text == text:
            text = examples[-1].text  # the same utterance at another speed: share the string
        place = cut.features.storage_path
        stored = StoredFeatures(
            files.setdefault(place, Path(place)),
            cut.features.storage_key,
            cut.features.num_frames,
            mean,
            inverse_std,
        )
        target, reason = _make_target(text, units, output_frames(model, stored.frames))
        if examples and examples[-1].text is text and target is not None:
            target = examples[-1].target or target
        if reason:
            rejected.append({"id": cut.id, "reason": reason})
        examples.append(Example(cut.id, stored, target, text, float(cut.duration)))
    return examples, rejected


def _make_target(text: str, units: Units, frames: int) -> Tuple[Optional[List[int]], str]:
    unknown = units.unknown_words(text)
    if unknown:
        return None, f"words not covered by the units: {' '.join(unknown)}"
    target = units.encode(text)
    if frames_needed(target) > frames:
        return None, f"CTC needs {frames_needed(target)} frames, found {frames}"
    return target, ""


def join(parts: Sequence[Example]) -> Example:
    """Concatenate examples with targets."""
    return Example(
        id="+".join(part.id for part in parts),
        source=None,
        target=[unit for part in parts for unit in part.target or []],
        text=" ".join(part.text for part in parts),
        seconds=sum(part.seconds for part in parts),
        parts=tuple(parts),
    )


def concatenate(
    examples: Sequence[Example], fraction: float, *, seed: int, epoch: int, longest: float, model: ModelConfig
) -> Sequence[Example]:
    """Concatenate a `fraction` of the examples in random pairs, which depend on (seed, epoch) alone.

    Pairs longer than `longest` seconds, or that CTC can't align, stay separate. Each example occurs once.
    """
    if not fraction:
        return examples
    order = np.random.default_rng([seed, epoch, 1]).permutation(
        len(examples)
    )  # [seed, epoch] draws the batches
    drawn = order[: int(fraction * len(examples)) // 2 * 2].tolist()
    joined: List[Example] = []
    for first, second in zip(drawn[::2], drawn[1::2]):
        pair = join([examples[first], examples[second]])
        fits = frames_needed(pair.target or []) <= output_frames(model, pair.frames)
        joined += [pair] if fits and pair.seconds <= longest else pair.parts
    return joined + [examples[index] for index in sorted(order[len(drawn) :].tolist())]


def count_utterances(examples: Iterable[Example]) -> int:
    """Number of utterances, counting the parts of concatenations."""
    return sum(len(example.parts) or 1 for example in examples)


def collate(examples: Sequence[Example]) -> Tuple[Tensor, Tensor]:
    """Features zero-padded to (batch, time, bin), and their lengths (batch,)."""
    features = [example.features for example in examples]
    lengths = torch.tensor([len(of) for of in features])
    return torch.nn.utils.rnn.pad_sequence(features, batch_first=True), lengths

"""Training and dev utterances: where their features are, unit ids, and what can't be used."""

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
    """Features of an utterance in a shard, to be normalised. A corpus of 1,000 hours has 300 GB of them."""

    file: Path
    key: str
    frames: int
    mean: Tensor  # (bin,)
    inverse_std: Tensor  # (bin,)

    def read(self) -> Tensor:
        """(time, bin); UserError where the shard can't be read."""
        return (torch.from_numpy(read_rows(self.file, self.key)) - self.mean) * self.inverse_std


@dataclasses.dataclass(frozen=True)
class Example:
    """One utterance, or several joined. `target` is None where CTC can't align it."""

    id: str
    source: Union[Tensor, StoredFeatures, None]  # normalised, (time, bin); None: those of its parts
    target: Optional[List[int]]
    text: str
    seconds: float
    parts: Tuple["Example", ...] = ()  # those it was joined from

    @property
    def features(self) -> Tensor:
        """Normalised features, (time, bin), read anew each time where they are stored."""
        if self.source is None:
            return torch.cat([part.features for part in self.parts])
        return self.source.read() if isinstance(self.source, StoredFeatures) else self.source

    @property
    def frames(self) -> int:
        """How many features there are, without reading them."""
        if self.source is None:
            return sum(part.frames for part in self.parts)
        return self.source.frames if isinstance(self.source, StoredFeatures) else len(self.source)


def load_examples(
    cuts: Iterable[Any], units: Units, model: ModelConfig, mean: Tensor, inverse_std: Tensor
) -> Tuple[List[Example], List[Dict[str, str]]]:
    """Examples of lhotse cuts whose features are stored in shards, and the id and reason of each without
    a target."""
    examples: List[Example] = []
    rejected: List[Dict[str, str]] = []
    files: Dict[str, Path] = {}
    for cut in cuts:
        text = cut.supervisions[0].text
        if examples and examples[-1].text == text:
            text = examples[-1].text  # of the same utterance at another speed: held once
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
        return None, f"words without units: {' '.join(unknown)}"
    target = units.encode(text)
    if frames_needed(target) > frames:
        return None, f"its units need {frames_needed(target)} frames, and {frames} are there"
    return target, ""


def join(parts: Sequence[Example]) -> Example:
    """Examples that have targets, one after the other as one."""
    return Example(
        id="+".join(part.id for part in parts),
        source=None,
        target=[unit for part in parts for unit in part.target or []],
        text=" ".join(part.text for part in parts),
        seconds=sum(part.seconds for part in parts),
        parts=tuple(parts),
    )


def concatenate(
    examples: Sequence[Example], share: float, *, seed: int, epoch: int, longest: float, model: ModelConfig
) -> Sequence[Example]:
    """Join a `share` of the examples in random pairs, which depend on (seed, epoch) alone.

    A pair of more than `longest` seconds, or that CTC can't align, stays apart. Each example is in the
    result once.
    """
    if not share:
        return examples
    order = np.random.default_rng([seed, epoch, 1]).permutation(len(examples))  # batches have [seed, epoch]
    drawn = order[: int(share * len(examples)) // 2 * 2].tolist()
    joined: List[Example] = []
    for first, second in zip(drawn[::2], drawn[1::2]):
        pair = join([examples[first], examples[second]])
        fits = frames_needed(pair.target or []) <= output_frames(model, pair.frames)
        joined += [pair] if fits and pair.seconds <= longest else pair.parts
    return joined + [examples[index] for index in sorted(order[len(drawn) :].tolist())]


def count_utterances(examples: Iterable[Example]) -> int:
    """How many utterances there are, each part of a joined one by itself."""
    return sum(len(example.parts) or 1 for example in examples)


def collate(examples: Sequence[Example]) -> Tuple[Tensor, Tensor]:
    """Pad features with zeros to (batch, time, bin); with the numbers of frames (batch,)."""
    features = [example.features for example in examples]
    lengths = torch.tensor([len(of) for of in features])
    return torch.nn.utils.rnn.pad_sequence(features, batch_first=True), lengths

"""Training and dev utterances: features in memory, unit ids, and what can't be used."""

import dataclasses
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from asrkit.config import ModelConfig
from asrkit.model.acoustic import output_frames
from asrkit.text.units import Units
from asrkit.train.loss import frames_needed


@dataclasses.dataclass(frozen=True)
class Example:
    """One utterance, or several joined. `features` is normalised, (time, bin); `target` is None where CTC
    can't align it."""

    id: str
    features: Tensor
    target: Optional[List[int]]
    text: str
    seconds: float
    parts: Tuple["Example", ...] = ()  # those it was joined from


def load_examples(
    cuts: Iterable[Any], units: Units, model: ModelConfig, mean: Tensor, inverse_deviation: Tensor
) -> Tuple[List[Example], List[Dict[str, str]]]:
    """Read the features of lhotse cuts into memory.

    Returns the examples, and the id and reason of each whose target is None.
    """
    examples: List[Example] = []
    rejected: List[Dict[str, str]] = []
    for cut in cuts:
        text = cut.supervisions[0].text
        features = (torch.from_numpy(cut.load_features()).float() - mean) * inverse_deviation
        target, reason = _make_target(text, units, output_frames(model, features.shape[0]))
        if reason:
            rejected.append({"id": cut.id, "reason": reason})
        examples.append(Example(cut.id, features, target, text, float(cut.duration)))
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
        features=torch.cat([part.features for part in parts]),
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
        fits = frames_needed(pair.target or []) <= output_frames(model, len(pair.features))
        joined += [pair] if fits and pair.seconds <= longest else pair.parts
    return joined + [examples[index] for index in sorted(order[len(drawn) :].tolist())]


def count_utterances(examples: Iterable[Example]) -> int:
    """How many utterances there are, each part of a joined one by itself."""
    return sum(len(example.parts) or 1 for example in examples)


def collate(examples: Sequence[Example]) -> Tuple[Tensor, Tensor]:
    """Pad features with zeros to (batch, time, bin); with the numbers of frames (batch,)."""
    lengths = torch.tensor([example.features.shape[0] for example in examples])
    return torch.nn.utils.rnn.pad_sequence([e.features for e in examples], batch_first=True), lengths

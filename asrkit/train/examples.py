"""Utterances for training and dev: features, unit ids, and which utterances can't be used."""

import dataclasses
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union, overload

import msgspec
import numpy as np
import torch
from torch import Tensor

from asrkit.config import ModelConfig
from asrkit.model.acoustic import output_frames
from asrkit.signal.normalisation import Normalisation
from asrkit.signal.shard import read_rows
from asrkit.text.units import Units
from asrkit.train.blobs import Blobs
from asrkit.train.loss import frames_needed

Utterance = Tuple[int, ...]  # the places of its parts in the list of examples; more than one: a concatenation


class StoredFeatures(NamedTuple):
    """Features of an utterance in a shard, not in memory: 1,000 hours have 300 GB."""

    file: Path
    key: str
    frames: int
    normalisation: Normalisation

    def read(self) -> Tensor:
        """Normalised features (time, bin). Raises UserError if the shard can't be read."""
        return self.normalisation(torch.from_numpy(read_rows(self.file, self.key)))


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


class StoredExamples(Sequence[Example]):
    """Examples with features in shards, packed in one array: some 200 bytes each, instead of 3,000.

    Forked processes share it: as objects, their reference counts would be written, which copies the memory.
    """

    def __init__(self, examples: Iterable[Example]) -> None:
        numbers: Dict[Path, int] = {}  # of the shards, in their order
        self._normalisation: Optional[Normalisation] = None

        def rows() -> Iterator[bytes]:
            for example in examples:
                stored = example.source
                assert isinstance(stored, StoredFeatures)
                self._normalisation = stored.normalisation
                place = (numbers.setdefault(stored.file, len(numbers)), stored.key, stored.frames)
                about = (example.id, example.target, example.text, example.seconds)
                yield msgspec.msgpack.encode((*place, *about))

        self._rows, self._files = Blobs(rows()), list(numbers)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Example: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...

    def __getitem__(self, index: Union[int, slice]) -> Union[Example, Sequence[Example]]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        file, key, frames, id, target, text, seconds = msgspec.msgpack.decode(self._rows[index])
        assert self._normalisation is not None
        stored = StoredFeatures(self._files[file], key, frames, self._normalisation)
        return Example(id, stored, target, text, seconds)


def load_examples(
    cuts: Iterable[Any], units: Units, model: ModelConfig, normalisation: Normalisation
) -> Tuple[Sequence[Example], List[Dict[str, str]]]:
    """Examples of lhotse cuts with features in shards, and id and reason of each that has no target."""
    rejected: List[Dict[str, str]] = []
    files: Dict[str, Path] = {}

    def examples() -> Iterator[Example]:
        for cut in cuts:
            text, place = cut.supervisions[0].text, cut.features.storage_path
            key, frames = cut.features.storage_key, cut.features.num_frames
            stored = StoredFeatures(files.setdefault(place, Path(place)), key, frames, normalisation)
            target, reason = _make_target(text, units, output_frames(model, frames))
            if reason:
                rejected.append({"id": cut.id, "reason": reason})
            yield Example(cut.id, stored, target, text, float(cut.duration))

    return StoredExamples(examples()), rejected


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


def take(examples: Sequence[Example], utterance: Utterance) -> Example:
    """The example at one place, or the concatenation of those at several."""
    parts = [examples[index] for index in utterance]
    return parts[0] if len(parts) == 1 else join(parts)


class Chosen(Sequence[Example]):
    """Some of the examples, by their places."""

    def __init__(self, examples: Sequence[Example], places: Sequence[int]) -> None:
        self.examples, self.places = examples, places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Any) -> Any:
        return self.examples[self.places[index]]


def draw_replayed(own: int, replayed: int, share: float, *, seed: int, epoch: int) -> List[int]:
    """Places of an epoch's examples: the first `own` ones, and of the `replayed` ones after them so many,
    drawn again each epoch, that they are a `share` of all, or all of them."""
    count = min(replayed, round(own * share / (1 - share)))
    drawn = np.random.default_rng([seed, epoch, 2]).permutation(replayed)[:count]
    return [*range(own), *sorted((own + drawn).tolist())]


def concatenate(
    examples: Sequence[Example], fraction: float, *, seed: int, epoch: int, longest: float, model: ModelConfig
) -> List[Utterance]:
    """Concatenate a `fraction` of the examples in random pairs, which depend on (seed, epoch) alone.

    Pairs longer than `longest` seconds, or that CTC can't align, stay separate. Each example occurs once.
    """
    if not fraction:
        return [(index,) for index in range(len(examples))]
    order = np.random.default_rng([seed, epoch, 1]).permutation(
        len(examples)
    )  # [seed, epoch] draws the batches
    drawn = order[: int(fraction * len(examples)) // 2 * 2].tolist()
    joined: List[Utterance] = []
    for first, second in zip(drawn[::2], drawn[1::2]):
        pair = take(examples, (first, second))
        fits = frames_needed(pair.target or []) <= output_frames(model, pair.frames)
        joined += [(first, second)] if fits and pair.seconds <= longest else [(first,), (second,)]
    return joined + [(index,) for index in sorted(order[len(drawn) :].tolist())]


def count_utterances(examples: Iterable[Example]) -> int:
    """Number of utterances, counting the parts of concatenations."""
    return sum(len(example.parts) or 1 for example in examples)


def collate(examples: Iterable[Example]) -> Tuple[Tensor, Tensor]:
    """Features zero-padded to (batch, time, bin), and their lengths (batch,)."""
    features = [example.features for example in examples]
    lengths = torch.tensor([len(of) for of in features])
    return torch.nn.utils.rnn.pad_sequence(features, batch_first=True), lengths

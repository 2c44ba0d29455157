"""Multi-condition training: drawn utterances are put into noise and rooms, and their features computed anew.

The rest keep their stored features, so what isn't drawn costs nothing.
"""

import dataclasses
import json
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
from lhotse import MonoCut, Recording
from lhotse.serialization import deserialize_item
from torch import Tensor

from asrkit.config import TrainConfig
from asrkit.corpus.audio import AudioProblem
from asrkit.corpus.cuts import with_audio_paths
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.signal.features import copy_name, read_copies
from asrkit.signal.filterbank import FilterBank
from asrkit.signal.noise import add_noise, list_sounds, reverberate
from asrkit.storage.files import iterate_jsonl
from asrkit.storage.fingerprint import hash_value
from asrkit.train.examples import Example, join


@dataclasses.dataclass(frozen=True)
class Conditions:
    """Where training speech may be heard; all random choices come from (seed, draw, id)."""

    config: TrainConfig
    bank: FilterBank
    mean: Tensor  # (bin,), as of the stored features
    inverse_deviation: Tensor  # (bin,)
    # The manifest's row and the speed of each training example, by its id: as text, which is compact
    copies: Dict[str, Tuple[str, float]]
    noises: Sequence[Recording]
    rooms: Sequence[Recording]

    def apply(self, examples: Sequence[Example], draw: int) -> List[Example]:
        """The examples of a batch in the conditions that are drawn for each; `draw` numbers the batch.

        Raises UserError when audio, noise or room can't be read.
        """
        return [self._apply(example, draw) for example in examples]

    def _apply(self, example: Example, draw: int) -> Example:
        if example.parts:
            return join([self._apply(part, draw) for part in example.parts])
        key = [self.config.seed, draw, int(hash_value(example.id), 16)]  # whatever else is in the batch
        random = np.random.default_rng(key)
        room = _choose(self.rooms, self.config.rooms.probability, random)
        noise = _choose(self.noises, self.config.noise.probability, random)
        decibels = random.uniform(*self.config.noise.signal_to_noise)
        if room is None and noise is None:
            return example
        speech = self.read_speech(example.id)
        if room is not None:
            speech = reverberate(speech, room)
        if noise is not None:
            speech = add_noise(speech, noise, decibels, random)
        return dataclasses.replace(example, source=self.features(speech))

    def read_speech(self, id: str) -> np.ndarray:
        """The samples that the stored features of a training example were computed from."""
        row, speed = self.copies[id]
        cut: MonoCut = deserialize_item(json.loads(row))
        try:
            ((_, speech),) = read_copies(cut, [speed], self.bank.config.sampling_rate)
        except AudioProblem as problem:
            raise UserError(
                f"audio of {cut.id} can't be read again, for noise and rooms: {problem}",
                expected="the audio that features were computed from",
                where=cut.recording.sources[0].source,
                todo="put it back; or train without train.noise.directory and train.rooms.directory",
            ) from None
        return speech

    def features(self, speech: np.ndarray) -> Tensor:
        """Normalised features, (time, bin), of samples."""
        return (torch.from_numpy(self.bank.extract(speech)) - self.mean) * self.inverse_deviation

    def __str__(self) -> str:
        noise, rooms = self.config.noise, self.config.rooms
        low, high = noise.signal_to_noise
        parts = []
        if self.noises:
            ratio = f"{low:g} to {high:g} dB below the speech"
            parts.append(f"{len(self.noises)} noises, {noise.probability:.0%} of utterances, {ratio}")
        if self.rooms:
            parts.append(f"{len(self.rooms)} rooms, {rooms.probability:.0%} of utterances")
        return "; ".join(parts)


def _choose(
    sounds: Sequence[Recording], probability: float, random: np.random.Generator
) -> Optional[Recording]:
    """One of the sounds or none; takes two numbers from `random` in any case."""
    chance, index = random.random(), int(random.integers(max(1, len(sounds))))
    return sounds[index] if sounds and chance < probability else None


def make_conditions(experiment: Experiment, mean: Tensor, inverse_deviation: Tensor) -> Optional[Conditions]:
    """What train.noise and train.rooms ask for; None where neither names a folder.

    Raises UserError for folders without sound and unreadable files.
    """
    config = experiment.config
    rate = config.features.sampling_rate

    def sounds(setting: str, name: Optional[str]) -> List[Recording]:
        return [] if name is None else list_sounds(experiment.named(name), rate, setting)

    noises = sounds("train.noise.directory", config.train.noise.directory)
    rooms = sounds("train.rooms.directory", config.train.rooms.directory)
    if not noises and not rooms:
        return None
    copies = {
        copy_name(row["id"], speed): (text, speed)
        for row in iterate_jsonl(experiment.folder("manifests") / f"{config.corpus.train}_cuts.jsonl.gz")
        for text in [json.dumps(with_audio_paths(row, experiment))]
        for speed in config.features.speed_factors
    }
    bank = FilterBank(config.features)
    return Conditions(config.train, bank, mean, inverse_deviation, copies, noises, rooms)

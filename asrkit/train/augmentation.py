"""The transforms of `augment` in recipe.yaml, applied to training batches."""

import dataclasses
import json
from typing import Any, Iterable, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch
from lhotse import MonoCut
from lhotse.serialization import deserialize_item
from torch import Tensor

from asrkit.config import ConcatenateConfig, SpecAugmentConfig
from asrkit.corpus.audio import AudioProblem
from asrkit.corpus.cuts import with_audio_paths
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment, open_experiment
from asrkit.signal.augmentation import (
    FEATURES,
    WAVEFORM,
    FeatureTransform,
    SpecAugment,
    WaveformTransform,
    augment_features,
)
from asrkit.signal.features import read_speed_perturbed, speed_perturbed_id
from asrkit.signal.filterbank import FilterBank
from asrkit.storage.files import iterate_jsonl
from asrkit.storage.fingerprint import hash_value
from asrkit.train.blobs import TextsByKey
from asrkit.train.examples import Example, collate, join

REPLAYED = "replayed:"  # before the ids of utterances of another experiment


@dataclasses.dataclass(frozen=True)
class TrainingAudio:
    """Audio of the training examples, and normalised features of it."""

    bank: FilterBank
    mean: Tensor  # (bin,)
    inverse_std: Tensor  # (bin,)
    rows: Mapping[str, str]  # the manifest's row of each utterance in JSON, by its id without speed
    speeds: Sequence[float] = (1.0,)

    def read(self, id: str) -> np.ndarray:
        """The samples that the stored features of an example were computed from."""
        row, speed = self._find(id)
        cut: MonoCut = deserialize_item(json.loads(row))
        try:
            ((_, samples),) = read_speed_perturbed(cut, [speed], self.bank.config.sampling_rate)
        except AudioProblem as problem:
            raise UserError(
                f"can't read the audio of {cut.id} again, for noise and reverberation: {problem}",
                expected="the audio that the features were computed from",
                where=cut.recording.sources[0].source,
                todo="put it back, or --set augment.noise=null --set augment.reverberation=null",
            ) from None
        return samples

    def _find(self, id: str) -> Tuple[str, float]:
        for speed in self.speeds:
            suffix = speed_perturbed_id("", speed)
            if id.endswith(suffix) and id[: len(id) - len(suffix)] in self.rows:
                return self.rows[id[: len(id) - len(suffix)]], speed
        raise KeyError(id)

    def features(self, samples: np.ndarray) -> Tensor:
        """Normalised features (time, bin) of samples (sample,)."""
        return (torch.from_numpy(self.bank.extract(samples)) - self.mean) * self.inverse_std


@dataclasses.dataclass(frozen=True)
class Augmenter:
    """Transforms of examples and batches. All random numbers come from (seed, draw, utterance).

    `draw` numbers the batches of a training.
    """

    concatenated: float = 0.0  # fraction of utterances, see asrkit.train.examples.concatenate
    waveform: Mapping[type, WaveformTransform] = dataclasses.field(default_factory=dict)
    features: Sequence[FeatureTransform] = (SpecAugment(SpecAugmentConfig()),)
    audio: Optional[TrainingAudio] = None  # if there are waveform transforms

    def batch(
        self, examples: Iterable[Example], seed: int, draw: int, views: int = 1
    ) -> Tuple[Tensor, Tensor]:
        """Augmented features (views * batch, time, bin) and numbers of frames (batch,).

        Raises UserError if audio, noise or a RIR can't be read.
        """
        generator = torch.Generator().manual_seed(seed * 7_000_003 + draw)
        features, lengths = collate(self.transform_audio(example, seed, draw) for example in examples)
        return augment_features(self.features, features, lengths, generator, views), lengths

    def transform_audio(self, example: Example, seed: int, draw: int) -> Example:
        """The example with features of its transformed audio; the same object if no transform is drawn."""
        if self.audio is None:
            return example
        if example.parts:
            return join([self.transform_audio(part, seed, draw) for part in example.parts])
        # Independent of what else is in the batch
        random = np.random.default_rng([seed, draw, int(hash_value(example.id), 16)])
        samples: Optional[np.ndarray] = None
        for kind in WAVEFORM:
            chance = random.random()  # also without the transform, so that it doesn't change the later ones
            transform = self.waveform.get(kind)
            if transform is not None:
                apply = transform.draw(random)
                if chance < transform.settings.probability:
                    samples = apply(self.audio.read(example.id) if samples is None else samples)
        if samples is None:
            return example
        return dataclasses.replace(example, source=self.audio.features(samples))

    def __str__(self) -> str:
        return "; ".join(map(str, self.waveform.values()))


def make_augmenter(experiment: Experiment, mean: Tensor, inverse_std: Tensor) -> Augmenter:
    """The transforms of a recipe for features normalised with `mean` and `inverse_std`, (bin,) each.

    Raises UserError for folders without audio and for unreadable files.
    """
    config = experiment.config.features
    transforms: Sequence[Any] = experiment.config.augment
    waveform = {
        type(each): WAVEFORM[type(each)](each, experiment.named(each.directory), config.sampling_rate)
        for each in transforms
        if type(each) in WAVEFORM
    }
    features = [
        FEATURES[type(each)](each, inverse_std, config.sampling_rate / 2)
        for each in transforms
        if type(each) in FEATURES
    ]
    fraction = sum(each.fraction for each in transforms if isinstance(each, ConcatenateConfig))
    if not waveform:
        return Augmenter(fraction, {}, features)
    manifest = experiment.folder("manifests") / f"{experiment.config.corpus.train}_cuts.jsonl.gz"
    sets = [("", experiment, manifest)]
    speeds = set(config.speed_factors)
    train = experiment.config.train
    if train.replay:
        source = open_experiment(experiment.named(str(train.init_from)))
        name = f"{source.config.corpus.train}_cuts.jsonl.gz"
        sets.append((REPLAYED, source, source.folder("manifests") / name))
        speeds.update(source.config.features.speed_factors)
    rows = TextsByKey(
        (prefix + row["id"], json.dumps(with_audio_paths(row, of)))
        for prefix, of, file in sets
        for row in iterate_jsonl(file)
    )
    bank = FilterBank(config, experiment.config.signal.steps)
    audio = TrainingAudio(bank, mean, inverse_std, rows, sorted(speeds))
    return Augmenter(fraction, waveform, features, audio)

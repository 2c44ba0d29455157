"""The transforms of `augment` in recipe.yaml, applied to training batches."""

import dataclasses
import json
import zlib
from typing import Any, Iterable, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch
from lhotse import MonoCut
from lhotse.serialization import deserialize_item
from torch import Tensor

from asrkit.config import BabbleConfig, ConcatenateConfig, GainAndTiltConfig, SpecAugmentConfig
from asrkit.config.recipe import kind_of
from asrkit.corpus.audio import AudioProblem
from asrkit.corpus.cuts import with_audio_paths
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment, open_experiment
from asrkit.signal.augmentation import FEATURES, FeatureTransform, SpecAugment, augment_features
from asrkit.signal.degradation import WAVEFORM, Speech, WaveformTransform
from asrkit.signal.features import read_speed_perturbed, speed_perturbed_id
from asrkit.signal.filterbank import FilterBank
from asrkit.signal.normalisation import Normalisation
from asrkit.signal.recordings import Recordings, find_recordings
from asrkit.storage.files import iterate_jsonl
from asrkit.storage.fingerprint import hash_value
from asrkit.train.blobs import TextsByKey
from asrkit.train.examples import Example, collate, join

REPLAYED = "replayed:"  # before the ids and words of utterances of another experiment


@dataclasses.dataclass(frozen=True)
class TrainingAudio:
    """Audio of the training examples, and normalised features of it."""

    bank: FilterBank
    normalisation: Normalisation
    rows: Mapping[str, str]  # the manifest's row of each utterance in JSON, by its id without speed
    speeds: Sequence[float] = (1.0,)

    def read(self, id: str) -> np.ndarray:
        """The samples that the stored features of an example were computed from."""
        return self._read(*self._find(id))

    def speech(self) -> Speech:
        """All utterances at their own speed."""
        return Speech(
            ids=np.array(list(self.rows)),  # type: ignore[arg-type]  # strings in one piece of memory
            speaker=self._speaker,
            read=self._voice,
        )

    def _speaker(self, id: str) -> Optional[str]:
        speaker: Optional[str] = json.loads(self._find(id)[0])["supervisions"][0].get("speaker")
        return speaker

    def _voice(self, id: str) -> np.ndarray:
        return self._read(self.rows[id], 1.0)

    def _read(self, row: str, speed: float) -> np.ndarray:
        cut: MonoCut = deserialize_item(json.loads(row))
        try:
            ((_, samples),) = read_speed_perturbed(cut, [speed], self.bank.config.sampling_rate)
        except AudioProblem as problem:
            raise UserError(
                f"can't read the audio of {cut.id} again, for augmentation: {problem}",
                expected="the audio that the features were computed from",
                where=cut.recording.sources[0].source,
                todo="put it back, or remove transforms of waveforms, as by --set augment.noise=null",
            ) from None
        return samples

    def _find(self, id: str) -> Tuple[str, float]:
        for speed in (1.0, *self.speeds):
            suffix = speed_perturbed_id("", speed)
            if id.endswith(suffix) and id[: len(id) - len(suffix)] in self.rows:
                return self.rows[id[: len(id) - len(suffix)]], speed
        raise KeyError(id)

    def features(self, samples: np.ndarray) -> Tensor:
        """Normalised features (time, bin) of samples (sample,)."""
        return self.normalisation(torch.from_numpy(self.bank.extract(samples)))


@dataclasses.dataclass(frozen=True)
class Augmenter:
    """Transforms of examples and batches. All random numbers come from (seed, draw, utterance).

    `draw` numbers the batches of a training.
    """

    concatenated: float = 0.0  # fraction of utterances, see asrkit.train.examples.concatenate
    waveform: Sequence[WaveformTransform] = ()
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
        # Independent of what else is in the batch, and of the other transforms
        utterance, samples = int(hash_value(example.id), 16), None
        for transform in self.waveform:
            kind = zlib.crc32(kind_of(transform.settings).encode())
            random = np.random.default_rng([seed, draw, utterance, kind])
            if random.random() < transform.settings.probability:
                read = self.audio.read(example.id) if samples is None else samples
                samples = transform(read, random, example.id)
        if samples is None:
            return example
        return dataclasses.replace(example, source=self.audio.features(samples))

    def __str__(self) -> str:
        return "; ".join(map(str, self.waveform))


def make_augmenter(experiment: Experiment, normalisation: Normalisation) -> Augmenter:
    """The transforms of a recipe for features normalised by `normalisation`.

    gain_and_tilt is left out if the utterance's mean is subtracted: it adds to that mean and to nothing else.
    Raises UserError for folders without audio and for unreadable files.
    """
    config = experiment.config.features
    transforms: Sequence[Any] = experiment.config.augment
    features = [
        FEATURES[type(each)](each, normalisation.inverse_std, config.sampling_rate / 2)
        for each in transforms
        if type(each) in FEATURES
        and not (normalisation.utterance_mean and isinstance(each, GainAndTiltConfig))
    ]
    fraction = sum(each.fraction for each in transforms if isinstance(each, ConcatenateConfig))
    on_waveforms = [each for each in transforms if type(each) in WAVEFORM]  # in the order of application
    if not on_waveforms:
        return Augmenter(fraction, (), features)
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
    audio = TrainingAudio(bank, normalisation, rows, sorted(speeds))
    waveform = [_make_transform(each, experiment, audio) for each in on_waveforms]
    return Augmenter(fraction, waveform, features, audio)


def _make_transform(settings: Any, experiment: Experiment, audio: TrainingAudio) -> WaveformTransform:
    rate, directory = experiment.config.features.sampling_rate, getattr(settings, "directory", None)
    recordings = None
    if directory is not None:
        name = f"augment.{kind_of(settings)}.directory"
        recordings = Recordings(find_recordings(experiment.named(directory), name), rate, name)
    speech = audio.speech() if isinstance(settings, BabbleConfig) else None
    return WAVEFORM[type(settings)](settings, rate, recordings, speech)

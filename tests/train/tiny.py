"""A model and examples for trainings of a second."""

import json
import multiprocessing
from pathlib import Path
from typing import List

import numpy as np
import torch
from lhotse import Recording, SupervisionSegment

from asrkit.config import (
    FeaturesConfig,
    GainAndTiltConfig,
    ModelConfig,
    NoiseConfig,
    SpecAugmentConfig,
    TrainConfig,
    VtlpConfig,
)
from asrkit.signal.augmentation import GainAndTilt, SpecAugment, Vtlp
from asrkit.signal.degradation import WAVEFORM
from asrkit.signal.filterbank import FilterBank
from asrkit.signal.normalisation import Normalisation
from asrkit.signal.recordings import Recordings
from asrkit.text.lexicon import Pronunciation
from asrkit.text.units import Units
from asrkit.train.augmentation import Augmenter, TrainingAudio
from asrkit.train.examples import Example
from tests.corpus.sound import write_audio

MODEL = ModelConfig(
    stem_channels=4,
    stage_blocks=(1,),
    stage_channels=(8,),
    stage_time_strides=(2,),
    stage_frequency_strides=(2,),
    attention_blocks=1,
    attention_dim=16,
    attention_heads=2,
    feedforward_dim=32,
    dropout=0.2,
)
CONFIG = TrainConfig(
    epochs=4, batch_duration=2.0, buckets=2, checkpoint_steps=3, warmup_steps=4, keep_best=2, keep_last=2
)
# Processes without this one's threads, which no fork may follow; torch is imported once for all of them
FRESH = multiprocessing.get_context("forkserver")
FRESH.set_forkserver_preload(["asrkit.train.loop", "tests.train.tiny"])
UNITS = Units(["<blk>", "A", "B"], [Pronunciation("A", ("A",)), Pronunciation("B", ("B",))])


def make_examples(count: int, seed: int) -> List[Example]:
    random = torch.Generator().manual_seed(seed)
    examples = []
    for index in range(count):
        frames = int(torch.randint(40, 90, (1,), generator=random))
        words = ["AB"[int(torch.randint(0, 2, (1,), generator=random))] for _ in range(3)]
        features, text = torch.randn(frames, 20, generator=random), " ".join(words)
        examples.append(Example(f"u{index}", features, UNITS.encode(text), text, frames / 100))
    return examples


def make_augmenter(folder: Path, examples: List[Example]) -> Augmenter:
    """Every transform; writes audio of each example and a noise that is also the RIR to `folder`."""
    random = np.random.default_rng(0)
    rows = {}
    for example in examples:
        file = folder / f"speech/{example.id}.wav"
        if not file.exists():
            write_audio(file, random.normal(0, 0.1, 160 * len(example.features)))
        cut = Recording.from_file(file).to_cut()
        cut.supervisions = [
            SupervisionSegment(example.id, cut.recording_id, 0, cut.duration, speaker=example.id)
        ]
        rows[example.id] = json.dumps(cut.to_dict())
    if not (folder / "noise").exists():
        write_audio(folder / "noise/n.wav", random.normal(0, 0.1, 8000))
    recordings = Recordings([folder / "noise/n.wav"], 16000, "augment.noise.directory")
    features = (
        GainAndTilt(GainAndTiltConfig(max_gain=3.0, max_tilt=6.0), torch.ones(20)),
        Vtlp(VtlpConfig(max_warp=0.1)),
        SpecAugment(SpecAugmentConfig(time_warp_frames=5)),
    )
    bank = FilterBank(FeaturesConfig(bins=20))
    audio = TrainingAudio(bank, Normalisation(torch.zeros(20), torch.ones(20)), rows)
    waveform = [
        WAVEFORM[each](
            NoiseConfig(directory="noise") if each is NoiseConfig else each(),
            16000,
            recordings,
            audio.speech(),
        )
        for each in WAVEFORM
    ]
    return Augmenter(0.5, waveform, features, audio)

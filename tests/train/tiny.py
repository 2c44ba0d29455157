"""A model and examples so small that training takes a second."""

from typing import List

import torch

from asrkit.config import ModelConfig, TrainConfig
from asrkit.text.lexicon import Pronunciation
from asrkit.text.units import Units
from asrkit.train.examples import Example

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

"""oneDNN 2.6 (torch 1.13.1) writes out of bounds in a strided 1x1 convolution, channels-last, of fewer
than 8 channels: training a small model ended in "free(): invalid next size". The shortcut of a residual
block now strides by slicing."""

import subprocess
import sys

TRAIN = """
import torch
from asrkit.config import ModelConfig
from asrkit.model.front import ResidualFront

torch.manual_seed(0)
config = ModelConfig(
    stem_channels=4,
    stage_blocks=(1,),
    stage_channels=(8,),
    stage_time_strides=(2,),
    stage_frequency_strides=(2,),
)
front = ResidualFront(config, bins=20)
for _ in range(40):
    lengths = torch.randint(40, 90, (3,))
    y, _ = front(torch.randn(3, int(lengths.max()), 20), lengths)
    y.sum().backward()
print("trained")
"""


def test_a_front_of_few_channels_trains_without_corrupting_memory() -> None:
    done = subprocess.run([sys.executable, "-c", TRAIN], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "trained\n"

"""With train.ema_decay=0.999 the random weights of the start had 61 % of the average after 500 steps."""

import copy
from pathlib import Path

import msgspec
import torch

from asrkit.model.acoustic import AcousticModel
from asrkit.train.loop import Training, run_training
from asrkit.train.optimizer import make_optimizer
from tests.train.tiny import CONFIG, MODEL, UNITS, make_examples


def test_a_short_training_leaves_it_behind(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = msgspec.structs.replace(CONFIG, ema_decay=0.999, epochs=2)
    model = AcousticModel(MODEL, bins=20, units=len(UNITS))
    start, averaged = model.output.weight.clone(), copy.deepcopy(model)
    examples, optimizer = make_examples(12, 0), make_optimizer(model, config)
    run_training(
        Training(model, optimizer, config, UNITS, examples, examples[:2], tmp_path, averaged=averaged)
    )
    kept, end = averaged.output.weight, model.output.weight
    assert float((kept - end).norm()) < 0.5 * float((start - end).norm())

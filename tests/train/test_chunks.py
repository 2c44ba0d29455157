"""Training for streams: which batches are cut into chunks, and that it is refused for models that can't."""

from pathlib import Path

import msgspec
import pytest
import torch
from torch import Tensor

from asrkit.config import TrainConfig, load_config
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.pipeline.experiment import REPOSITORY
from asrkit.train.checkpoint import TrainState
from asrkit.train.loop import Training, draw_chunk, take_step
from asrkit.train.optimizer import make_optimizer
from tests.train.tiny import CONFIG, MODEL, UNITS, make_examples

CHUNKS = msgspec.structs.replace(CONFIG, chunk=25)


def test_half_of_the_batches_see_everything_and_the_others_chunks_of_all_sizes() -> None:
    drawn = [draw_chunk(CHUNKS, draw) for draw in range(4000)]
    sizes = [size for size in drawn if size is not None]
    assert 1800 < len(sizes) < 2200 and set(sizes) == set(range(1, 26))
    assert drawn == [draw_chunk(CHUNKS, draw) for draw in range(4000)]
    other = msgspec.structs.replace(CHUNKS, seed=2)
    assert drawn != [draw_chunk(other, draw) for draw in range(4000)]
    assert all(draw_chunk(CONFIG, draw) is None for draw in range(100))


def test_only_batches_with_chunks_take_another_step(tmp_path: Path) -> None:
    chunks, examples = msgspec.structs.replace(CONFIG, chunk=2), make_examples(4, 0)

    def weights_after(config: TrainConfig, step: int) -> Tensor:
        torch.manual_seed(0)
        model = AcousticModel(MODEL, bins=20, units=3)
        training = Training(model, make_optimizer(model, config), config, UNITS, examples, [], tmp_path)
        take_step(training, TrainState(step=step, batches_per_step=1), [examples], 0.5)
        return torch.cat([weight.detach().flatten() for weight in model.parameters()])

    for step in range(6):
        same = torch.equal(weights_after(CONFIG, step), weights_after(chunks, step))
        assert same == (draw_chunk(chunks, step) is None), step


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("model.convolution_causal=false", "model.convolution_causal is false"),
        ("model.positions=relative", "model.positions is relative"),
        ("model.squeeze_reduction=4", "model.squeeze_reduction is 4"),
        ("model.utterance_mean=true", "model.utterance_mean is true"),
        ("signal.steps=[{kind: dc}]", "signal.steps"),
    ],
)
def test_a_model_that_needs_whole_utterances_is_refused_before_training(setting: str, found: str) -> None:
    recipe = REPOSITORY / "recipes" / "yesno" / "recipe.yaml"
    settings = ["train.chunk=25", "model.convolution_causal=true"]
    assert load_config(recipe, assignments=settings).train.chunk == 25
    with pytest.raises(UserError) as error:
        load_config(recipe, assignments=[*settings, setting])
    assert found in str(error.value)

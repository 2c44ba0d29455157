"""Label priors of an initial model with another average.prior_scale were mixed as if it were the same."""

from pathlib import Path

import torch

from asrkit.config import RecipeConfig
from asrkit.config.recipe import AverageConfig, CorpusConfig
from asrkit.model.acoustic import save_model
from asrkit.pipeline.experiment import write_settings
from asrkit.storage.fingerprint import hash_file
from asrkit.train.average import divide_by_priors
from asrkit.train.initialisation import pool_priors
from tests.train.test_initialisation import write_experiment

SYMBOLS = ["<blk>", "A", "B"]


def test_equal_priors_keep_the_scale_of_the_recipe(tmp_path: Path) -> None:
    model, priors = write_experiment(tmp_path, SYMBOLS), torch.tensor([0.9, 0.09, 0.01])
    made_of = {
        "units": hash_file(tmp_path / "units" / "units.txt"),
        "priors": priors.log().tolist(),
        "prior_frames": 10,
    }
    save_model(tmp_path / "average" / "model.safetensors", model, made_of)
    average = AverageConfig(prior_scale=1.0)
    write_settings(tmp_path, RecipeConfig(name="x", corpus=CorpusConfig(module="tsv"), average=average))
    pooled, _ = pool_priors(SYMBOLS, tmp_path, priors, 10)
    torch.testing.assert_close(divide_by_priors(model, pooled, 0.2), 0.2 * priors.log())

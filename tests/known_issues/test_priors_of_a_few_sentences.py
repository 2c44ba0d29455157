"""A fine-tuned model divided its posteriors by the label priors of a dev set of a few sentences.

Fine-tuned on ten minutes of other speakers, whose dev set had 92 words, LibriSpeech's model of two cores made
1.3 % more errors on its old dev set and 2.3 % more on the new speakers than with its old priors.
"""

from pathlib import Path

import torch

from asrkit.config import CorpusConfig, RecipeConfig
from asrkit.config.recipe import AverageConfig
from asrkit.model.acoustic import save_model
from asrkit.pipeline.experiment import write_settings
from asrkit.storage.fingerprint import hash_file
from asrkit.train.initialisation import pool_priors
from tests.train.test_initialisation import write_experiment

SYMBOLS = ["<blk>", "A", "B"]


def test_many_frames_of_the_initial_model_outweigh_a_few_new_ones(tmp_path: Path) -> None:
    model, priors = write_experiment(tmp_path, SYMBOLS), torch.tensor([0.8, 0.1, 0.1])
    made_of = {
        "units": hash_file(tmp_path / "units" / "units.txt"),
        "priors": (0.5 * priors.log()).tolist(),
        "prior_frames": 9900,
    }
    save_model(tmp_path / "average" / "model.safetensors", model, made_of)
    average = AverageConfig(prior_scale=0.5)
    write_settings(tmp_path, RecipeConfig(name="x", corpus=CorpusConfig(module="tsv"), average=average))
    pooled, frames = pool_priors(SYMBOLS, tmp_path, torch.tensor([0.8, 0.2, 0.0]), 100)
    torch.testing.assert_close(pooled, torch.tensor([0.8, 0.101, 0.099]))
    assert frames == 10_000

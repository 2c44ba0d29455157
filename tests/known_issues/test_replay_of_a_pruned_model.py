"""train.replay from a pruned experiment, which has no data, failed only in stage train, with wrong advice."""

from pathlib import Path

import pytest
import torch

from asrkit.config import CorpusConfig, RecipeConfig, TrainConfig
from asrkit.errors import UserError
from asrkit.onboarding.fine_tuning import settings_of_model
from asrkit.pipeline.experiment import write_settings
from asrkit.storage.files import write_text
from asrkit.storage.tensors import save_tensors
from asrkit.train.initialisation import refuse_other_features

CORPUS = CorpusConfig(module="small", train="train-clean")


def test_replay_without_training_data_is_refused_before_any_stage(tmp_path: Path) -> None:
    write_settings(tmp_path, RecipeConfig(name="small", corpus=CORPUS))
    save_tensors(tmp_path / "average" / "model.safetensors", {"weight": torch.ones(1)}, {"made_of": {}})
    plain, replaying = (
        RecipeConfig(name="new", corpus=CORPUS, train=TrainConfig(init_from=str(tmp_path), replay=share))
        for share in (0.0, 0.3)
    )
    refuse_other_features(tmp_path, plain)
    with pytest.raises(UserError, match=r"has no training data for train\.replay") as caught:
        refuse_other_features(tmp_path, replaying)
    assert caught.value.todo == "--set train.replay=0"
    assert "train.replay" not in {each.key for each in settings_of_model(tmp_path)}
    write_text(tmp_path / "features" / "train-clean_cuts.jsonl.gz", "cuts")
    refuse_other_features(tmp_path, replaying)
    assert "train.replay" in {each.key for each in settings_of_model(tmp_path)}

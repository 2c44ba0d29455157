"""A recipe of new-recipe --init-from knew only the words of its few minutes of transcripts.

Its graph made 75 % errors on the test set of the model that it fine-tuned, which alone makes 3 %. It also
trained for as many epochs as a new model, and gave a pruned model's broken weights a share in the average.
"""

from pathlib import Path
from typing import Any, Dict

import torch

from asrkit.config import CorpusConfig, LmConfig, RecipeConfig
from asrkit.onboarding.fine_tuning import settings_of_model
from asrkit.pipeline.experiment import write_settings
from asrkit.storage.files import write_text
from asrkit.storage.tensors import save_tensors


def suggested(exp: Path, made_of: Dict[str, Any]) -> Dict[str, Any]:
    config = RecipeConfig(name="base", corpus=CorpusConfig(module="tsv"), lm=LmConfig(rescore_order=4))
    write_settings(exp, config)
    save_tensors(exp / "average" / "model.safetensors", {"weight": torch.ones(1)}, {"made_of": made_of})
    return {each.key: each.value for each in settings_of_model(exp)}


def test_the_language_models_of_the_experiment_are_interpolated_with_the_transcripts(tmp_path: Path) -> None:
    assert "lm.arpa" not in suggested(tmp_path, {})  # stage lm hasn't run
    for name in ("lm.arpa", "rescore.4.arpa"):
        write_text(tmp_path / "lm" / name, "n-grams")
    found = suggested(tmp_path, {})
    of_lm = {key: value for key, value in found.items() if key.startswith("lm.")}
    assert of_lm == {
        "lm.arpa": str(tmp_path / "lm" / "lm.arpa"),
        "lm.interpolate": True,
        "lm.rescore_order": 4,
        "lm.rescore_arpa": str(tmp_path / "lm" / "rescore.4.arpa"),
    }


def test_a_pruned_model_has_no_share_and_a_higher_learning_rate(tmp_path: Path) -> None:
    whole, pruned = suggested(tmp_path, {}), suggested(tmp_path, {"pruned": 0.5})
    assert whole["average.initial_share"] == 0.3
    assert "average.initial_share" not in pruned
    assert pruned["train.learning_rate"] == 4 * whole["train.learning_rate"]
    assert whole["train.epochs"] == pruned["train.epochs"] == 5

"""A model was fine-tuned from one that was trained on the new recipe's test set, and nothing said so."""

from pathlib import Path
from typing import Dict, Sequence

from asrkit.config import CorpusConfig, RecipeConfig
from asrkit.pipeline.experiment import Experiment, write_settings
from asrkit.train.initialisation import count_trained_on
from tests.storage.json_lines import write_jsonl_gz


def experiment_at(folder: Path, sets: Dict[str, Sequence[str]]) -> Experiment:
    corpus = CorpusConfig(module="small", tests=("test-clean", "test-other"))
    experiment = Experiment(RecipeConfig(name="small", corpus=corpus), folder, folder, folder, jobs=1)
    write_settings(folder, experiment.config)
    for name, contents in sets.items():
        rows = [{"start": 0.0, "custom": {"audio_content": content}} for content in contents]
        write_jsonl_gz(experiment.folder("manifests") / f"{name}_cuts.jsonl.gz", rows)
    return experiment


def test_utterances_in_its_training_data_are_counted(tmp_path: Path) -> None:
    start = experiment_at(tmp_path / "start", {"train": ["a", "b", "c"], "dev": ["d"]})
    sets = {"train": ["e"], "dev": ["f", "d"], "test-clean": ["a", "g", "c"], "test-other": ["h"]}
    fine_tuned = experiment_at(tmp_path / "fine-tuned", sets)
    assert count_trained_on(fine_tuned, start.directory) == {"test-clean": (2, 3)}


def test_nothing_is_known_of_other_models(tmp_path: Path) -> None:
    fine_tuned = experiment_at(tmp_path / "fine-tuned", {"dev": ["a"]})
    assert count_trained_on(fine_tuned, tmp_path / "resnet.safetensors") == {}

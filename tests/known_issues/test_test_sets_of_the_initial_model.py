"""A model was fine-tuned from one that was trained on the new recipe's test set, and nothing said so."""

import dataclasses
from pathlib import Path
from typing import Dict, Optional, Sequence

import msgspec

from asrkit.config import CorpusConfig, RecipeConfig, TrainConfig
from asrkit.pipeline.experiment import Experiment, write_settings
from asrkit.train.earlier_training import (
    FILE,
    count_trained_before,
    write_segments_of,
    write_trained_before,
)
from tests.storage.json_lines import write_jsonl_gz

TESTS = {"dev": ["f", "d"], "test-clean": ["a", "g", "c"], "test-other": ["h"]}


def experiment_at(folder: Path, sets: Dict[str, Sequence[str]], start: Optional[Path] = None) -> Experiment:
    corpus = CorpusConfig(module="small", tests=("test-clean", "test-other"))
    config = RecipeConfig(name="small", corpus=corpus, train=TrainConfig(init_from=start and str(start)))
    experiment = Experiment(config, folder, folder, folder, jobs=1)
    write_settings(folder, experiment.config)
    for name, contents in sets.items():
        places = [content.partition("@")[::2] for content in contents]
        rows = [
            {"start": float(start or 0), "duration": 4.0, "custom": {"audio_content": content}}
            for content, start in places
        ]
        write_jsonl_gz(experiment.folder("manifests") / f"{name}_cuts.jsonl.gz", rows)
    write_trained_before(experiment)
    return experiment


def test_utterances_in_its_training_data_are_counted(tmp_path: Path) -> None:
    start = experiment_at(tmp_path / "start", {"train": ["a", "b", "c"], "dev": ["d"]})
    tuned = experiment_at(tmp_path / "fine-tuned", {"train": ["e"], **TESTS}, start.directory)
    assert count_trained_before(tuned) == {"test-clean": (2, 3)}
    again = experiment_at(tmp_path / "again", {"train": ["i"], **TESTS, "dev": ["e"]}, tuned.directory)
    assert count_trained_before(again) == {"dev": (1, 1), "test-clean": (2, 3)}
    assert count_trained_before(start) == {}


def test_a_pruned_model_knows_them_too(tmp_path: Path) -> None:
    start = experiment_at(tmp_path / "start", {"train": ["a", "b", "c"]})
    pruned = experiment_at(tmp_path / "pruned", {})  # has no manifests of its training data
    write_segments_of(start, pruned.folder("train") / FILE)
    tuned = experiment_at(tmp_path / "fine-tuned", {"train": ["e"], **TESTS}, pruned.directory)
    assert count_trained_before(tuned) == {"test-clean": (2, 3)}


def test_other_segments_of_its_recordings_are_compared_by_what_they_share(tmp_path: Path) -> None:
    start = experiment_at(tmp_path / "start", {"train": ["a@5"]})
    sets = {"train": ["e"], "dev": ["f"], "test-clean": ["a@3", "a@3.1", "a@6.9", "a@7"]}
    tuned = experiment_at(tmp_path / "fine-tuned", sets, start.directory)
    assert count_trained_before(tuned) == {"test-clean": (2, 4)}


def test_what_an_earlier_version_did_not_write_is_read_from_the_initial_model(tmp_path: Path) -> None:
    start = experiment_at(tmp_path / "start", {"train": ["a", "b", "c"]})
    tuned = experiment_at(tmp_path / "fine-tuned", {"train": ["e"], **TESTS}, start.directory)
    (tuned.folder("train") / FILE).unlink()
    assert count_trained_before(tuned) == {"test-clean": (2, 3)}


def test_without_an_earlier_experiment_nothing_is_kept(tmp_path: Path) -> None:
    start = experiment_at(tmp_path / "start", {"train": ["a", "b", "c"]})
    tuned = experiment_at(tmp_path / "fine-tuned", TESTS, start.directory)
    train = msgspec.structs.replace(tuned.config.train, init_from=str(tmp_path / "resnet.safetensors"))
    config = msgspec.structs.replace(tuned.config, train=train)
    of_resnet = dataclasses.replace(tuned, config=config)
    write_trained_before(of_resnet)
    assert not (tuned.folder("train") / FILE).exists()
    assert count_trained_before(of_resnet) == {}

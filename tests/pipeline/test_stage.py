"""Patterns of inputs and outputs of stages."""

import dataclasses
import gzip
import json
import os
from pathlib import Path
from typing import List

import msgspec
import pytest

from asrkit.config import NoiseConfig
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.inputs import display, find
from asrkit.pipeline.requirements import check_inputs
from asrkit.pipeline.stage import Stage, feeds, fill
from asrkit.stages.table import STAGES
from tests.pipeline.toy import settings

CONFIG = settings(train="learn", dev="tune", tests=["first", "second"])


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    """An experiment with a small corpus."""
    audio = ["corpus/b.wav", "corpus/sub/a.sph", "corpus/.hidden/c.wav"]
    for name in [*audio, "exp/features/shards/first-0.i16"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return Experiment(CONFIG, tmp_path / "exp", tmp_path / "corpus", tmp_path / "recipe", 1)


def test_splits_and_settings_are_filled_in(experiment: Experiment) -> None:
    patterns = ["a/{train}", "b/{split}_x", "c/{test}/{dev}", "{recipe}/{units.lexicon}", "{corpus}", "d?"]
    patterns += ["e if units.lexicon", "f/{train} if lm.order"]
    assert fill(patterns, experiment) == [
        "a/learn",
        "b/learn_x",
        "b/tune_x",
        "b/first_x",
        "b/second_x",
        "c/first/tune",
        "c/second/tune",
        "{corpus}",  # and nothing for the lexicon, since there is none
        "d?",
        "f/learn",  # and no e, for the same reason
    ]


def names(pattern: str, experiment: Experiment) -> List[str]:
    """Names of the files that a pattern stands for."""
    return [file.name for file in find(pattern, experiment).files]


def test_files_of_a_pattern_have_stable_names(experiment: Experiment) -> None:
    assert names("{corpus}", experiment) == ["corpus/b.wav", "corpus/sub/a.sph"]
    assert names("features", experiment) == ["features/shards/first-0.i16"]
    assert names("features/shards/first-[0-9]*.i16", experiment) == ["features/shards/first-0.i16"]
    assert find("lm/lm.arpa", experiment).missing == {"lm/lm.arpa": experiment.directory / "lm/lm.arpa"}
    found = find("{recipe}/expect.json?", experiment)
    assert found.missing == {"recipe/expect.json": experiment.recipe_directory / "expect.json"}
    assert found.is_optional


def test_a_running_stage_has_a_folder_of_its_own(experiment: Experiment) -> None:
    folder = experiment.directory / "lm.next"
    folder.mkdir()
    (folder / "lm.arpa").write_text("")
    running = dataclasses.replace(experiment, folders={"lm": folder})
    assert [file.path for file in find("lm/lm.arpa", running).files] == [str(folder / "lm.arpa")]
    assert names("lm/*.arpa", running) == names("lm", running) == ["lm/lm.arpa"]


def test_a_file_that_a_setting_names_may_be_the_corpus_s(experiment: Experiment) -> None:
    of_corpus, own = experiment.corpus_directory / "4-gram.arpa", experiment.recipe_directory / "4-gram.arpa"
    for file in (of_corpus, own):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        (found,) = find("{recipe}/4-gram.arpa", experiment).files
        assert (found.name, found.path) == ("recipe/4-gram.arpa", str(file))


def test_a_loop_of_links_is_walked_once_and_what_is_no_file_is_left_out(experiment: Experiment) -> None:
    (experiment.corpus_directory / "sub/up").symlink_to(experiment.corpus_directory)
    (experiment.corpus_directory / "sub/itself").symlink_to(experiment.corpus_directory / "sub/itself")
    os.mkfifo(experiment.corpus_directory / "pipe")
    assert names("{corpus}", experiment) == ["corpus/b.wav", "corpus/sub/a.sph"]


def test_an_experiment_inside_its_corpus_is_no_part_of_it(experiment: Experiment) -> None:
    inside = dataclasses.replace(experiment, directory=experiment.corpus_directory / "sub/exp")
    (inside.directory / "lm").mkdir(parents=True)
    (inside.directory / "lm/lm.arpa").write_text("")
    assert names("{corpus}", inside) == ["corpus/b.wav", "corpus/sub/a.sph"]
    assert names("lm", inside) == ["lm/lm.arpa"]


def test_audio_of_a_manifest_is_what_its_cuts_name(experiment: Experiment) -> None:
    made = experiment.directory / "manifests/audio/000000.wav"
    made.parent.mkdir(parents=True)
    made.write_text("")
    sources = ["sub/a.sph", "b.wav", "/elsewhere/c.wav", "{exp}/manifests/audio/000000.wav"]
    rows = [{"id": name, "recording": {"sources": [{"type": "file", "source": name}]}} for name in sources]
    manifest = experiment.directory / "manifests/learn_cuts.jsonl.gz"
    manifest.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    found = find("audio of manifests/learn_cuts.jsonl.gz", experiment)
    assert {file.name: Path(file.path) for file in found.files} == {
        "manifests/audio/000000.wav": made,
        "corpus/b.wav": experiment.corpus_directory / "b.wav",
        "corpus/sub/a.sph": experiment.corpus_directory / "sub/a.sph",
    }
    assert found.missing == {"/elsewhere/c.wav": Path("/elsewhere/c.wav")}
    stage = Stage(name="train", purpose="", reads=("audio of manifests/{train}_cuts.jsonl.gz",))
    with pytest.raises(UserError, match=r"reads audio /elsewhere/c\.wav, which is no longer there") as caught:
        check_inputs(stage, STAGES, experiment)
    assert "if the corpus moved, run.sh --corpus-dir FOLDER" in caught.value.todo


def test_names_as_shown_to_users() -> None:
    assert display("corpus/sub/a.sph") == "audio sub/a.sph"
    assert display("corpus/etc/list.txt") == "corpus etc/list.txt"
    assert display("/elsewhere/c.WAV") == "audio /elsewhere/c.WAV"
    assert display("recipe/lexicon.txt") == "lexicon.txt"
    assert display("lm/lm.arpa") == "lm/lm.arpa"


NEEDS = {
    "download": [],
    "manifests": ["download"],
    "features": ["download", "manifests"],
    "units": ["manifests"],
    "lm": ["manifests"],
    "graph": ["units", "lm"],
    "train": ["features", "units"],
    "average": ["features", "units", "train"],
    "decode": ["features", "units", "graph", "average"],  # greedy and 1best need no n-gram
    "score": ["manifests", "features", "units", "train", "decode"],
    "show": ["download", "manifests", "units", "train", "decode", "score"],
    "export": ["units", "graph", "average", "decode", "score"],
}


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_each_stage_depends_on_those_whose_files_it_reads(stage: Stage, experiment: Experiment) -> None:
    earlier: List[str] = [other.name for other in STAGES if feeds(other, stage, experiment)]
    assert earlier == NEEDS[stage.name]


def test_training_in_noise_reads_the_audio_and_each_file_of_the_noise(experiment: Experiment) -> None:
    train = next(stage for stage in STAGES if stage.name == "train")
    plain = fill(train.reads, experiment)
    assert not any("manifests" in pattern for pattern in plain)
    config = msgspec.structs.replace(CONFIG, augment=(NoiseConfig(directory="musan"),))
    noisy = dataclasses.replace(experiment, config=config)
    cuts = "manifests/learn_cuts.jsonl.gz"
    assert set(fill(train.reads, noisy)) - set(plain) == {"{recipe}/musan", cuts, f"audio of {cuts}"}
    file = experiment.recipe_directory / "musan/free/a.wav"
    file.parent.mkdir(parents=True)
    file.write_text("")
    (found,) = find("{recipe}/musan", noisy).files
    assert (found.name, found.path) == ("recipe/musan/free/a.wav", str(file))


def test_the_test_sets_do_not_touch_training(experiment: Experiment) -> None:
    train = next(stage for stage in STAGES if stage.name == "train")
    assert not [pattern for pattern in fill(train.reads, experiment) if "first" in pattern]

"""Patterns of what stages read and write."""

import dataclasses
import gzip
import json
from pathlib import Path
from typing import List

import msgspec
import pytest

from asrkit.config import NoiseConfig, TrainConfig
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.requirements import check_inputs
from asrkit.pipeline.stage import Stage, display, feeds, fill, locate
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


def test_files_of_a_pattern_have_stable_names(experiment: Experiment) -> None:
    assert list(locate("{corpus}", experiment)) == ["corpus/b.wav", "corpus/sub/a.sph"]
    assert list(locate("features", experiment)) == ["features/shards/first-0.i16"]
    assert list(locate("features/shards/first-[0-9]*.i16", experiment)) == ["features/shards/first-0.i16"]
    assert locate("lm/lm.arpa", experiment) == {"lm/lm.arpa": experiment.directory / "lm/lm.arpa"}
    assert locate("{recipe}/expect.json?", experiment) == {
        "recipe/expect.json": experiment.recipe_directory / "expect.json"
    }


def test_a_file_that_a_setting_names_may_be_the_corpus_s(experiment: Experiment) -> None:
    of_corpus, own = experiment.corpus_directory / "4-gram.arpa", experiment.recipe_directory / "4-gram.arpa"
    of_corpus.touch()
    assert locate("{recipe}/4-gram.arpa", experiment) == {"recipe/4-gram.arpa": of_corpus}
    own.parent.mkdir(parents=True, exist_ok=True)
    own.touch()
    assert locate("{recipe}/4-gram.arpa", experiment) == {"recipe/4-gram.arpa": own}


def test_a_loop_of_links_is_walked_once(experiment: Experiment) -> None:
    (experiment.corpus_directory / "sub/up").symlink_to(experiment.corpus_directory)
    assert list(locate("{corpus}", experiment)) == ["corpus/b.wav", "corpus/sub/a.sph"]


def test_audio_of_a_manifest_is_what_its_cuts_name(experiment: Experiment) -> None:
    sources = [str(experiment.corpus_directory / "sub/a.sph"), "b.wav", "/elsewhere/c.wav"]
    rows = [{"id": name, "recording": {"sources": [{"type": "file", "source": name}]}} for name in sources]
    manifest = experiment.directory / "manifests/learn_cuts.jsonl.gz"
    manifest.parent.mkdir()
    manifest.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    assert locate("audio of manifests/learn_cuts.jsonl.gz", experiment) == {
        "/elsewhere/c.wav": Path("/elsewhere/c.wav"),
        "corpus/b.wav": experiment.corpus_directory / "b.wav",
        "corpus/sub/a.sph": experiment.corpus_directory / "sub/a.sph",
    }
    stage = Stage(6, "train", "", "", reads=("audio of manifests/{train}_cuts.jsonl.gz",))
    with pytest.raises(UserError, match=r"reads audio /elsewhere/c\.wav, which is no longer there") as caught:
        check_inputs(stage, STAGES, experiment)
    assert "if the corpus moved, run.sh --stage 1" in caught.value.todo


def test_names_are_said_as_a_reader_knows_them() -> None:
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
    "decode": ["features", "units", "lm", "graph", "average"],
    "score": ["manifests", "features", "units", "decode"],
}


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_each_stage_depends_on_those_whose_files_it_reads(stage: Stage, experiment: Experiment) -> None:
    earlier: List[str] = [other.name for other in STAGES if feeds(other, stage, experiment)]
    assert earlier == NEEDS[stage.name]


def test_training_in_noise_reads_the_audio_and_each_file_of_the_noise(experiment: Experiment) -> None:
    train = next(stage for stage in STAGES if stage.name == "train")
    plain = fill(train.reads, experiment)
    assert not any("manifests" in pattern for pattern in plain)
    config = msgspec.structs.replace(CONFIG, train=TrainConfig(noise=NoiseConfig(directory="musan")))
    noisy = dataclasses.replace(experiment, config=config)
    cuts = "manifests/learn_cuts.jsonl.gz"
    assert set(fill(train.reads, noisy)) - set(plain) == {"{recipe}/musan", cuts, f"audio of {cuts}"}
    file = experiment.recipe_directory / "musan/free/a.wav"
    file.parent.mkdir(parents=True)
    file.write_text("")
    assert locate("{recipe}/musan", noisy) == {"recipe/musan/free/a.wav": file}


def test_the_test_sets_do_not_touch_training(experiment: Experiment) -> None:
    train = next(stage for stage in STAGES if stage.name == "train")
    assert not [pattern for pattern in fill(train.reads, experiment) if "first" in pattern]

"""Feature shards zeroed or exchanged, a text changed in their list, and shards of another decoding were used.
Each now names what it was made of, and a checksum covers data and list; damaged ones are made again."""

import dataclasses
import re
import shutil
from pathlib import Path
from typing import Callable, Dict, List

import pytest
import torch

from asrkit.decode.shards import make_shards, read_shard, write_shard
from asrkit.pipeline.experiment import Experiment
from asrkit.stages import features, manifests
from asrkit.storage.files import remove
from tests.corpus.sound import SmallCorpus

DATA, LIST = "shards/train-00000.i16", "shards/train-00000.json"


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    corpus = SmallCorpus(tmp_path_factory.mktemp("corpus"))
    corpus.add_splits({"train": 4, "dev": 1, "test": 1})
    experiment = corpus.experiment(features={"bins": 20, "shard_utterances": 2, "speed_factors": (1.0,)})
    manifests.run(experiment)
    features.run(experiment)
    return experiment


@pytest.fixture
def experiment(tmp_path: Path, computed: Experiment) -> Experiment:
    directory = Path(shutil.copytree(computed.directory, tmp_path / "exp"))
    return dataclasses.replace(computed, directory=directory)


def content(folder: Path) -> Dict[str, bytes]:
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def changed(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        before = (folder / name).read_bytes()
        assert change(before) != before
        (folder / name).write_bytes(change(before))

    return damage


def exchange(folder: Path) -> None:
    first, second = folder / DATA, folder / DATA.replace("0.i16", "1.i16")
    first.rename(folder / "t")
    second.rename(first)
    (folder / "t").rename(second)


def become_folder(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        remove(folder / name)
        (folder / name / "full").mkdir(parents=True)

    return damage


DAMAGES: Dict[str, Callable[[Path], object]] = {
    "data zeroed": changed(DATA, lambda data: bytes(len(data))),
    "a bit of data": changed(DATA, lambda data: data[:99] + bytes([data[99] ^ 64]) + data[100:]),
    "data cut": changed(DATA, lambda data: data[:-40]),
    "data a folder": become_folder(DATA),
    "exchanged": exchange,
    "a text": changed(LIST, lambda data: data.replace(b"WORD TRAIN", b"TRAIN WORD", 1)),
    "a sum": changed(LIST, lambda data: re.sub(rb'"sum": \[(-?\d)', rb'"sum": [\g<1>1', data)),
    "a key gone": changed(LIST, lambda data: data.replace(b'"rejected": [], ', b"")),
    "another list": changed(LIST, lambda data: b"[]"),
    "no JSON": changed(LIST, lambda data: b"[" * 100_000),
    "list a folder": become_folder(LIST),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_features_are_computed_again(
    experiment: Experiment, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(experiment.folder("features"))
    DAMAGES[name](experiment.folder("features"))
    features.run(experiment)
    assert "train-00000 is damaged" in capsys.readouterr().out
    assert content(experiment.folder("features")) == before


def test_of_a_decoding_only_whole_shards_of_the_same_origin_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    files = [tmp_path / f"nbest-{number:05d}.safetensors" for number in range(5)]
    origins = [f"origin {number}" for number in range(5)]

    def work(index: int) -> None:  # in a process of its own
        with open(log, "a") as stream:
            print(index, file=stream)
        write_shard(files[index], {"b": torch.ones(2), "a": torch.zeros(1)}, {"made_of": origins[index]})

    def make() -> List[int]:
        log.write_text("")
        make_shards(files, work, 1, lambda index: None, origins)
        return [int(line) for line in log.read_text().split()]

    (tmp_path / "timed-00000.safetensors").write_text("of another kind")
    (tmp_path / "nbest-00009.safetensors").write_text("of an earlier run")
    assert make() == [0, 1, 2, 3, 4]
    assert make() == []
    whole = files[0].read_bytes()
    files[1].write_bytes(whole)  # of other utterances
    files[2].write_bytes(files[2].read_bytes()[:-1] + b"\1")
    files[3].unlink()
    files[3].mkdir()
    capsys.readouterr()
    assert make() == [1, 2, 3]
    said = capsys.readouterr().out
    assert [f"{number}.safetensors" in said for number in range(5)] == [False, False, True, True, False]
    tensors, about = read_shard(files[3])
    assert list(tensors) == ["b", "a"] and about == {"made_of": "origin 3"}
    assert (tmp_path / "timed-00000.safetensors").exists()
    assert not (tmp_path / "nbest-00009.safetensors").exists()

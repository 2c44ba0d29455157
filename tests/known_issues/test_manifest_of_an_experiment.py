"""Paths in stage manifests are relative to the corpus; evaluate and new-recipe resolved them wrongly."""

from pathlib import Path
from typing import List

import pytest

from asrkit.corpus.cut_set import cut_utterances, read_cut_set
from asrkit.storage.files import write_jsonl, write_text
from tests.storage.json_lines import write_jsonl_gz


def manifest(file: Path, *sources: str) -> Path:
    rows = []
    for number, source in enumerate(sources):
        recording = {
            "id": f"r{number}",
            "sources": [{"type": "file", "channels": [0], "source": source}],
            "sampling_rate": 8000,
            "num_samples": 8000,
            "duration": 1.0,
        }
        spoken = {
            "id": f"u{number}",
            "recording_id": f"r{number}",
            "start": 0.0,
            "duration": 1.0,
            "text": "YES",
        }
        cut = {"id": f"u{number}", "start": 0.0, "duration": 1.0, "channel": 0, "type": "MonoCut"}
        rows.append({**cut, "supervisions": [{**spoken, "channel": 0}], "recording": recording})
    (write_jsonl_gz if file.suffix == ".gz" else write_jsonl)(file, rows)
    return file


def audio(file: Path, root: Path) -> List[str]:
    return [str(one.audio) for one in cut_utterances(read_cut_set(file, "--cuts", False), "test", root, 30.0)]


SOURCES = ("a/1.wav", "{exp}/manifests/audio/2.wav", "/there/3.wav")


@pytest.mark.parametrize("folder", ["manifests", "features"])
def test_of_an_experiment(tmp_path: Path, folder: str) -> None:
    exp = tmp_path / "an exp"
    write_text(exp / "recipe.yaml", "name: tiny\n")
    write_text(exp / "stages" / "corpus_dir", "/data/a corpus\n")
    file = manifest(exp / folder / "test_cuts.jsonl.gz", *SOURCES)
    expected = ["/data/a corpus/a/1.wav", f"{exp}/manifests/audio/2.wav", "/there/3.wav"]
    assert audio(file, tmp_path) == expected
    (tmp_path / "link.jsonl.gz").symlink_to(file)
    assert audio(tmp_path / "link.jsonl.gz", tmp_path) == expected


def test_of_an_evaluation(tmp_path: Path) -> None:
    write_text(tmp_path / "e" / "recipe.yaml", "name: tiny\n")
    file = manifest(tmp_path / "e" / "manifests" / "noisy_cuts.jsonl.gz", "audio/1.wav")
    assert audio(file, tmp_path) == [f"{tmp_path}/e/audio/1.wav"]


def test_elsewhere_and_outside(tmp_path: Path) -> None:
    file = manifest(tmp_path / "manifests" / "cuts.jsonl", "a/1.wav")
    assert audio(file, tmp_path / "here") == [f"{tmp_path}/here/a/1.wav"]
    write_text(tmp_path / "recipe.yaml", "name: tiny\n")
    write_text(tmp_path / "stages" / "corpus_dir", "/data/corpus\n")
    file = manifest(tmp_path / "manifests" / "cuts.jsonl", "../1.wav", "{exp}/../1.wav")
    assert all(not name.startswith("/data") for name in audio(file, tmp_path / "here"))

"""Speakers in tables of Common Voice were merged if the first 16 characters of their ids were equal."""

from pathlib import Path
from typing import List

from asrkit.config import CorpusConfig
from asrkit.corpus.utterance import load_corpus_module
from asrkit.pipeline.experiment import REPOSITORY

HASH = "0123456789abcdef" * 8


def speakers(folder: Path, *ids: str) -> List[str]:
    rows = ["client_id\tpath\tsentence", *(f"{id}\ta.mp3\tOne." for id in ids)]
    (folder / "validated.tsv").write_text("\n".join(rows) + "\n")
    module = load_corpus_module("common_voice", REPOSITORY / "local")
    return [one.speaker for one in module.utterances(folder, CorpusConfig(module="common_voice"))]


def test_only_hashes_are_shortened(tmp_path: Path) -> None:
    ids = ("contributor-number-001", " contributor-number-002 ", HASH[:63], HASH + "0", HASH[:64].upper())
    assert speakers(tmp_path, *ids) == [id.strip() for id in ids]
    assert speakers(tmp_path, HASH, HASH[:64], "", " ") == [HASH[:16], HASH[:16], "unknown", "unknown"]

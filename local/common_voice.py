"""A language of Common Voice as downloaded: clips/ and tables train.tsv, dev.tsv, test.tsv, validated.tsv."""

import re
from pathlib import Path
from typing import Iterator, List

from asrkit.config import CorpusConfig, RecipeConfig
from asrkit.corpus.transcripts import id_of_path, read_table, strip_punctuation
from asrkit.corpus.utterance import Utterance, corpus_file, groups_of, refuse_absent

SPLITS = ("train", "dev", "test")
COLUMNS = ("client_id", "path", "sentence")


def download(corpus_directory: Path, config: RecipeConfig) -> None:
    """Check that it exists: it can only be downloaded after accepting the terms of Common Voice."""
    expected = "the folder of a language: clips/, and train.tsv, dev.tsv, test.tsv or validated.tsv"
    refuse_absent(corpus_directory, _tables(corpus_directory), expected)


def utterances(corpus_directory: Path, config: CorpusConfig) -> Iterator[Utterance]:
    """The published splits, or if there are none, all validated clips as train; without punctuation."""
    for table in _tables(corpus_directory):
        for _, row in read_table(table, COLUMNS):
            path = row["path"].strip()
            yield Utterance(
                id=id_of_path(path),
                audio=corpus_file(corpus_directory / "clips", path),
                text=" ".join(strip_punctuation(row["sentence"]).split()),
                speaker=_speaker(row["client_id"].strip()),
                split=table.stem if table.stem in SPLITS else "train",
                groups=groups_of(row),
            )


def _speaker(client_id: str) -> str:
    """Shorten a hash to 16 digits; other ids stay as they are, because different ones may begin alike."""
    return client_id[:16] if re.fullmatch(r"[0-9a-f]{64,128}", client_id) else client_id or "unknown"


def _tables(corpus_directory: Path) -> List[Path]:
    tables = [corpus_directory / f"{split}.tsv" for split in SPLITS]
    return [table for table in tables if table.is_file()] or [corpus_directory / "validated.tsv"]

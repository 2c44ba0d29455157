"""Any corpus as tab-separated tables with columns path, text, speaker and optionally id and split.

More columns: gender, age and accent of the speaker. Without a column `split`, a table's name is its split; a
single table is train.
"""

from pathlib import Path
from typing import Iterator

from asrkit.config import CorpusConfig, RecipeConfig
from asrkit.corpus.transcripts import id_of_path, read_table
from asrkit.corpus.utterance import Utterance, corpus_file, groups_of, listings, refuse_absent


def download(corpus_directory: Path, config: RecipeConfig) -> None:
    """Check that a table exists."""
    tables = listings(corpus_directory, config.corpus, "*.tsv")
    refuse_absent(corpus_directory, tables, config.corpus.listing or "a table, NAME.tsv")


def utterances(corpus_directory: Path, config: CorpusConfig) -> Iterator[Utterance]:
    """An utterance per row; `path` is relative to the corpus's folder, and the id without a column `id`."""
    tables = listings(corpus_directory, config, "*.tsv")
    for table in tables:
        split = table.stem if len(tables) > 1 else config.train
        for _, row in read_table(table, ("path", "text", "speaker")):
            path = row["path"].strip()
            yield Utterance(
                id=row.get("id", "").strip() or id_of_path(path),
                audio=corpus_file(corpus_directory, path),
                text=row["text"],
                speaker=row["speaker"].strip() or "unknown",
                split=row.get("split", split).strip() or split,
                groups=groups_of(row),
            )

"""CMU AN4 (census database): spelled names, numbers, addresses, commands; 16 kHz NIST SPHERE."""

import re
from pathlib import Path
from typing import Dict, Iterator

from asrkit.config import CorpusConfig, RecipeConfig
from asrkit.corpus.download import Archive, fetch_corpus
from asrkit.corpus.transcripts import read_lines
from asrkit.corpus.utterance import Utterance
from asrkit.errors import UserError

ARCHIVE = Archive(
    addresses=(
        "http://www.speech.cs.cmu.edu/databases/an4/an4_sphere.tar.gz",
        "https://dldata-public.s3.us-east-2.amazonaws.com/an4_sphere.tar.gz",
    ),
    top="an4",
)
# train: "<s> TEXT </s> (id)", test: "TEXT (id)"
LINE = re.compile(r"\s*(?:<s>)?(?P<text>.*?)(?:</s>)?\s*\((?P<id>[^()\s]+)\)\s*")


def download(corpus_directory: Path, config: RecipeConfig) -> None:
    """Download the corpus unless its lists exist."""
    if not (ARCHIVE.folder(corpus_directory) / "etc" / "an4_test.fileids").is_file():
        fetch_corpus(ARCHIVE, corpus_directory, config.corpus.mirror)


def utterances(corpus_directory: Path, config: CorpusConfig) -> Iterator[Utterance]:
    """The official train and test lists; a line of a list is FOLDER/SPEAKER/ID."""
    folder = ARCHIVE.folder(corpus_directory)
    for split in ("train", "test"):
        texts = _read_transcripts(folder / "etc" / f"an4_{split}.transcription")
        listing = folder / "etc" / f"an4_{split}.fileids"
        for number, line in read_lines(listing):
            path = line.strip()
            speaker, id = path.split("/")[-2:] if "/" in path else ("", path)
            if id not in texts or not speaker:
                found = f"{path} has no transcript" if speaker else f"{path} has no speaker"
                expected = f"FOLDER/SPEAKER/ID, and a line (ID) in an4_{split}.transcription"
                raise UserError(found, expected, f"{listing}, line {number}", "download the corpus again")
            yield Utterance(id, folder / "wav" / f"{path}.sph", texts[id], speaker, split)


def _read_transcripts(file: Path) -> Dict[str, str]:
    """Transcripts by utterance id."""
    texts: Dict[str, str] = {}
    for number, line in read_lines(file):
        match = LINE.fullmatch(line)
        if match is None or match["id"] in texts:
            found = f"the line {line!r}" if match is None else f"a second line for {match['id']}"
            where = f"{file}, line {number}"
            raise UserError(found, "TEXT (ID), one line per utterance", where, "correct the line")
        texts[match["id"]] = match["text"].strip(" ")
    return texts

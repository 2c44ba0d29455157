"""CMU AN4 (census): spelled names, numbers, addresses and commands, 16 kHz NIST SPHERE."""

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
LINE = re.compile(r"\s*(?:<s>)?(?P<text>.*?)(?:</s>)?\s*\((?P<id>[^()\s]+)\)\s*")


def download(corpus_directory: Path, config: RecipeConfig) -> None:
    """Fetch the corpus unless its lists are there."""
    if not (ARCHIVE.folder(corpus_directory) / "etc" / "an4_test.fileids").is_file():
        fetch_corpus(ARCHIVE, corpus_directory, config.corpus.mirror)


def utterances(corpus_directory: Path, config: CorpusConfig) -> Iterator[Utterance]:
    """The official lists, train and test."""
    folder = ARCHIVE.folder(corpus_directory)
    for part in ("train", "test"):
        texts = _transcripts(folder / "etc" / f"an4_{part}.transcription")
        listing = folder / "etc" / f"an4_{part}.fileids"
        for number, line in read_lines(listing):
            path = line.strip()
            speaker, name = path.split("/")[-2:] if "/" in path else ("", path)
            if name not in texts or not speaker:
                raise UserError(
                    f"{path} has no transcript" if speaker else f"{path} names no speaker",
                    expected=f"folder/speaker/name, with a line (name) in an4_{part}.transcription",
                    where=f"{listing}, line {number}",
                    todo="fetch the corpus again",
                )
            audio = folder / "wav" / f"{path}.sph"
            yield Utterance(id=name, audio=audio, text=texts[name], speaker=speaker, split=part)


def _transcripts(file: Path) -> Dict[str, str]:
    """Text by utterance; train lines are `<s> TEXT </s> (id)`, test lines `TEXT (id)`."""
    texts: Dict[str, str] = {}
    for number, line in read_lines(file):
        match = LINE.fullmatch(line)
        if match is None or match["id"] in texts:
            raise UserError(
                f"the line {line!r}" if match is None else f"a second line for {match['id']}",
                expected="TEXT (utterance), one line an utterance",
                where=f"{file}, line {number}",
                todo="correct the line",
            )
        texts[match["id"]] = match["text"].strip(" ")
    return texts

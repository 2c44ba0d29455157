"""AISHELL-1 (OpenSLR 33): read Mandarin, 400 speakers, 16 kHz WAV; transcripts are segmented into words."""

import unicodedata
from pathlib import Path
from typing import Iterator

from asrkit.config import CorpusConfig, RecipeConfig
from asrkit.corpus.download import Archive, fetch_corpus, openslr_addresses
from asrkit.corpus.transcripts import read_keyed_lines
from asrkit.corpus.utterance import Utterance

ARCHIVE = Archive(
    addresses=openslr_addresses(33, "data_aishell.tgz"),
    top="data_aishell",
    md5="2f494334227864a8a8fec932999db9d8",
    inner="data_aishell/wav/*.tar.gz",  # one per speaker
)
SETS = ("train", "dev", "test")


def download(corpus_directory: Path, config: RecipeConfig) -> None:
    """Download the corpus unless its transcripts exist."""
    if not _transcript_file(corpus_directory).is_file():
        fetch_corpus(ARCHIVE, corpus_directory, config.corpus.mirror)


def utterances(corpus_directory: Path, config: CorpusConfig) -> Iterator[Utterance]:
    """Every WAV file of the official sets; a few have no transcript, and so an empty text."""
    listing = _transcript_file(corpus_directory)
    texts = {id: text for id, (_, text) in read_keyed_lines(listing).items()}
    unused = set(texts)
    for split in SETS:
        for audio in sorted((listing.parent.parent / "wav" / split).glob("*/*.wav")):
            unused.discard(audio.stem)
            text = unicodedata.normalize("NFKC", texts.get(audio.stem, ""))  # some letters are full-width
            yield Utterance(audio.stem, audio, text, audio.parent.name, split)
    if unused:
        found = f"{len(unused):,} of {len(texts):,} transcripts have no audio here"
        print(f"aishell: {found}, for example {min(unused)}")


def _transcript_file(corpus_directory: Path) -> Path:
    return ARCHIVE.folder(corpus_directory) / "transcript" / "aishell_transcript_v0.8.txt"

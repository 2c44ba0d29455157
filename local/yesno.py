"""yesno (OpenSLR 1): one speaker, 60 recordings of 8 Hebrew words, each yes or no; 8 kHz WAV.

A file's name is its transcript: 0_1_1_0_1_0_0_1.wav is "NO YES YES NO YES NO NO YES".
"""

from pathlib import Path
from typing import Iterator

from asrkit.config import CorpusConfig, RecipeConfig
from asrkit.corpus.download import Archive, fetch_corpus, openslr_addresses
from asrkit.corpus.utterance import Utterance
from asrkit.errors import UserError

ARCHIVE = Archive(
    addresses=openslr_addresses(1, "waves_yesno.tar.gz"),
    top="waves_yesno",
    sha256="30301975fd8c5cac4040c261c0852f57cfa8adbbad2ce78e77e4986957445f27",
)
WORDS = {"0": "NO", "1": "YES"}
DEV_FILES = 6


def download(corpus_directory: Path, config: RecipeConfig) -> None:
    """Download the corpus unless there are WAV files."""
    if not any(ARCHIVE.folder(corpus_directory).glob("*.wav")):
        fetch_corpus(ARCHIVE, corpus_directory, config.corpus.mirror)


def utterances(corpus_directory: Path, config: CorpusConfig) -> Iterator[Utterance]:
    """All files sorted by name: 24 for train, 6 for dev, 30 for test.

    icefall has the same test set, but no dev set: it trains on the first 30.
    """
    folder = ARCHIVE.folder(corpus_directory)
    files = sorted(folder.glob("*.wav"))
    if not files:
        todo = "run.sh --stage download fetches it; or name the folder with waves_yesno with --corpus-dir"
        raise UserError(f"no .wav files in {folder}", "the 60 files of OpenSLR 1", str(folder), todo)
    half = len(files) // 2
    for index, file in enumerate(files):
        digits = file.stem.split("_")
        if not WORDS.keys() >= set(digits):
            found = f"the file name {file.name} isn't a transcript"
            expected = "digits 0 (no) and 1 (yes) joined by _, for example 0_0_1_0_1_1_0_1.wav"
            raise UserError(found, expected, str(file), "remove the file from the folder")
        split = "train" if index < half - DEV_FILES else "dev" if index < half else "test"
        text = " ".join(WORDS[digit] for digit in digits)
        yield Utterance(id=file.stem, audio=file, text=text, speaker="man", split=split)

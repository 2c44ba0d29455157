"""yesno (OpenSLR 1): one man says 8 words, each yes or no in Hebrew; the file names say which."""

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
    """Fetch the corpus unless its files are there."""
    if not any(ARCHIVE.folder(corpus_directory).glob("*.wav")):
        fetch_corpus(ARCHIVE, corpus_directory, config.corpus.mirror)


def utterances(corpus_directory: Path, config: CorpusConfig) -> Iterator[Utterance]:
    """All files sorted by name: the second half is the test set, as in icefall, so that results compare.

    icefall trains on the whole first half and has no dev set; here its last 6 files are dev,
    and training has 24 of 30.
    """
    files = sorted(ARCHIVE.folder(corpus_directory).glob("*.wav"))
    if not files:
        raise UserError(
            f"no .wav files in {ARCHIVE.folder(corpus_directory)}",
            expected="the folder waves_yesno of OpenSLR 1 with its 60 files",
            where=str(corpus_directory),
            todo="run.sh --stage download fetches it; or name the folder with waves_yesno by --corpus-dir",
        )
    half = len(files) // 2
    for index, file in enumerate(files):
        digits = file.stem.split("_")
        if not all(digit in WORDS for digit in digits):
            raise UserError(
                f"the file name {file.name} isn't a transcript",
                expected="digits 0 (no) and 1 (yes) joined by _, for example 0_0_1_0_1_1_0_1.wav",
                where=str(file),
                todo="take the file out of the folder",
            )
        split = "train" if index < half - DEV_FILES else "dev" if index < half else "test"
        text = " ".join(WORDS[digit] for digit in digits)
        yield Utterance(id=file.stem, audio=file, text=text, speaker="man", split=split)

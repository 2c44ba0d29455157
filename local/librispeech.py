"""LibriSpeech (OpenSLR 12) and Mini LibriSpeech (31): English audio books read aloud, 16 kHz FLAC.

Its language models and their text (11), MUSAN's noises (17) and the rooms of RIRS_NOISES (28) are fetched
too, where the recipe names them.
"""

from pathlib import Path
from typing import Iterator

from asrkit.config import CorpusConfig, RecipeConfig
from asrkit.corpus.download import Archive, fetch_corpus, openslr_addresses
from asrkit.corpus.splits import sets_of
from asrkit.corpus.transcripts import read_keyed_lines
from asrkit.corpus.utterance import Utterance
from asrkit.errors import UserError

TOP = "LibriSpeech"
# Number of the resource and MD5 of the archive, as md5sum.txt there gives it
SETS = {
    "train-clean-100": (12, "2a93770f6d5c6c964bc36631d331a522"),
    "train-clean-360": (12, "c0e676e450a7ff2f54aeade5171606fa"),
    "train-other-500": (12, "d1a0fd59409feb2c614ce4d30c387708"),
    "dev-clean": (12, "42e2234ba48799c1f50f24a7926300a1"),
    "dev-other": (12, "c8d0bcc9cca99d4f8b62fcc847357931"),
    "test-clean": (12, "32fa31d27d2e1cad72775fee3f4849a9"),
    "test-other": (12, "fb5a50374b501bb3bac4815ee91d3135"),
    "train-clean-5": (31, "5df7d4e78065366204ca6845bb08f490"),
    "dev-clean-2": (31, "6d7ab67ac6a1d2c993d050e16d61080d"),
}
# OpenSLR 11, which publishes no checksums
LANGUAGE_MODELS = (
    *("librispeech-lm-norm.txt.gz", "3-gram.pruned.3e-7.arpa.gz", "3-gram.pruned.1e-7.arpa.gz"),
    *("3-gram.arpa.gz", "4-gram.arpa.gz"),
)
SOUNDS = (
    Archive(openslr_addresses(17, "musan.tar.gz"), "musan", md5="0c472d4fc0c5141eca47ad1ffeb2a7df"),
    Archive(openslr_addresses(28, "rirs_noises.zip"), "RIRS_NOISES", md5="e6f48e257286e05de56413b4779d8ffb"),
)


def download(corpus_directory: Path, config: RecipeConfig) -> None:
    """Fetch the sets, language models, noises and rooms that the recipe names, less those that are there.

    Of a corpus that is allowed to be partial, sets are fetched only if there are none.
    """
    folder = _folder(corpus_directory)
    sets = [name for of in sets_of(config.corpus).values() for name in of]
    absent = [name for name in sets if name in SETS and not (folder / name).is_dir()]
    if config.corpus.partial and len(absent) < len(sets):
        absent = []
    wanted = [_archive_of(name) for name in absent]
    for file in (config.lm.text, config.lm.arpa, config.lm.rescore_arpa):
        if file in LANGUAGE_MODELS and not (corpus_directory / file).exists():
            wanted.append(Archive(openslr_addresses(11, file)))
    for directory in (getattr(transform, "directory", None) for transform in config.augment):
        if directory is not None and not (corpus_directory / directory).is_dir():
            wanted += [archive for archive in SOUNDS if archive.top == Path(directory).parts[0]]
    for archive in wanted:
        fetch_corpus(archive, corpus_directory, config.corpus.mirror)


def utterances(corpus_directory: Path, config: CorpusConfig) -> Iterator[Utterance]:
    """Every utterance of every set that is there; one that lacks its audio or its text too."""
    folder = _folder(corpus_directory)
    chapters = sorted(path for path in folder.glob("*/*/*") if path.is_dir())
    if not chapters:
        raise UserError(
            f"no SET/SPEAKER/CHAPTER folders in {folder}",
            expected="LibriSpeech as OpenSLR 12 has it",
            where=str(corpus_directory),
            todo="run.sh --stage download fetches it; or name the folder with LibriSpeech by --corpus-dir",
        )
    for chapter in chapters:
        own_set, speaker, number = chapter.parts[-3:]
        lines = read_keyed_lines(chapter / f"{speaker}-{number}.trans.txt")
        texts = {id: text for id, (_, text) in lines.items()}
        for id in sorted({*texts, *(file.stem for file in chapter.glob("*.flac"))}):
            yield Utterance(id, chapter / f"{id}.flac", texts.get(id, ""), speaker, own_set)


def _archive_of(own_set: str) -> Archive:
    resource, md5 = SETS[own_set]
    return Archive(openslr_addresses(resource, f"{own_set}.tar.gz"), TOP, md5=md5)


def _folder(corpus_directory: Path) -> Path:
    inner = corpus_directory / TOP
    return inner if inner.is_dir() else corpus_directory

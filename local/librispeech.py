"""LibriSpeech (OpenSLR 12) and Mini LibriSpeech (31): read English audio books, 16 kHz.

FLAC as published, or other files of the same names: MP3 as in original-mp3, Opus as in MLS, WAV.

If the recipe uses them, download also fetches the LibriSpeech language models and LM text (OpenSLR 11), MUSAN
noise (17) and the room impulse responses of RIRS_NOISES (28).
"""

from pathlib import Path
from typing import Dict, Iterator

from asrkit.config import CorpusConfig, RecipeConfig
from asrkit.corpus.download import Archive, fetch_corpus, openslr_addresses
from asrkit.corpus.splits import sets_of
from asrkit.corpus.transcripts import read_keyed_lines
from asrkit.corpus.utterance import Utterance, groups_of
from asrkit.errors import UserError

TOP = "LibriSpeech"
SUFFIXES = (".flac", ".wav", ".ogg", ".opus", ".mp3")  # the first of these that an utterance has is read
PUBLISHED = (  # resource of OpenSLR, set, MD5 of the resource's md5sum.txt
    (12, "train-clean-100", "2a93770f6d5c6c964bc36631d331a522"),
    (12, "train-clean-360", "c0e676e450a7ff2f54aeade5171606fa"),
    (12, "train-other-500", "d1a0fd59409feb2c614ce4d30c387708"),
    (12, "dev-clean", "42e2234ba48799c1f50f24a7926300a1"),
    (12, "dev-other", "c8d0bcc9cca99d4f8b62fcc847357931"),
    (12, "test-clean", "32fa31d27d2e1cad72775fee3f4849a9"),
    (12, "test-other", "fb5a50374b501bb3bac4815ee91d3135"),
    (31, "train-clean-5", "5df7d4e78065366204ca6845bb08f490"),
    (31, "dev-clean-2", "6d7ab67ac6a1d2c993d050e16d61080d"),
)
SETS = {
    name: Archive(
        openslr_addresses(resource, f"{name}.tar.gz"), TOP, md5=md5, content=tuple(zip(*PUBLISHED))[1]
    )
    for resource, name, md5 in PUBLISHED
}
# OpenSLR 11, without published checksums
LANGUAGE_MODELS = (
    *("librispeech-lm-norm.txt.gz", "3-gram.pruned.3e-7.arpa.gz", "3-gram.pruned.1e-7.arpa.gz"),
    *("3-gram.arpa.gz", "4-gram.arpa.gz"),
)
SOUNDS = (
    Archive(openslr_addresses(17, "musan.tar.gz"), "musan", md5="0c472d4fc0c5141eca47ad1ffeb2a7df"),
    Archive(openslr_addresses(28, "rirs_noises.zip"), "RIRS_NOISES", md5="e6f48e257286e05de56413b4779d8ffb"),
)


def download(corpus_directory: Path, config: RecipeConfig) -> None:
    """Download what the recipe uses and isn't present: subsets, language models, noise, room responses.

    With corpus.partial, no subset is downloaded if there is any.
    """
    folder = SETS["train-clean-100"].folder(corpus_directory)
    sets = [name for of in sets_of(config.corpus).values() for name in of]
    absent = [name for name in sets if name in SETS and not (folder / name).is_dir()]
    if config.corpus.partial and len(absent) < len(sets):
        absent = []
    wanted = [SETS[name] for name in absent]
    for file in (config.lm.text, config.lm.arpa, config.lm.rescore_arpa):
        if file in LANGUAGE_MODELS and not (corpus_directory / file).exists():
            wanted.append(Archive(openslr_addresses(11, file)))
    for directory in (getattr(transform, "directory", None) for transform in config.augment):
        if directory is not None and not (corpus_directory / directory).is_dir():
            wanted += [archive for archive in SOUNDS if archive.top == Path(directory).parts[0]]
    for archive in wanted:
        fetch_corpus(archive, corpus_directory, config.corpus.mirror)


def utterances(corpus_directory: Path, config: CorpusConfig) -> Iterator[Utterance]:
    """Every utterance of the present subsets, including those without audio or transcript."""
    folder = SETS["train-clean-100"].folder(corpus_directory)
    chapters = sorted(path for path in folder.glob("*/*/*") if path.is_dir())
    if not chapters:
        found = f"no SET/SPEAKER/CHAPTER folders in {folder}"
        todo = "run.sh --stage download fetches it; or name the folder with LibriSpeech with --corpus-dir"
        raise UserError(found, "LibriSpeech as in OpenSLR 12", str(corpus_directory), todo)
    genders = _read_genders(folder / "SPEAKERS.TXT")
    for chapter in chapters:
        own_set, speaker, number = chapter.parts[-3:]
        groups = groups_of({"gender": genders.get(speaker)})
        lines = read_keyed_lines(chapter / f"{speaker}-{number}.trans.txt")
        texts = {id: text for id, (_, text) in lines.items()}
        names = {file.name for file in chapter.iterdir()}
        audio = {Path(name).stem for name in names if name.endswith(SUFFIXES)}
        for id in sorted({*texts, *audio}):
            present = [f"{id}{suffix}" for suffix in SUFFIXES if f"{id}{suffix}" in names]
            file = chapter / (present or [f"{id}.flac"])[0]
            yield Utterance(id, file, texts.get(id, ""), speaker, own_set, groups=groups)


def _read_genders(file: Path) -> Dict[str, str]:
    """F or M by speaker, of lines "ID | SEX | SUBSET | MINUTES | NAME"; none without the file."""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    fields = [[field.strip() for field in line.split("|")] for line in lines if not line.startswith(";")]
    return {each[0]: each[1] for each in fields if len(each) > 1}

"""What a stage is: what it reads, writes and depends on, as patterns that become files."""

import dataclasses
import fnmatch
import gzip
import os
import re
import zlib
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import msgspec

from asrkit.config import flatten
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment

AUDIO_OF = "audio of "
AUDIO_SUFFIXES = frozenset([".wav", ".sph", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".au", ".wv1", ".raw"])


@dataclasses.dataclass(frozen=True)
class Stage:
    """One step of a recipe.

    `reads` and `writes` are patterns: a file or folder below EXP ("lm/lm.arpa", with {train},
    {dev}, {test}, {split} and {section.setting} filled in, `*` allowed, a `?` at the end if it
    may be absent), one below "{recipe}/" (where it isn't there, in the corpus's folder), "{corpus}"
    for all the corpus's files, or "audio of <cuts.jsonl.gz>" for the audio that a manifest names;
    with " if section.setting" at the end it is read only where that setting has a value. `settings`
    are keys of the configuration, or whole sections.
    """

    number: int
    name: str  # also of its folder below EXP
    purpose: str
    module: str  # imported only when it runs; its entry is run(experiment)
    reads: Tuple[str, ...] = ()
    writes: Tuple[str, ...] = ()
    settings: Tuple[str, ...] = ()
    corpus_code: bool = False  # local/<module>.py is part of its code
    libraries: Tuple[str, ...] = ()  # slow to import, so imported once for all stages
    precious: bool = False  # takes long to make: the latest is kept aside when the stage begins anew

    def __str__(self) -> str:
        return f"stage {self.number} ({self.name})"

    @property
    def file_name(self) -> str:
        """Of its record and its log, without suffix."""
        return f"{self.number}-{self.name}"


def fill(patterns: Sequence[str], experiment: Experiment) -> List[str]:
    """Patterns with splits and settings filled in; one that names a setting of no value is left out."""
    corpus = experiment.config.corpus
    choices: Dict[str, Sequence[Any]] = {
        "train": [corpus.train],
        "dev": [corpus.dev],
        "test": corpus.tests,
        "split": list(dict.fromkeys([corpus.train, corpus.dev, *corpus.tests])),
    }
    for key, value in flatten(experiment.config).items():
        choices[key] = value if isinstance(value, list) else [value]
    filled: List[str] = []
    for pattern in patterns:
        pattern, _, condition = pattern.partition(" if ")
        texts = [pattern] if not condition or choices[condition] != [None] else []
        for name in re.findall(r"\{([\w.]+)\}", pattern):
            if name not in ("corpus", "recipe"):
                values = [str(value) for value in choices[name] if value is not None]
                texts = [text.replace("{" + name + "}", value) for text in texts for value in values]
        filled += texts
    return list(dict.fromkeys(filled))


def feeds(earlier: Stage, later: Stage, experiment: Experiment) -> bool:
    """Whether `later` reads something that `earlier` writes."""
    writes = [pattern.rstrip("?") for pattern in fill(earlier.writes, experiment)]
    for pattern in fill(later.reads, experiment):
        needed = pattern.rstrip("?")
        sources = [needed]
        if needed.startswith(AUDIO_OF):
            sources = [needed[len(AUDIO_OF) :], "{corpus}"]
        if any(_overlap(write, source) for write in writes for source in sources):
            return True
    return False


def locate(pattern: str, experiment: Experiment) -> Dict[str, Path]:
    """Files of a filled pattern, by the name they have in records; a missing one is named all the same."""
    pattern = pattern.rstrip("?")
    if pattern == "{corpus}":
        return _tree("corpus", experiment.corpus_directory, experiment.directory)
    if pattern.startswith("{recipe}/"):
        name = pattern[len("{recipe}/") :]
        return _tree(f"recipe/{name}", experiment.named(name))
    if pattern.startswith(AUDIO_OF):
        return _audio_of(experiment.directory / pattern[len(AUDIO_OF) :], experiment.corpus_directory)
    if "*" in pattern:
        found = sorted(experiment.directory.glob(pattern))
        return {str(file.relative_to(experiment.directory)): file for file in found}
    return _tree(pattern, experiment.directory / pattern)


def display(name: str) -> str:
    """A file's name in records, as it is said to a reader."""
    folder, _, rest = name.partition("/")
    if folder == "recipe":
        return rest
    if folder == "corpus" or name.startswith("/"):
        kind = "audio" if Path(name).suffix.lower() in AUDIO_SUFFIXES else "corpus"
        return f"{kind} {rest if folder == 'corpus' else name}".rstrip()
    return name


def _overlap(write: str, read: str) -> bool:
    return (
        write == read
        or read.startswith(write + "/")
        or write.startswith(read + "/")
        or fnmatch.fnmatch(write, read)
        or fnmatch.fnmatch(read, write)
    )


def _tree(name: str, place: Path, left_out: Optional[Path] = None) -> Dict[str, Path]:
    """The files below a folder in order of name, or the file itself."""
    if not place.is_dir():
        return {name: place}
    return {f"{name}/{relative}": place / relative for relative in sorted(walk(place, left_out))}


def walk(top: Path, left_out: Optional[Path] = None) -> Iterator[str]:
    """Names of the files below a folder; each folder once, whatever links there are.

    Hidden ones are no content, nor are links that lead nowhere, in a circle, or to a folder above, nor is
    the folder `left_out` or any other that experiments are in.
    """
    above = [os.stat(parent) for parent in Path(os.path.realpath(top)).parents]
    if left_out is not None and left_out.is_dir():
        above.append(os.stat(left_out))
    seen = {(status.st_dev, status.st_ino) for status in above}
    for folder, folders, files in os.walk(top, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen or ("recipe.yaml" in files and "stages" in folders):
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = [name for name in folders if not name.startswith(".")]
        prefix = os.path.relpath(folder, top)
        for name in files:
            if not name.startswith(".") and os.path.exists(os.path.join(folder, name)):
                yield name if prefix == "." else f"{prefix}/{name}"


class _Source(msgspec.Struct):
    type: str
    source: str


class _Recording(msgspec.Struct):
    sources: List[_Source]


class _Cut(msgspec.Struct):
    recording: Optional[_Recording] = None


def _audio_of(manifest: Path, corpus_directory: Path) -> Dict[str, Path]:
    """Audio files that the cuts of a lhotse manifest name."""
    try:
        cuts = msgspec.json.Decoder(_Cut).decode_lines(gzip.decompress(manifest.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return {}  # the manifest itself is listed as missing
    except (OSError, EOFError, zlib.error, ValueError, RecursionError, msgspec.DecodeError) as error:
        raise UserError(
            f"can't read {manifest}: {error}",
            expected="lhotse cuts",
            where=str(manifest),
            todo="run.sh --stage 1",
        ) from None
    sources = {source.source for cut in cuts if cut.recording for source in cut.recording.sources}
    roots = [f"{root}/" for root in dict.fromkeys([corpus_directory, corpus_directory.resolve()])]
    files: Dict[str, Path] = {}
    for source in sorted(sources):
        root = next((root for root in roots if source.startswith(root)), None)
        name = source[len(root) :] if root else source
        files[name if name.startswith("/") else f"corpus/{name}"] = corpus_directory / name
    return files

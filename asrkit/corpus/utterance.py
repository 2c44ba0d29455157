"""What a corpus module gives for each utterance, and how the module is found.

A corpus is one file, local/<name>.py, with two functions:

    download(corpus_directory: Path, config: RecipeConfig) -> None
        Put there what the recipe uses of the corpus; nothing to do if it is there. Raises UserError
        without network.
    utterances(corpus_directory: Path, config: CorpusConfig) -> Iterable[Utterance]
        Every utterance of every split, in an order that doesn't depend on the file system.
"""

import dataclasses
import importlib.util
import os
import sys
from pathlib import Path
from typing import Callable, Iterable, Optional, Protocol, cast

from asrkit.config.recipe import CorpusConfig, RecipeConfig
from asrkit.errors import UserError


@dataclasses.dataclass(frozen=True)
class Utterance:
    """A stretch of one recording, with what was said in it and who said it."""

    id: str  # unique over all splits
    audio: Path  # any format libsndfile reads: WAV, FLAC, Ogg, NIST SPHERE...
    text: str  # words with single spaces between them
    speaker: str
    split: str  # the corpus's own set, as corpus.train_sets, dev_sets, tests or else train, dev name it
    start: Optional[float] = None  # seconds into the recording; None: its beginning
    duration: Optional[float] = None  # seconds; None: to its end
    snr: Optional[float] = None  # signal-to-noise ratio in dB, where it is known; stage score counts by it
    # Writes the audio, where no file holds it; raises AudioProblem. One object for all of a recording.
    derive: Optional[Callable[[Path], None]] = None


class CorpusModule(Protocol):
    """The two functions that local/<name>.py defines."""

    def download(self, corpus_directory: Path, config: RecipeConfig) -> None:
        """Put the corpus into the folder, or do nothing if it is there."""

    def utterances(self, corpus_directory: Path, config: CorpusConfig) -> Iterable[Utterance]:
        """Every utterance of every split."""


def corpus_file(corpus_directory: Path, name: str) -> Path:
    """A file that a listing names: below the corpus's folder, or anywhere by its whole path.

    A name that leaves the folder keeps its `..`, for check_file to refuse.
    """
    path = os.path.normpath(name)
    return Path(os.path.abspath(corpus_directory)) / path


def refuse_absent(corpus_directory: Path, found: Iterable[Path], expected: str) -> None:
    """Raise UserError when nothing was found of a corpus that can't be downloaded."""
    if not any(file.exists() for file in found):
        raise UserError(
            f"no such corpus in {corpus_directory}",
            expected=expected,
            where=str(corpus_directory),
            todo="name the corpus's folder with --corpus-dir",
        )


def corpus_module_file(name: str, local_directory: Path) -> Path:
    """local/<name>.py; raises UserError when there is none."""
    file = local_directory / f"{name}.py"
    if not name.isidentifier() or not file.is_file():
        known = sorted(path.stem for path in local_directory.glob("*.py") if path.stem != "__init__")
        raise UserError(
            f"no corpus module {file}",
            expected=f"one of {', '.join(known)}" if known else "a file with download() and utterances()",
            where="corpus.module in recipe.yaml",
            todo=f"write {file} as local/yesno.py is, or correct corpus.module",
        )
    return file


def load_corpus_module(name: str, local_directory: Path) -> CorpusModule:
    """Import local/<name>.py; raises UserError when it is missing or lacks a function."""
    file = corpus_module_file(name, local_directory)
    specification = importlib.util.spec_from_file_location(f"local.{name}", file)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # dataclasses look their module up here
    specification.loader.exec_module(module)
    missing = [function for function in ("download", "utterances") if not hasattr(module, function)]
    if missing:
        raise UserError(
            f"{file} doesn't define {' and '.join(missing)}",
            expected="download(corpus_directory, config) and utterances(corpus_directory, config)",
            where=str(file),
            todo="see asrkit/corpus/utterance.py",
        )
    return cast(CorpusModule, module)

"""The interface of a corpus: one file, local/<name>.py, with the two functions of CorpusModule."""

import dataclasses
import importlib.util
import math
import os
import sys
from pathlib import Path
from typing import Any, Callable, Iterable, List, Mapping, Optional, Protocol, Tuple, cast

from asrkit.config.recipe import CorpusConfig, RecipeConfig
from asrkit.errors import UserError

CHILD = 15  # years, the age of the oldest children


@dataclasses.dataclass(frozen=True)
class Utterance:
    """An utterance: a segment of a recording, its transcript and its speaker."""

    id: str  # unique in the corpus
    audio: Path  # any format libsndfile reads: WAV, FLAC, Ogg, NIST SPHERE...
    text: str  # words separated by spaces
    speaker: str
    split: str  # the corpus's subset, as in corpus.train_sets, dev_sets, tests
    start: Optional[float] = None  # seconds into the recording; None: 0
    duration: Optional[float] = None  # seconds; None: to its end
    snr: Optional[float] = (
        None  # signal-to-noise ratio in dB, if known; stage score reports error rates by it
    )
    groups: Tuple[str, ...] = ()  # such as "gender f"; stage score reports error rates by them
    # Writes the audio if no file has it; raises AudioProblem. The same object for all of a recording.
    derive: Optional[Callable[[Path], None]] = None
    made_of: Tuple[Path, ...] = ()  # files that `derive` reads


def groups_of(facts: Mapping[str, Any]) -> Tuple[str, ...]:
    """Groups of a speaker by gender, age and accent, for example of {"gender": "F", "age": "12"}.

    Ages in years are told apart at CHILD, other values are taken as they are: "gender f", "age up to 15".
    """
    groups = []
    for kind in ("gender", "age", "accent"):
        value = " ".join(str(facts.get(kind) or facts.get(f"{kind}s") or "").split()).lower()
        value = {"male": "m", "female": "f"}.get(value, value) if kind == "gender" else value
        if kind == "age":
            value = _age_group(value)
        if value:
            groups.append(f"{kind} {value}")
    return tuple(groups)


def _age_group(age: str) -> str:
    """Younger or older than CHILD years; what isn't a number, such as "twenties", as it is."""
    try:
        years = float(age)
    except ValueError:
        return age
    if math.isnan(years):
        return ""
    return f"up to {CHILD}" if years <= CHILD else f"over {CHILD}"


class CorpusModule(Protocol):
    """The functions of local/<name>.py."""

    def download(self, corpus_directory: Path, config: RecipeConfig) -> None:
        """Download what the recipe needs, unless it is present; raises UserError without network."""

    def utterances(self, corpus_directory: Path, config: CorpusConfig) -> Iterable[Utterance]:
        """List every utterance of every split, in an order that doesn't depend on the file system."""


def corpus_file(corpus_directory: Path, name: str) -> Path:
    """The path of a file in a listing, absolute or relative to the corpus's folder.

    A relative path out of the folder keeps its `..`, and check_file refuses it.
    """
    return Path(os.path.abspath(corpus_directory)) / os.path.normpath(name)


def listings(corpus_directory: Path, config: CorpusConfig, pattern: str) -> List[Path]:
    """corpus.listing, or else the files in the corpus's folder that match `pattern`."""
    if config.listing is not None:
        return [corpus_directory / config.listing]
    return [file for file in sorted(corpus_directory.glob(pattern)) if not file.name.startswith(".")]


def refuse_absent(corpus_directory: Path, found: Iterable[Path], expected: str) -> None:
    """Raise UserError if no file of a corpus that can't be downloaded exists."""
    if not any(file.exists() for file in found):
        todo = "name the corpus's folder with --corpus-dir"
        raise UserError(f"no such corpus in {corpus_directory}", expected, str(corpus_directory), todo)


def corpus_module_file(name: str, local_directory: Path) -> Path:
    """local/<name>.py; raises UserError if it doesn't exist."""
    file = local_directory / f"{name}.py"
    if not name.isidentifier():
        todo = f"rename {file} and correct corpus.module" if file.is_file() else "correct corpus.module"
        expected = "a Python name: letters, digits and _, not beginning with a digit"
        raise UserError(f"the corpus module {name!r}", expected, "corpus.module in recipe.yaml", todo)
    if not file.is_file():
        known = sorted(path.stem for path in local_directory.glob("*.py") if path.stem != "__init__")
        raise UserError(
            f"no corpus module {file}",
            f"one of {', '.join(known)}" if known else "a file with download() and utterances()",
            "corpus.module in recipe.yaml",
            f"write {file} like local/yesno.py, or correct corpus.module",
        )
    return file


def load_corpus_module(name: str, local_directory: Path) -> CorpusModule:
    """Import local/<name>.py; raises UserError if it or a function is missing."""
    file = corpus_module_file(name, local_directory)
    specification = importlib.util.spec_from_file_location(f"local.{name}", file)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # dataclasses look up their module here
    specification.loader.exec_module(module)
    missing = [function for function in ("download", "utterances") if not hasattr(module, function)]
    if missing:
        raise UserError(
            f"{file} doesn't define {' and '.join(missing)}",
            "download(corpus_directory, config) and utterances(corpus_directory, config)",
            str(file),
            "see asrkit/corpus/utterance.py",
        )
    return cast(CorpusModule, module)

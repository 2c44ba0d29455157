"""The form of a corpus (table, Kaldi, CutSet, Common Voice), and the roles of its splits."""

import itertools
import os
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, Mapping, NamedTuple, Optional, Set

from asrkit.corpus.kaldi import data_directories
from asrkit.errors import UserError

# Prefixes of split names
TRAIN = ("train",)
DEV = ("dev", "valid", "val", "cv")
TESTS = ("test", "eval")
# Settings that assemble a split, in addition to the one that names it
MADE_OF = {"train": ("train_sets",), "dev": ("dev_sets", "dev_speakers"), "tests": ()}


class Source(NamedTuple):
    """A corpus in a form that needs no Python code of its own."""

    module: str  # local/<module>.py reads this form
    directory: Path  # for --corpus-dir
    listing: Optional[str] = None  # corpus.listing
    form: str = ""  # for run.sh and README.md
    content: str = ""  # what the directory contains, likewise


def identify_source(place: Path) -> Source:
    """The form of a file or folder; raises UserError if it is unknown."""
    place = Path(os.path.abspath(place))
    if place.is_file() and place.suffix == ".tsv":
        return Source("tsv", place.parent, place.name, "a table", place.name)
    if place.is_file() and ".jsonl" in place.name:
        return Source("cut_set", place.parent, place.name, "a lhotse CutSet", place.name)
    if data_directories(place, "train"):
        return Source(
            "kaldi", place, None, "Kaldi data directories", "wav.scp and text, or the data directories"
        )
    if (place / "clips").is_dir() and _has(place, "*.tsv"):
        return Source("common_voice", place, None, "a download of Common Voice", "clips and the tables")
    if _has(place, "*.tsv"):
        return Source("tsv", place, None, "tables", "the tables")
    if _has(place, "*cuts*.jsonl*"):
        return Source("cut_set", place, None, "lhotse CutSets", "the CutSets")
    raise UserError(
        f"no corpus in {place}" if place.exists() else f"{place} doesn't exist",
        "NAME.tsv with columns path, text, speaker; a Kaldi data directory, or a folder of them; "
        "a lhotse CutSet, NAME.jsonl.gz; or clips/ and validated.tsv of Common Voice",
        "--from",
        "check the name, or write local/NAME.py (docs/corpora.md, Any other corpus)",
    )


def _has(folder: Path, pattern: str) -> bool:
    return any(not file.name.startswith(".") for file in folder.glob(pattern))


def choose_splits(found: Iterable[str], given: Mapping[str, Any], where: Path) -> Dict[str, Any]:
    """Choose train, dev, tests and held_out of the corpus section by the names of the corpus's splits.

    `given`: settings of the corpus section, which take precedence. A split that they define isn't held out,
    and its subsets are used in no other split. Raises UserError if no split is for training.
    """
    names = sorted({*found, *given.get("held_out", ())}, key=lambda name: (len(name), name))
    taken = _names_in(given, "train", "train_sets", "dev", "dev_sets", "tests")
    chosen: Dict[str, Any] = {"train": "train", "dev": "dev", "tests": ["test"], "held_out": []}
    for key, prefixes in (("train", TRAIN), ("dev", DEV), ("tests", TESTS)):
        fitting = [name for name in names if name not in taken and name.lower().startswith(prefixes)]
        if key in given:
            chosen[key] = given[key]
        elif any(setting in given for setting in MADE_OF[key]):
            continue
        elif fitting:
            chosen[key] = fitting if key == "tests" else fitting[0]
        elif key == "train":
            others = "optionally names that begin with dev or valid, test or eval"
            expected = f"a name that begins with train; {others}"
            todo = "rename the splits, or name the one for training: --set corpus.train=NAME"
            raise UserError(f"the splits {', '.join(names) or '(no name)'}", expected, str(where), todo)
        else:
            name = next(name for name in _names_for(key) if name not in taken.union(names))
            chosen["held_out"].append(name)
            chosen[key] = [name] if key == "tests" else name
    return chosen


def _names_for(key: str) -> Iterator[str]:
    """Candidate names for a held-out split: a set with another role may have the usual one."""
    usual = "test" if key == "tests" else key
    return itertools.chain([usual], (f"{usual}{number}" for number in itertools.count(2)))


def _names_in(given: Mapping[str, Any], *keys: str) -> Set[str]:
    """Names of splits in the settings `keys`."""
    values = [given[key] for key in keys if key in given]
    return {name for value in values for name in ([value] if isinstance(value, str) else value)}

"""The form of a corpus (table, Kaldi, CutSet, Common Voice), and the roles of its splits."""

import os
from pathlib import Path
from typing import Any, Dict, Iterable, NamedTuple, Optional

from asrkit.corpus.kaldi import data_directories
from asrkit.errors import UserError

# Prefixes of split names
TRAIN = ("train",)
DEV = ("dev", "valid", "val", "cv")
TESTS = ("test", "eval")


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
    if (place / "clips").is_dir() and any(place.glob("*.tsv")):
        return Source("common_voice", place, None, "a download of Common Voice", "clips and the tables")
    if any(place.glob("*.tsv")):
        return Source("tsv", place, None, "tables", "the tables")
    if any(place.glob("*cuts*.jsonl*")):
        return Source("cut_set", place, None, "lhotse CutSets", "the CutSets")
    raise UserError(
        f"no corpus in {place}" if place.exists() else f"{place} doesn't exist",
        "NAME.tsv with columns path, text, speaker; a Kaldi data directory, or a folder of them; "
        "a lhotse CutSet, NAME.jsonl.gz; or clips/ and validated.tsv of Common Voice",
        "--from",
        "check the name, or write local/NAME.py (docs/corpora.md, Any other corpus)",
    )


def choose_splits(found: Iterable[str], where: Path) -> Dict[str, Any]:
    """train, dev, tests and held_out of the corpus section, chosen by the names of the corpus's splits.

    Raises UserError if no split is for training.
    """
    names = sorted(set(found), key=lambda name: (len(name), name))
    train, dev, tests = (
        [name for name in names if name.lower().startswith(prefixes)] for prefixes in (TRAIN, DEV, TESTS)
    )
    if not train:
        found = f"the splits {', '.join(names) or '(no name)'}"
        todo, others = "rename the splits", "optionally names that begin with dev or valid, test or eval"
        raise UserError(found, f"a name that begins with train; {others}", str(where), todo)
    return {
        "train": train[0],
        "dev": dev[0] if dev else "dev",
        "tests": tests or ["test"],
        "held_out": [name for name, present in (("dev", dev), ("test", tests)) if not present],
    }

"""What kind of corpus a file or folder is, and which of its splits are for what."""

import dataclasses
import os
from pathlib import Path
from typing import Any, Dict, Iterable, Optional

from asrkit.corpus.kaldi import data_directories
from asrkit.errors import UserError

# What the names of splits begin with
TRAIN = ("train",)
DEV = ("dev", "valid", "val", "cv")
TESTS = ("test", "eval")


@dataclasses.dataclass(frozen=True)
class Source:
    """A corpus in one of the forms that need no module of their own."""

    module: str  # local/<module>.py, which reads this form
    directory: Path  # for --corpus-dir
    listing: Optional[str] = None  # corpus.listing
    form: str = ""  # in words


def identify_source(place: Path) -> Source:
    """The form of a file or folder; UserError when it is none that is known."""
    place = Path(os.path.abspath(place))
    if place.is_file() and place.suffix == ".tsv":
        return Source("tsv", place.parent, place.name, "a table")
    if place.is_file() and ".jsonl" in place.name:
        return Source("cut_set", place.parent, place.name, "a lhotse CutSet")
    if data_directories(place, "train"):
        return Source("kaldi", place, form="Kaldi data directories")
    if (place / "clips").is_dir() and any(place.glob("*.tsv")):
        return Source("common_voice", place, form="a download of Common Voice")
    if any(place.glob("*.tsv")):
        return Source("tsv", place, form="tables")
    if any(place.glob("*cuts*.jsonl*")):
        return Source("cut_set", place, form="lhotse CutSets")
    raise UserError(
        f"no corpus in {place}" if place.exists() else f"{place} isn't there",
        expected="NAME.tsv with columns path, text, speaker; a folder with wav.scp and text, or of such; "
        "a lhotse CutSet, NAME.jsonl.gz; or clips and validated.tsv of Common Voice",
        where="--from",
        todo="check the name, or write local/NAME.py (README.md, Add a corpus)",
    )


def choose_splits(found: Iterable[str], where: Path) -> Dict[str, Any]:
    """train, dev, tests and held_out of the corpus section, by the names of the splits that there are.

    Raises UserError when none is for training.
    """
    names = sorted(set(found), key=lambda name: (len(name), name))
    train, dev, tests = (
        [name for name in names if name.lower().startswith(words)] for words in (TRAIN, DEV, TESTS)
    )
    if not train:
        raise UserError(
            f"the splits {', '.join(names) or 'of no name'}",
            expected="one whose name begins with train; and dev or valid, test or eval, where there are such",
            where=str(where),
            todo="rename them",
        )
    held_out = [name for name, there in (("dev", dev), ("test", tests)) if not there]
    return {
        "train": train[0],
        "dev": dev[0] if dev else "dev",
        "tests": tests or ["test"],
        "held_out": held_out,
    }

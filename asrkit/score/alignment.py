"""Levenshtein alignment of a hypothesis with its reference, and error counts."""

import collections
import dataclasses
from typing import List, Sequence, Tuple

import kaldialign

# Pairs (reference token, hypothesis token); a deletion has "" on the right, an insertion on the left.
Alignment = List[Tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Counts:
    """Error counts of one or more utterances, and the length of the reference in tokens."""

    reference: int = 0
    insertions: int = 0
    deletions: int = 0
    substitutions: int = 0

    @property
    def errors(self) -> int:
        """Insertions, deletions and substitutions together."""
        return self.insertions + self.deletions + self.substitutions

    @property
    def rate(self) -> float:
        """Errors in percent of the reference; infinite when only the reference is empty."""
        if self.reference == 0:
            return float("inf") if self.errors else 0.0
        return 100.0 * self.errors / self.reference

    def __add__(self, other: "Counts") -> "Counts":
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other))
        return Counts(*(mine + theirs for mine, theirs in pairs))

    def __str__(self) -> str:
        """Return for example "7/773 = 0.91 %"."""
        return f"{self.errors}/{self.reference} = {self.rate:.2f} %"


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> Alignment:
    """Minimum-error alignment (Levenshtein, all errors cost 1), by kaldialign."""
    pairs: Alignment = kaldialign.align(reference, hypothesis, "")
    return pairs


def count(alignment: Alignment) -> Counts:
    """Number of insertions, deletions and substitutions in an alignment."""
    kinds = collections.Counter(error_kind(*pair) for pair in alignment)
    return Counts(len(alignment) - kinds["I"], kinds["I"], kinds["D"], kinds["S"])


def error_kind(reference: str, hypothesis: str) -> str:
    """Return "I", "D" or "S" for a pair of an alignment, "" for a correct token."""
    if reference == hypothesis:
        return ""
    if not reference:
        return "I"
    return "S" if hypothesis else "D"

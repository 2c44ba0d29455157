"""Utterances that can't be used: listed with the reason, counted, and too many of them an error."""

import collections
import dataclasses
from pathlib import Path
from typing import Dict, List, Mapping, Sequence

from asrkit.errors import UserError
from asrkit.storage.files import write_jsonl


@dataclasses.dataclass(frozen=True)
class Rejection:
    """One utterance that a stage left out."""

    id: str
    split: str
    kind: str  # a few words, the same for all utterances with this fault
    detail: str = ""  # found and expected, for this utterance
    speaker: str = ""
    text: str = ""  # where it is known, scoring counts its words as deleted

    def row(self) -> Dict[str, str]:
        """As a row of rejected.jsonl."""
        reason = f"{self.kind}: {self.detail}" if self.detail else self.kind
        row = {"id": self.id, "split": self.split, "kind": self.kind, "reason": reason}
        row = {**row, "speaker": self.speaker, "text": self.text} if self.text else row
        # JSON may hold half of a surrogate pair, which UTF-8 can't
        return {key: value.encode("utf-8", "backslashreplace").decode() for key, value in row.items()}


def list_rejections(file: Path, rejections: Sequence[Rejection], tests: Sequence[str]) -> None:
    """Write rejected.jsonl, also when it has no rows, and print the summary."""
    write_jsonl(file, (rejection.row() for rejection in rejections))
    for line in summarise_rejections(rejections, tests):
        print(line)


def summarise_rejections(rejections: Sequence[Rejection], tests: Sequence[str]) -> List[str]:
    """Lines for the terminal: counts by split and kind, each with its first; losses from a test set."""
    lines: List[str] = []
    counts = collections.Counter((rejection.split, rejection.kind) for rejection in rejections)
    first = {(rejection.split, rejection.kind): rejection for rejection in reversed(rejections)}
    for (split, kind), count in sorted(counts.items()):
        example = first[split, kind]
        # Names of files are a stranger's, so control characters in them are escaped.
        shown = repr(f"{example.id} ({example.detail})" if example.detail else example.id)[1:-1]
        lines.append(f"{split}: {count} rejected: {kind}, {'first ' if count > 1 else ''}{shown}")
    for split in tests:
        lost = sum(count for (of, _), count in counts.items() if of == split)
        if lost:
            noun = "utterance" if lost == 1 else "utterances"
            lines.append(
                f"WARNING: {lost} {noun} of test set {split} can't be used: "
                "words in them count as deleted, and where there is no text the rate is on fewer words"
            )
    return lines


def refuse_too_many(
    rejections: Sequence[Rejection], totals: Mapping[str, int], max_bad_fraction: float, listing: Path
) -> None:
    """Raise UserError if more than `max_bad_fraction` of a split's utterances were rejected."""
    for split, total in totals.items():
        of_split = [rejection for rejection in rejections if rejection.split == split]
        if len(of_split) <= max_bad_fraction * total:
            continue
        rows = [rejection.row() for rejection in of_split[:5]]
        examples = "".join(f"\n    {row['id']}: {row['reason']}" for row in rows)
        more = f"\n    and {len(of_split) - len(rows)} more" if len(of_split) > len(rows) else ""
        raise UserError(
            f"{len(of_split)} of {total} utterances of {split} can't be used:{examples}{more}",
            expected=f"at most {max_bad_fraction:.2%} (corpus.max_bad_fraction)",
            where=str(listing),
            todo="fix the corpus, or raise corpus.max_bad_fraction if you can do without them",
        )

"""Rejected utterances: listed with their reason, counted, and an error if they are too many."""

import collections
import dataclasses
import math
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from asrkit.errors import UserError
from asrkit.storage.files import write_jsonl

# Kind of rejection -> the setting that accepts more utterances
ACCEPTED_BY = {
    "other sampling rate": "min_sampling_rate=HZ",
    "too short": "min_duration=SECONDS",
    "too long": "max_duration=SECONDS",
}


@dataclasses.dataclass(frozen=True)
class Rejection:
    """An utterance that a stage left out."""

    id: str
    split: str
    kind: str  # a short reason, the same for all utterances with this problem
    detail: str = ""  # found and expected, for this utterance
    speaker: str = ""
    text: str = ""  # if known, scoring counts its words as deletions
    groups: Sequence[str] = ()  # of its speaker; they and snr as in Utterance
    snr: Optional[float] = None

    def row(self) -> Dict[str, Any]:
        """A row of rejected.jsonl."""
        reason = f"{self.kind}: {self.detail}" if self.detail else self.kind
        row: Dict[str, Any] = {"id": self.id, "split": self.split, "kind": self.kind, "reason": reason}
        if self.text:
            row.update(speaker=self.speaker, text=self.text)
            row.update({"groups": list(self.groups)} if self.groups else {})
            row.update({"snr": self.snr} if self.snr is not None and math.isfinite(self.snr) else {})
        return {key: _encodable(value) for key, value in row.items()}


def _encodable(value: Any) -> Any:
    """Without lone surrogates, which JSON can contain and UTF-8 can't."""
    if isinstance(value, list):
        return [_encodable(each) for each in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def list_rejections(file: Path, rejections: Sequence[Rejection], tests: Sequence[str]) -> None:
    """Write rejected.jsonl, even if it is empty, and print the summary."""
    write_jsonl(file, (rejection.row() for rejection in rejections))
    for line in summarise_rejections(rejections, tests):
        print(line)


def summarise_rejections(rejections: Sequence[Rejection], tests: Sequence[str]) -> List[str]:
    """Counts per split and kind, each with an example; a WARNING for losses from a test set."""
    lines: List[str] = []
    counts = collections.Counter((rejection.split, rejection.kind) for rejection in rejections)
    first = {(rejection.split, rejection.kind): rejection for rejection in reversed(rejections)}
    for (split, kind), count in sorted(counts.items()):
        example = first[split, kind]
        # repr() escapes control characters in file names
        shown = repr(f"{example.id} ({example.detail})" if example.detail else example.id)[1:-1]
        lines.append(f"{split}: {count} rejected: {kind}, {'first ' if count > 1 else ''}{shown}")
    for split in tests:
        lost = sum(count for (of, _), count in counts.items() if of == split)
        if lost:
            noun = "utterance" if lost == 1 else "utterances"
            lines.append(
                f"WARNING: {lost} {noun} of test set {split} can't be used: "
                "their words count as deletions, or if there is no transcript, are not scored"
            )
    return lines


def refuse_unusable(
    rejections: Sequence[Rejection], used: Mapping[str, Sequence[object]], where: Path
) -> None:
    """Raise UserError if all utterances of a split were rejected; `used`: the valid ones, by split."""
    for split in (split for split, of in used.items() if not of):
        lost = [each for each in rejections if each.split == split]
        kinds = collections.Counter(each.kind for each in lost)
        first = {each.kind: each.row() for each in reversed(lost)}
        counts = "".join(
            f"\n    {count} rejected, first {first[kind]['id']}: {first[kind]['reason']}"
            for kind, count in kinds.most_common()
        )
        accepted = "".join(
            f"; or accept them: --set corpus.{setting}"
            for kind, setting in ACCEPTED_BY.items()
            if kind in kinds
        )
        found, expected = f"no utterance of {split} can be used:{counts}", "some with audio and text"
        raise UserError(found, expected, str(where), f"fix the corpus{accepted}")


def refuse_too_many(
    rejections: Sequence[Rejection], totals: Mapping[str, int], max_bad_fraction: float, listing: Path
) -> None:
    """Raise UserError if more than `max_bad_fraction` of a split's utterances were rejected."""
    for split, total in totals.items():
        rows = [rejection.row() for rejection in rejections if rejection.split == split]
        if len(rows) > max_bad_fraction * total:
            examples = "".join(f"\n    {row['id']}: {row['reason']}" for row in rows[:5])
            more = f"\n    and {len(rows) - 5} more" if len(rows) > 5 else ""
            raise UserError(
                f"{len(rows)} of {total} utterances of {split} can't be used:{examples}{more}",
                f"at most {max_bad_fraction:.2%} (corpus.max_bad_fraction)",
                str(listing),
                "fix the corpus, or raise corpus.max_bad_fraction to do without them",
            )

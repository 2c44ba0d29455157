"""Join references and hypotheses by utterance id; nothing is left out silently."""

import dataclasses
from pathlib import Path
from typing import Any, Dict, Iterable, List, Sequence

from asrkit.errors import UserError
from asrkit.storage.files import read_jsonl


@dataclasses.dataclass(frozen=True)
class Transcript:
    """An utterance's reference and hypothesis, in words."""

    id: str
    speaker: str
    reference: List[str]
    hypothesis: List[str]
    rejected: str = ""  # why it was never decoded; its whole reference then counts as deleted


def read_rejected(files: Iterable[Path], split: str) -> Dict[str, str]:
    """Reasons by id for the utterances of `split` that earlier stages couldn't use."""
    return {
        row["id"]: row["reason"]
        for file in files
        if file.exists()
        for row in read_jsonl(file)
        if row["split"] == split
    }


def join_transcripts(supervisions: Path, hypotheses: Path, rejected: Dict[str, str]) -> List[Transcript]:
    """Transcripts in order of their ids, one for each utterance of the reference.

    A rejected utterance (reason by id) gets an empty hypothesis, so that the denominator stays
    that of the whole set. Raises UserError when an id is double, extra or missing without a
    reason, or when the reference holds no word at all.
    """
    references = _by_id(supervisions)
    hypothesised = _by_id(hypotheses)
    missing = sorted(references.keys() - hypothesised.keys() - rejected.keys())
    extra = sorted(hypothesised.keys() - references.keys())
    if missing or extra:
        differences = [
            f"{len(ids)} {what}: {_first(ids)}"
            for ids, what in [(missing, "without a hypothesis"), (extra, "not in the reference")]
            if ids
        ]
        raise UserError(
            f"utterance ids don't match; {'; '.join(differences)}",
            expected=f"one hypothesis for each of the {len(references)} utterances of {supervisions}",
            where=str(hypotheses),
            todo="decode again: run.sh --stage 8",
        )
    joined = [
        Transcript(
            id=key,
            speaker=str(row.get("speaker") or "unknown"),
            reference=str(row.get("text") or "").split(),
            hypothesis=[] if key not in hypothesised else list(hypothesised[key]["hyp"]),
            rejected="" if key in hypothesised else rejected[key],
        )
        for key, row in sorted(references.items())
    ]
    if not any(transcript.reference for transcript in joined):
        raise UserError(
            "the reference holds no word",
            expected="supervisions with text",
            where=str(supervisions),
            todo="check the transcripts of the corpus, then run.sh --stage 1",
        )
    return joined


def _by_id(file: Path) -> Dict[str, Dict[str, Any]]:
    rows = read_jsonl(file)
    by_id = {str(row["id"]): row for row in rows}
    if len(by_id) < len(rows):
        ids = [str(row["id"]) for row in rows]
        double = sorted({key for key in ids if ids.count(key) > 1})
        raise UserError(
            f"{len(double)} ids are there twice: {_first(double)}",
            expected="each utterance once",
            where=str(file),
            todo="run the stage that wrote this file again",
        )
    return by_id


def _first(ids: Sequence[str], shown: int = 5) -> str:
    return ", ".join(ids[:shown]) + (f" and {len(ids) - shown} more" if len(ids) > shown else "")

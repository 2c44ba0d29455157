"""Join references and hypotheses by utterance id; every utterance is scored or listed as excluded."""

import collections
import dataclasses
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Tuple

import msgspec

from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.storage.files import read_jsonl


class _Utterance(msgspec.Struct):
    """A supervision or a cut."""

    id: str
    text: Optional[str] = None
    speaker: Optional[str] = None
    duration: Optional[float] = None
    custom: Optional[Dict[str, Any]] = None


class _Rejected(_Utterance, kw_only=True):
    split: str
    reason: str
    groups: List[str] = []
    snr: Optional[float] = None


class _Hypothesis(msgspec.Struct):
    id: str
    hyp: List[str]
    timed: Optional[List[Tuple[float, float, float]]] = None
    outcome: str = ""


@dataclasses.dataclass(frozen=True)
class Transcript:
    """Reference and hypothesis of an utterance, in words."""

    id: str
    speaker: str
    reference: List[str]
    hypothesis: List[str]
    rejected: str = ""  # why it was not decoded; then all its reference words count as deletions
    snr: Optional[float] = None  # dB, if known
    groups: Tuple[str, ...] = ()  # of speakers
    # [start, duration, confidence] per hypothesis word, in seconds; None without a lattice
    timed: Optional[List[List[float]]] = None
    duration: float = 0.0  # seconds; 0 if unknown
    outcome: str = ""  # the fallback (decode.nbest.OUTCOMES) that gave the hypothesis; "" for none


def load_transcripts(
    experiment: Experiment, split: str, method: str
) -> Tuple[List[Transcript], Dict[str, str]]:
    """Transcripts of a decoded set, and the reasons of the utterances excluded from scoring, by id.

    Signal-to-noise ratios and groups are the custom fields "snr" and "groups" of the set's cuts, and fields
    of rejected utterances, which have no cuts.
    """
    manifests, decoded = experiment.folder("manifests"), experiment.folder("decode")
    rejected = read_rejected(
        [stage / "rejected.jsonl" for stage in (manifests, experiment.folder("features"), decoded)], split
    )
    transcripts = join_transcripts(
        manifests / f"{split}_supervisions.jsonl.gz", decoded / split / f"hypotheses_{method}.jsonl", rejected
    )
    cuts = read_jsonl(manifests / f"{split}_cuts.jsonl.gz", _Utterance)
    custom = {**rejected, **{str(row["id"]): row.get("custom") or {} for row in cuts}}
    ratios = {key: of.get("snr") for key, of in custom.items()}
    groups = {key: tuple(map(str, of.get("groups") or ())) for key, of in custom.items()}
    known = {key: float(snr) for key, snr in ratios.items() if isinstance(snr, (int, float))}
    described = [
        dataclasses.replace(each, snr=known.get(each.id), groups=groups.get(each.id, ()))
        for each in transcripts
    ]
    return described, excluded(rejected, transcripts)


def read_rejected(files: Iterable[Path], split: str) -> Dict[str, Dict[str, Any]]:
    """Rows of rejected.jsonl by id: the utterances of `split` that earlier stages rejected."""
    rows = [row for file in files if file.exists() for row in read_jsonl(file, _Rejected)]
    return {str(row["id"]): row for row in rows if row["split"] == split}


def join_transcripts(
    supervisions: Path, hypotheses: Path, rejected: Dict[str, Dict[str, Any]]
) -> List[Transcript]:
    """Transcripts sorted by id, one per utterance of the reference.

    A rejected utterance gets an empty hypothesis, so the denominator is that of the whole set. If the
    supervisions lack it, its text is taken from rejected.jsonl; without a text it is left to `excluded`.
    Raises UserError for duplicate, extra and unexplained missing ids and for an empty reference.
    """
    decodable = _by_id(supervisions, _Utterance)
    references = {**{key: row for key, row in rejected.items() if row.get("text")}, **decodable}
    hypothesised = _by_id(hypotheses, _Hypothesis)
    missing = decodable.keys() - hypothesised.keys() - rejected.keys()
    faults = [
        f"{len(ids)} {what}: {_first(sorted(ids))}"
        for ids, what in (
            (missing, "without a hypothesis"),
            (hypothesised.keys() - decodable.keys(), "not in the reference"),
        )
        if ids
    ]
    if faults:
        empty = "the file of hypotheses is empty" if not hypothesised else ""
        raise UserError(
            empty or f"utterance ids don't match; {'; '.join(faults)}",
            f"one hypothesis for each of the {len(decodable)} utterances of {supervisions}",
            str(hypotheses),
            "decode again: run.sh --stage decode",
        )
    joined = []
    for key, row in sorted(references.items()):
        found = hypothesised.get(key, {})
        joined.append(
            Transcript(
                id=key,
                speaker=str(row.get("speaker") or "unknown"),
                reference=str(row.get("text") or "").split(),
                hypothesis=list(found.get("hyp", [])),
                rejected="" if found else str(rejected[key]["reason"]),
                timed=found.get("timed"),
                duration=float(row.get("duration") or 0.0),
                outcome=found.get("outcome", ""),
            )
        )
    if not any(transcript.reference for transcript in joined):
        todo = "check the transcripts of the corpus, then run.sh --stage manifests"
        raise UserError("the reference holds no word", "supervisions with text", str(supervisions), todo)
    return joined


def excluded(rejected: Dict[str, Dict[str, Any]], transcripts: Iterable[Transcript]) -> Dict[str, str]:
    """Reasons by id of the utterances excluded from scoring: no transcript or duplicate id."""
    scored = {transcript.id for transcript in transcripts if transcript.rejected}
    return {key: str(row["reason"]) for key, row in sorted(rejected.items()) if key not in scored}


def _by_id(file: Path, kind: Any) -> Dict[str, Dict[str, Any]]:
    rows = read_jsonl(file, kind)
    times = collections.Counter(str(row["id"]) for row in rows)
    if duplicates := sorted(key for key, number in times.items() if number > 1):
        found = f"{len(duplicates)} duplicate ids: {_first(duplicates)}"
        raise UserError(found, "each utterance once", str(file), "run the stage that wrote this file again")
    return {str(row["id"]): row for row in rows}


def _first(ids: List[str], shown: int = 5) -> str:
    return ", ".join(ids[:shown]) + (f" and {len(ids) - shown} more" if len(ids) > shown else "")

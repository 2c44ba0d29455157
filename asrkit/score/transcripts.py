"""Join references and hypotheses by utterance id; nothing is left out silently."""

import dataclasses
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

import msgspec

from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.storage.files import read_jsonl


class _Reference(msgspec.Struct):
    id: str
    text: Optional[str] = None
    speaker: Optional[str] = None
    duration: Optional[float] = None


class _Rejected(_Reference, kw_only=True):
    split: str
    reason: str


class _Hypothesis(msgspec.Struct):
    id: str
    hyp: List[str]
    timed: Optional[List[Tuple[float, float, float]]] = None
    outcome: str = ""


class _Cut(msgspec.Struct):
    id: str
    custom: Optional[Dict[str, Any]] = None


@dataclasses.dataclass(frozen=True)
class Transcript:
    """An utterance's reference and hypothesis, in words."""

    id: str
    speaker: str
    reference: List[str]
    hypothesis: List[str]
    rejected: str = ""  # why it was never decoded; its whole reference then counts as deleted
    snr: Optional[float] = None  # dB, where it is known
    # [start, duration, confidence] of each word of the hypothesis, in seconds, where its lattice told them
    timed: Optional[List[List[float]]] = None
    duration: float = 0.0  # seconds, where it is known
    outcome: str = ""  # of the search, if it isn't a lattice at the set beams: see decode.nbest.OUTCOMES


def load_transcripts(
    experiment: Experiment, split: str, method: str
) -> Tuple[List[Transcript], Dict[str, str]]:
    """Transcripts of a decoded set, and the reasons of those in no count; see join_transcripts and uncounted.

    Signal-to-noise ratios are taken from the custom field "snr" of the set's cuts.
    """
    stages = (experiment.folder("manifests"), experiment.folder("features"), experiment.folder("decode"))
    rejected = read_rejected([stage / "rejected.jsonl" for stage in stages], split)
    transcripts = join_transcripts(
        experiment.folder("manifests") / f"{split}_supervisions.jsonl.gz",
        experiment.folder("decode") / split / f"hypotheses_{method}.jsonl",
        rejected,
    )
    snr = _read_snr(experiment.folder("manifests") / f"{split}_cuts.jsonl.gz")
    with_snr = [dataclasses.replace(each, snr=snr.get(each.id)) for each in transcripts]
    return with_snr, uncounted(rejected, transcripts)


def read_rejected(files: Iterable[Path], split: str) -> Dict[str, Dict[str, Any]]:
    """Rows of rejected.jsonl by id: the utterances of `split` that earlier stages couldn't use."""
    found = [row for file in files if file.exists() for row in read_jsonl(file, _Rejected)]
    rows = [row for row in found if row["split"] == split]
    return {str(row["id"]): row for row in rows}


def join_transcripts(
    supervisions: Path, hypotheses: Path, rejected: Dict[str, Dict[str, Any]]
) -> List[Transcript]:
    """Transcripts in order of their ids, one for each utterance of the reference.

    A rejected utterance gets an empty hypothesis, so that the denominator stays that of the whole
    set; one that the supervisions lack is taken from its row of rejected.jsonl where that has a
    text, and else left to `uncounted`. Raises UserError when an id is double, extra or missing
    without a reason, or when the reference holds no word at all.
    """
    decodable = _by_id(supervisions, _Reference)
    references = {**{key: row for key, row in rejected.items() if row.get("text")}, **decodable}
    hypothesised = _by_id(hypotheses, _Hypothesis)
    if not hypothesised and decodable.keys() - rejected.keys():
        raise UserError(
            "the file of hypotheses is empty",
            expected=f"one hypothesis for each of the {len(decodable)} utterances of {supervisions}",
            where=str(hypotheses),
            todo="decode again: run.sh --stage decode",
        )
    _refuse_mismatch(
        missing=sorted(decodable.keys() - hypothesised.keys() - rejected.keys()),
        extra=sorted(hypothesised.keys() - decodable.keys()),
        supervisions=supervisions,
        hypotheses=hypotheses,
    )
    joined = [
        Transcript(
            id=key,
            speaker=str(row.get("speaker") or "unknown"),
            reference=str(row.get("text") or "").split(),
            hypothesis=list(hypothesised[key]["hyp"]) if key in hypothesised else [],
            rejected="" if key in hypothesised else str(rejected[key]["reason"]),
            timed=hypothesised.get(key, {}).get("timed"),
            duration=float(row.get("duration") or 0.0),
            outcome=hypothesised.get(key, {}).get("outcome", ""),
        )
        for key, row in sorted(references.items())
    ]
    if not any(transcript.reference for transcript in joined):
        raise UserError(
            "the reference holds no word",
            expected="supervisions with text",
            where=str(supervisions),
            todo="check the transcripts of the corpus, then run.sh --stage manifests",
        )
    return joined


def uncounted(rejected: Dict[str, Dict[str, Any]], transcripts: Iterable[Transcript]) -> Dict[str, str]:
    """Reasons by id of the rejected utterances that add nothing to the reference.

    Their text isn't known, or another utterance has their id.
    """
    counted = {transcript.id for transcript in transcripts if transcript.rejected}
    return {key: str(row["reason"]) for key, row in sorted(rejected.items()) if key not in counted}


def _refuse_mismatch(
    missing: Sequence[str], extra: Sequence[str], supervisions: Path, hypotheses: Path
) -> None:
    differences = [
        f"{len(ids)} {what}: {_first(ids)}"
        for ids, what in [(missing, "without a hypothesis"), (extra, "not in the reference")]
        if ids
    ]
    if differences:
        raise UserError(
            f"utterance ids don't match; {'; '.join(differences)}",
            expected=f"one hypothesis for each utterance of {supervisions}",
            where=str(hypotheses),
            todo="decode again: run.sh --stage decode",
        )


def _read_snr(cuts: Path) -> Dict[str, float]:
    """Signal-to-noise ratio in dB by id, of those cuts that bear a number of that name."""
    values = {str(row["id"]): (row.get("custom") or {}).get("snr") for row in read_jsonl(cuts, _Cut)}
    return {key: float(value) for key, value in values.items() if isinstance(value, (int, float))}


def _by_id(file: Path, kind: Any) -> Dict[str, Dict[str, Any]]:
    rows = read_jsonl(file, kind)
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

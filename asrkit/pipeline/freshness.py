"""Whether a stage is fresh, and if not, why, in one line."""

import dataclasses
from typing import Any, Dict, List, Literal, Mapping, Optional, Sequence

from asrkit.errors import escape
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.record import Origin, Record, find_origin, find_outputs, read_note, read_record
from asrkit.pipeline.stage import Stage, display, feeds
from asrkit.storage.fingerprint import FingerprintCache


@dataclasses.dataclass(frozen=True)
class Judgement:
    """The state of one stage and the reason for it."""

    stage: Stage
    state: Literal["fresh", "stale", "waits", "unfinished", "new"]
    reason: str
    origin: Origin
    record: Optional[Record]
    resumable: bool = False  # it was interrupted, and is still made from the same
    own_fault: bool = True  # not only that files differ which earlier stages make


def judge(stage: Stage, experiment: Experiment, cache: FingerprintCache) -> Judgement:
    """Compare a stage's record with what is there now, whatever the stages before it are."""
    origin = find_origin(stage, experiment, cache)
    record = read_record(stage, experiment)
    if record is None:
        note = read_note(stage, experiment)
        if note is None:
            return Judgement(stage, "new", "never run", origin, None)
        same = note.key == origin.key
        reason = "never finished" if same else "never finished, and what it is made from changed since"
        return Judgement(stage, "unfinished", reason, origin, None, same)
    inputs = _file_changes("", record.inputs, origin.inputs)
    own = [
        *_setting_changes(record.settings, origin.settings),
        *_file_changes("code ", record.code, origin.code).values(),
        *(reason for name, reason in inputs.items() if name.startswith(("recipe/", "corpus", "/"))),
        *_file_changes("output ", record.outputs, find_outputs(stage, experiment, cache)).values(),
    ]
    reasons = list(dict.fromkeys([*own, *inputs.values()]))
    if not reasons:
        return Judgement(stage, "fresh", "", origin, record, own_fault=False)
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return Judgement(stage, "stale", escape(reasons[0]) + more, origin, record, own_fault=bool(own))


def judge_all(stages: Sequence[Stage], experiment: Experiment, cache: FingerprintCache) -> List[Judgement]:
    """Judge each stage; one that may change once an earlier one has run "waits" for it."""
    judgements: List[Judgement] = []
    for stage in stages:
        judgement = judge(stage, experiment, cache)
        causes = [
            earlier
            for earlier in judgements
            if earlier.state != "fresh" and feeds(earlier.stage, stage, experiment)
        ]
        if causes and not judgement.own_fault:
            root = causes[0].reason if causes[0].state == "waits" else f"after {causes[0].stage}"
            judgement = dataclasses.replace(judgement, state="waits", reason=root)
        judgements.append(judgement)
    return judgements


def _setting_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> List[str]:
    def say(settings: Mapping[str, Any], key: str) -> str:
        return str(settings[key]) if key in settings else "not there"

    return [
        f"setting {key}: {say(before, key)} -> {say(now, key)}"
        for key in dict.fromkeys([*now, *before])
        if key not in before or key not in now or before[key] != now[key]
    ]


def _file_changes(
    kind: str, before: Mapping[str, Optional[str]], now: Mapping[str, Optional[str]]
) -> Dict[str, str]:
    """What differs, by the name of the file."""
    changes: Dict[str, str] = {}
    for name in dict.fromkeys([*now, *before]):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if new is None:
            change = "is no longer used" if kind == "code " else "is missing"
        elif old is None:
            change = "is new"
        else:
            change = "was changed" if kind == "output " else "changed"
        changes[name] = f"{kind}{display(name)} {change}"
    return changes

"""Whether a stage is fresh, and if not, the reason in one line."""

import dataclasses
from typing import Any, Dict, List, Literal, Mapping, Optional, Sequence

from asrkit.errors import escape
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.inputs import display
from asrkit.pipeline.record import (
    Listings,
    Origin,
    Record,
    find_code,
    find_origin,
    find_outputs,
    has_origin,
    read_listings,
    read_note,
    read_record,
    under_current_names,
)
from asrkit.pipeline.stage import Stage, feeds
from asrkit.pipeline.workspace import work_folder
from asrkit.storage.fingerprint import FingerprintCache


@dataclasses.dataclass(frozen=True)
class Judgement:
    """The state of one stage and the reason for it."""

    stage: Stage
    state: Literal["fresh", "stale", "waits", "unfinished", "new"]
    reason: str
    origin: Origin
    record: Optional[Record]
    own_fault: bool = True  # stale not only because earlier stages' outputs differ
    code_changes: Sequence[str] = ()  # of a fresh stage: source files that have changed since


def judge(stage: Stage, experiment: Experiment, cache: FingerprintCache, strict: bool = False) -> Judgement:
    """Compare a stage's record with its inputs, settings and outputs now; other stages don't matter.

    A change of code alone leaves a stage fresh unless `strict`: a change of results raises the version.
    """
    origin = find_origin(stage, experiment, cache)
    record = read_record(stage, experiment)
    if record is None:
        note = read_note(work_folder(stage, experiment, origin))
        if note is None:
            return Judgement(stage, "new", "never run", origin, None)
        changed = "" if has_origin(note, origin) else ", and its inputs or settings have changed since"
        return Judgement(stage, "unfinished", f"never finished{changed}", origin, None)
    record = under_current_names(record, origin)
    code = list(_changes("", record.code, find_code(stage, experiment, cache), {}, cache))
    outputs = find_outputs(stage, experiment, cache)
    unchanged = record.key == origin.key and record.outputs == outputs
    listings = {} if unchanged else read_listings(stage, experiment)
    inputs = _changes("", record.inputs, origin.inputs, listings, cache)
    version = record.version != origin.version
    own = [
        *([f"version {record.version} -> {origin.version}: its results differ"] if version else []),
        *_setting_changes(record.settings, origin.settings),
        *(f"code {name} changed" for name in (code if strict else [])),
        *(reason for name, reason in inputs.items() if name.startswith(("recipe/", "local/", "corpus", "/"))),
        *_changes("output ", record.outputs, outputs, listings, cache).values(),
    ]
    reasons = list(dict.fromkeys([*own, *inputs.values()]))
    if not reasons:
        return Judgement(stage, "fresh", "", origin, record, own_fault=False, code_changes=code)
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return Judgement(stage, "stale", escape(reasons[0]) + more, origin, record, own_fault=bool(own))


def judge_all(
    stages: Sequence[Stage], experiment: Experiment, cache: FingerprintCache, strict: bool = False
) -> List[Judgement]:
    """Judge each stage; one whose inputs an earlier stage is yet to rewrite "waits" for it."""
    judgements: List[Judgement] = []
    for stage in stages:
        judgement = judge(stage, experiment, cache, strict)
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


def describe_code_changes(judgement: Judgement) -> str:
    """For example "its code has changed since: model/acoustic.py; --stage train runs it again"."""
    changed = [name.replace("asrkit/", "", 1) for name in judgement.code_changes]
    named = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
    return f"its code has changed since: {named}; --stage {judgement.stage.name} runs it again"


def _setting_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> List[str]:
    return [
        f"setting {key}: {before.get(key, 'not there')} -> {now.get(key, 'not there')}"
        for key in dict.fromkeys([*now, *before])
        if key not in before or key not in now or before[key] != now[key]
    ]


def _changes(
    kind: str,
    before: Mapping[str, Optional[str]],
    now: Mapping[str, Optional[str]],
    listings: Listings,
    cache: FingerprintCache,
) -> Dict[str, str]:
    """What differs, by file name; of a group of files, each file that differs."""
    changes: Dict[str, str] = {}
    for name in dict.fromkeys([*now, *before]):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if name in listings and new is not None:
            changes.update(_changes(kind, listings[name], cache.listing(name), {}, cache))
            continue
        change = "was changed" if kind else "changed"
        if new is None or old is None:
            change = "is missing" if new is None else "is new"
        is_read = name.startswith(("/", "corpus/"))  # audio of the corpus, although declared as an output
        changes[name] = f"{'' if is_read else kind}{display(name)} {change}"
    return changes

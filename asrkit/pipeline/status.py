"""Tables of --status and --dry-run."""

import datetime
from typing import List, Sequence

from asrkit.errors import escape
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.freshness import Judgement, describe_code_changes, judge_all
from asrkit.pipeline.lock import read_holder
from asrkit.pipeline.record import read_note
from asrkit.pipeline.requirements import check_earlier_stages
from asrkit.pipeline.runner import Request, cache_of, check_settings
from asrkit.pipeline.stage import Stage, feeds
from asrkit.pipeline.workspace import current_training, find_training, trainings, work_folder

HEADER = ["stage", "state", "started", "duration", "size", "peak memory", "reason"]


def status_lines(stages: Sequence[Stage], experiment: Experiment, strict: bool = False) -> List[str]:
    """A table of all stages, then one of the trainings; writes nothing and takes no lock."""
    holder = read_holder(experiment.directory)
    running = holder.stage if holder else None
    rows = [HEADER]
    for judgement in judge_all(stages, experiment, cache_of(experiment), strict):
        rows.append(_row(judgement, experiment, judgement.stage.name == running))
    lines = align(rows)
    if holder:
        lines.append(f"running: {escape(str(holder))}")
    return lines + training_lines(stages, experiment)


def training_lines(stages: Sequence[Stage], experiment: Experiment) -> List[str]:
    """The kept trainings, if there are several: which one is used, their start and duration."""
    known = trainings(experiment)
    used = {current_training(experiment, stage.name) for stage in stages if stage.kept}
    lines = []
    for folder, record in known:
        when = f"{date(record.started)}, {duration(record.seconds)}" if record else "not finished"
        lines.append(f"{'used' if folder.name in used else 'kept'}  {folder.name}  {when}")
    return lines if len(known) > 1 else []


def dry_run_lines(stages: Sequence[Stage], experiment: Experiment, request: Request) -> List[str]:
    """What a run would do, one line per stage; writes nothing and takes no lock."""
    cache = cache_of(experiment)
    check_settings(experiment, request, cache)
    check_earlier_stages(stages, experiment, request.stages, cache)
    chosen = {stage.name for stage in request.stages}
    judgements = [
        judgement
        for judgement in judge_all(stages, experiment, cache, request.strict)
        if judgement.stage.name in chosen
    ]
    lines: List[str] = []
    rerun: List[Stage] = []
    for judgement in judgements:
        stage = judgement.stage
        asked = request.asks_for(stage)
        causes = [earlier for earlier in rerun if feeds(earlier, stage, experiment)]
        if judgement.state in ("stale", "new", "unfinished") or asked:
            again = request.force or judgement.state == "fresh"  # then it runs even if a training can be used
            origin = judgement.origin
            earlier = None if again else find_training(stage, experiment, origin, cache, request.strict)[0]
            found = f"; would use {earlier[0].name}, with these settings and inputs" if earlier else ""
            lines.append(f"would run {stage}: {judgement.reason or 'asked for'}{found}")
        elif causes:
            lines.append(f"may run {stage}: if outputs of {causes[0]} change")
        else:
            changes = f", {describe_code_changes(judgement)}" if judgement.code_changes else ""
            lines.append(f"would skip {stage}: fresh{changes}")
            continue
        rerun.append(stage)
    return lines


def _row(judgement: Judgement, experiment: Experiment, running: bool) -> List[str]:
    stage, record = judgement.stage, judgement.record
    state, reason = ("running", "") if running else (judgement.state, judgement.reason)
    if state == "fresh" and judgement.code_changes:
        reason = describe_code_changes(judgement)
    note = read_note(work_folder(stage, experiment, judgement.origin))
    begun = note if running or record is None else record
    costs = ["", "", ""]
    if record is not None and not running:
        costs = [duration(record.seconds), size(record.output_bytes), size(record.peak_bytes)]
    return [f"{stage.number} {stage.name}", state, date(begun.started) if begun else "", *costs, reason]


def align(rows: Sequence[Sequence[str]]) -> List[str]:
    """Rows of cells as lines with aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def date(seconds: float) -> str:
    """Seconds since the epoch as "2026-11-28 17:05"."""
    return f"{datetime.datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"


def duration(seconds: float) -> str:
    """Seconds as "1.2 s", "3:05 min" or "2:10 h"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d} min"
    return f"{minutes // 60}:{minutes % 60:02d} h"


def size(count: float) -> str:
    """Bytes as "12 kB", "3.4 GB"."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"

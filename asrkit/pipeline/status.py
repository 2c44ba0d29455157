"""Tables for --status and --dry-run."""

import datetime
from typing import List, Sequence

from asrkit.errors import escape
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.freshness import Judgement, judge_all
from asrkit.pipeline.lock import read_holder
from asrkit.pipeline.record import read_note
from asrkit.pipeline.requirements import check_earlier_stages
from asrkit.pipeline.runner import Request, cache_of
from asrkit.pipeline.stage import Stage, feeds

HEADER = ["stage", "state", "when", "how long", "size", "memory", "reason"]


def status_lines(stages: Sequence[Stage], experiment: Experiment) -> List[str]:
    """The state of every stage as an aligned table; writes nothing and takes no lock."""
    holder = read_holder(experiment.directory)
    running = holder.stage if holder else None
    rows = [HEADER]
    for judgement in judge_all(stages, experiment, cache_of(experiment)):
        rows.append(_row(judgement, experiment, judgement.stage.number == running))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    if holder:
        lines.append(f"running: {escape(str(holder))}")
    return lines


def dry_run_lines(stages: Sequence[Stage], experiment: Experiment, request: Request) -> List[str]:
    """What a run would do, a line a stage; writes nothing and takes no lock."""
    cache = cache_of(experiment)
    check_earlier_stages(stages, experiment, request.stages, cache)
    chosen = {stage.number for stage in request.stages}
    judgements = [
        judgement
        for judgement in judge_all(stages, experiment, cache)
        if judgement.stage.number in chosen
    ]
    lines: List[str] = []
    rerun: List[Stage] = []
    for judgement in judgements:
        stage = judgement.stage
        asked = request.force or stage == request.anew
        causes = [earlier for earlier in rerun if feeds(earlier, stage, experiment)]
        if judgement.state in ("stale", "new", "unfinished") or asked:
            lines.append(f"would run {stage}: {judgement.reason or 'asked for'}")
        elif causes:
            lines.append(f"may run {stage}: if {causes[0]} makes something else than before")
        else:
            lines.append(f"wouldn't run {stage}: fresh")
            continue
        rerun.append(stage)
    return lines


def _row(judgement: Judgement, experiment: Experiment, running: bool) -> List[str]:
    stage, record = judgement.stage, judgement.record
    state, reason = ("running", "") if running else (judgement.state, judgement.reason)
    begun = read_note(stage, experiment) if running or record is None else record
    when = f"{datetime.datetime.fromtimestamp(begun.started):%Y-%m-%d %H:%M}" if begun else ""
    costs = ["", "", ""]
    if record is not None and not running:
        costs = [duration(record.seconds), size(record.output_bytes), size(record.peak_bytes)]
    return [f"{stage.number} {stage.name}", state, when, *costs, reason]


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

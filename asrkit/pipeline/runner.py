"""Run the stages that must run, in order, each in a process of its own."""

import contextlib
import dataclasses
import importlib
import shutil
import signal
import sys
from pathlib import Path
from typing import List, Optional, Sequence

from asrkit.errors import UserError
from asrkit.pipeline.cost import add_stage
from asrkit.pipeline.experiment import Experiment, write_settings
from asrkit.pipeline.freshness import Judgement, judge
from asrkit.pipeline.interruption import Interrupted, signals_raise
from asrkit.pipeline.lock import ExperimentLock, hold_lock
from asrkit.pipeline.log import StageLog
from asrkit.pipeline.process import Guard, Outcome, run_in_child
from asrkit.pipeline.processor import prepare_processor
from asrkit.pipeline.record import (
    Note,
    Record,
    find_outputs,
    note_file,
    read_note,
    read_record,
    record_file,
    write_note,
    write_record,
)
from asrkit.pipeline.requirements import check_earlier_stages, check_inputs
from asrkit.pipeline.stage import Stage, display, fill, locate
from asrkit.storage.files import remove
from asrkit.storage.fingerprint import FingerprintCache


@dataclasses.dataclass(frozen=True)
class Request:
    """What the user asked for."""

    stages: Sequence[Stage]  # those chosen, in order
    anew: Optional[Stage] = None  # run though it is fresh: the one that --stage names
    force: bool = False  # run all of them, from their beginning
    debug: bool = False
    command: Sequence[str] = ()


def choose_stages(stages: Sequence[Stage], first: Optional[str], last: Optional[str]) -> List[Stage]:
    """The stages from `first` to `last`, each a number or a name; raises UserError for what isn't one."""
    begin = _find_stage(stages, first, "--stage") if first is not None else stages[0]
    end = _find_stage(stages, last, "--stop-stage") if last is not None else stages[-1]
    if end.number < begin.number:
        raise UserError(
            f"--stop-stage {end.number} comes before --stage {begin.number}",
            expected="the last stage to run, at or after the first",
            where="the command line",
        )
    return [stage for stage in stages if begin.number <= stage.number <= end.number]


def cache_of(experiment: Experiment) -> FingerprintCache:
    """The experiment's cache of fingerprints."""
    return FingerprintCache(experiment.records / "fingerprints.json")


def run_stages(stages: Sequence[Stage], experiment: Experiment, request: Request) -> None:
    """Run what must run of the chosen stages; `stages` are all of the recipe.

    Raises UserError when a stage fails or lacks what it reads, Interrupted after a signal.
    """
    with signals_raise(), hold_lock(experiment.directory, request.command) as lock:
        write_settings(experiment)
        _Run(stages, experiment, request, lock).run()


def must_run(stage: Stage, experiment: Experiment, request: Request) -> bool:
    """Whether run_stages runs a stage of the request, told without the lock and without writing anything."""
    if request.force or stage == request.anew or read_record(stage, experiment) is None:
        return True
    try:
        return judge(stage, experiment, cache_of(experiment)).state != "fresh"
    except FileNotFoundError:  # run_stages in another process clears away what is stale
        return True


class _Run:
    """One run: the lock is held."""

    def __init__(
        self, stages: Sequence[Stage], experiment: Experiment, request: Request, lock: ExperimentLock
    ) -> None:
        self.stages = stages
        self.experiment = experiment
        self.request = request
        self.lock = lock
        self.cache = cache_of(experiment)
        self.guard: Optional[Guard] = None  # started when the first stage needs it

    def run(self) -> None:
        fresh: List[Stage] = []
        try:
            check_earlier_stages(self.stages, self.experiment, self.request.stages, self.cache)
            for stage in self.request.stages:
                if not self._run_if_needed(stage):
                    fresh.append(stage)
        finally:
            if self.guard is not None:
                self.guard.close()
            with contextlib.suppress(UserError):  # a cache
                self.cache.save()
        if len(fresh) == len(self.stages):
            print(f"nothing to do: all {len(fresh)} stages are fresh")
        elif fresh:
            print(f"fresh, so not run: {_list(fresh)}")

    def _run_if_needed(self, stage: Stage) -> bool:
        judgement = judge(stage, self.experiment, self.cache)
        reason = judgement.reason
        if judgement.state == "fresh":
            if not (self.request.force or stage == self.request.anew):
                return False
            reason = "asked for with --force" if self.request.force else "asked for with --stage"
        print(f"{stage}: {stage.purpose}\n{stage}: {reason}", flush=True)
        check_inputs(stage, self.stages, self.experiment)
        note = self._begin(judgement)
        self.lock.say_stage(stage.number)
        log = StageLog(
            self.experiment.logs / f"{stage.file_name}.log",
            f"{stage}: {reason}: {' '.join(self.request.command)}",
        )
        try:
            outcome = self._run_child(stage, log)
            self._refuse_failure(stage, outcome, log)
            self._finish(judgement, note, outcome)
            line = f"{stage}: done in {outcome.seconds:.1f} s, at most {outcome.peak_bytes / 1e6:.0f} MB"
            print(line, flush=True)
            log.write_line(f"==== {line}")
        finally:
            log.close()
            self.lock.say_stage(None)
        return True

    def _begin(self, judgement: Judgement) -> Note:
        """Drop what an earlier run left, unless this one goes on with it."""
        stage, experiment = judgement.stage, self.experiment
        resumes = judgement.resumable and not self.request.force
        earlier = read_note(stage, experiment) if resumes else None
        if not resumes:
            # In this order, so that what is left can't be taken for the work of the new run.
            for file in (record_file(stage, experiment), note_file(stage, experiment)):
                remove(file)
            _clear(stage, experiment.directory / stage.name)
        return write_note(stage, experiment, judgement.origin.key, earlier)

    def _run_child(self, stage: Stage, log: StageLog) -> Outcome:
        if self.guard is None:
            self.guard = Guard()
        for library in stage.libraries:
            _preload(library)
        note = note_file(stage, self.experiment)

        def work() -> None:
            importlib.import_module(stage.module).run(self.experiment)

        def heartbeat() -> None:
            with contextlib.suppress(OSError):
                note.touch()

        try:
            return run_in_child(work, log, self.guard, heartbeat)
        except Interrupted as interruption:
            log.write_line(f"==== {stage}: interrupted by {interruption}")
            raise

    def _refuse_failure(self, stage: Stage, outcome: Outcome, log: StageLog) -> None:
        if outcome.status == 0 and outcome.report:
            return
        report = outcome.report
        if "user_error" in report:
            log.write_line(f"==== {stage}: {report['user_error']}")
            raise UserError(f"{stage}: {report['user_error']}")
        todo = "the log holds the traceback; --debug shows it" if "traceback" in report else ""
        if "traceback" in report:
            for line in report["traceback"].splitlines():
                log.write_line(line)
            if self.request.debug:
                sys.stderr.write(report["traceback"])
            found = f"{stage} failed: {report['error']}"
        elif outcome.status & 0x7F:
            number = outcome.status & 0x7F
            found = f"{stage} was ended by {signal.Signals(number).name}"
            todo = "run the same command again: it resumes"
            if number == signal.SIGKILL:
                found += ", often because memory ran out"
        else:
            found = f"{stage} ended without a word, with exit status {outcome.status >> 8}"
        log.write_line(f"==== {found}")
        raise UserError(found, where=str(log.file), todo=todo)

    def _finish(self, judgement: Judgement, note: Note, outcome: Outcome) -> None:
        stage, experiment, origin = judgement.stage, self.experiment, judgement.origin
        outputs = find_outputs(stage, experiment, self.cache)
        missing = [display(name) for name, fingerprint in outputs.items() if fingerprint is None]
        if missing:
            raise UserError(
                f"{stage} ended, but {', '.join(missing)} is missing",
                expected=f"all that it writes: {', '.join(fill(stage.writes, experiment))}",
                where=str(experiment.directory),
                todo="report this: it is a fault of asrkit",
            )
        seconds = note.seconds_before + outcome.seconds
        record = Record(
            inputs=origin.inputs,
            settings=origin.settings,
            code=origin.code,
            outputs={name: fingerprint for name, fingerprint in outputs.items() if fingerprint},
            started=note.started,
            seconds=seconds,
            peak_bytes=outcome.peak_bytes,
            output_bytes=_size(stage, experiment),
            command=list(self.request.command),
        )
        add_stage(experiment, stage.name, seconds, outcome.peak_bytes, outcome.report.get("device"))
        write_record(stage, experiment, record)
        self.cache.save()


def _find_stage(stages: Sequence[Stage], text: str, option: str) -> Stage:
    for stage in stages:
        if text in (str(stage.number), stage.name):
            return stage
    raise UserError(
        f"{option} {text}: no such stage",
        expected=f"one of {', '.join(f'{stage.number} {stage.name}' for stage in stages)}",
        where="the command line",
    )


def _clear(stage: Stage, folder: Path) -> None:
    """Remove the stage's folder; one that took long to make is kept aside, in place of the one before it.

    Raises UserError where the file system doesn't let one.
    """
    aside = folder.with_name(f"{folder.name}.previous")
    try:
        if not folder.exists():
            return
        if stage.precious and any(folder.iterdir()):
            if aside.is_symlink():
                aside.unlink()
            elif aside.exists():
                shutil.rmtree(aside)
            folder.rename(aside)
            print(f"{stage}: begins anew; the earlier one is kept in {aside.name}", flush=True)
        else:
            shutil.rmtree(folder)
    except OSError as error:
        kept = f", to be kept in {aside.name}" if stage.precious else ""
        raise UserError(
            f"{stage} can't clear away what an earlier run made{kept}: {error.strerror}",
            expected="a folder that may be moved and removed",
            where=str(error.filename),
            todo="mend the permissions or move it away, then run the same command",
        ) from error


def _preload(library: str) -> None:
    """Import a library once, for all the children to come."""
    if library not in sys.modules:
        prepare_processor()
        with contextlib.suppress(ImportError):  # the stage says so, if it can't do without
            importlib.import_module(library)


def _size(stage: Stage, experiment: Experiment) -> int:
    """Bytes of the stage's folder and of what it wrote elsewhere in the experiment."""
    patterns = [stage.name, *fill(stage.writes, experiment)]
    files = {
        file
        for pattern in patterns
        if pattern != "{corpus}"
        for file in locate(pattern, experiment).values()
        if file.is_file()
    }
    return sum(file.stat().st_size for file in files)


def _list(stages: Sequence[Stage]) -> str:
    if len(stages) == 1:
        return str(stages[0])
    return "stages " + ", ".join(f"{stage.number} {stage.name}" for stage in stages)

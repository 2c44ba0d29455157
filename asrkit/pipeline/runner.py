"""Run the stages that have to run, in order, each in a process of its own."""

import contextlib
import dataclasses
import importlib
import signal
import sys
from pathlib import Path
from typing import AbstractSet, Any, Dict, List, Mapping, Optional, Sequence

from asrkit.config import load_config
from asrkit.config.checks import settings_without_effect
from asrkit.config.view import declared_settings
from asrkit.errors import UserError
from asrkit.pipeline.command import run_command
from asrkit.pipeline.cost import write_cost
from asrkit.pipeline.experiment import Experiment, remember_corpus, with_values, write_settings
from asrkit.pipeline.freshness import Judgement, describe_code_changes, judge, judge_all
from asrkit.pipeline.inputs import display, find_all
from asrkit.pipeline.interruption import Interrupted, signals_raise, signals_wait
from asrkit.pipeline.lock import ExperimentLock, NotWritable, hold_lock
from asrkit.pipeline.machine import count_cores, prepare_processor
from asrkit.pipeline.output import StageLog
from asrkit.pipeline.parallel import run_parallel
from asrkit.pipeline.process import Guard, Outcome, run_in_child
from asrkit.pipeline.progress import Progress
from asrkit.pipeline.record import (
    NOTE,
    Note,
    Record,
    find_code,
    find_outputs,
    made_with,
    read_record,
    settings_of,
    write_listings,
)
from asrkit.pipeline.requirements import check_earlier_stages, check_inputs
from asrkit.pipeline.stage import AUDIO_OF, Stage, fill
from asrkit.pipeline.workspace import begin, find_training, publish, recover, remove_unfinished, work_folder
from asrkit.storage.fingerprint import FingerprintCache


@dataclasses.dataclass(frozen=True)
class Request:
    """What the user asked for."""

    stages: Sequence[Stage]  # the chosen ones, in order
    again: Optional[Stage] = None  # that --stage names: runs even if it is fresh
    force: bool = False  # run all chosen stages from scratch
    strict: bool = False  # a change of code makes a stage stale
    debug: bool = False
    command: Sequence[str] = ()

    def asks_for(self, stage: Stage) -> bool:
        """Whether a stage runs even if it is fresh."""
        return self.force or stage == self.again


def choose_stages(stages: Sequence[Stage], first: Optional[str], last: Optional[str]) -> List[Stage]:
    """The stages from `first` to `last`, each a number or a name; raises UserError for any other text."""
    begin = _find_stage(stages, first, "--stage") if first is not None else stages[0]
    end = _find_stage(stages, last, "--stop-stage") if last is not None else stages[-1]
    if end.order < begin.order:
        found = f"--stop-stage {end.number} comes before --stage {begin.number}"
        raise UserError(found, "the last stage to run, at or after the first", "the command line")
    return [stage for stage in stages if begin.order <= stage.order <= end.order]


def _find_stage(stages: Sequence[Stage], text: str, option: str) -> Stage:
    for stage in stages:
        if text in (str(stage.number), stage.name):
            return stage
    names = ", ".join(f"{stage.number} {stage.name}" for stage in stages)
    todo = f"give its number or name: {option} {stages[0].name}" if stages else ""
    raise UserError(f"{option} {text}: no such stage", f"one of {names}", "the command line", todo)


def cache_of(experiment: Experiment) -> FingerprintCache:
    """The experiment's cache of fingerprints."""
    return FingerprintCache(
        experiment.records / "fingerprints", count_cores(), lambda name, count: Progress(name, count, "files")
    )


def run_stages(stages: Sequence[Stage], experiment: Experiment, request: Request) -> None:
    """Run those of the chosen stages that have to run; `stages` are all stages of the recipe.

    Raises UserError when a stage fails or an input is missing, Interrupted after a signal. A read-only
    experiment is accepted if nothing has to run.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(signals_raise())
        try:
            lock = stack.enter_context(hold_lock(experiment.directory, request.command))
        except NotWritable:
            if any(must_run(stage, experiment, request) for stage in request.stages):
                raise
            _report_fresh(request.stages, stages)
            return
        remember_corpus(experiment)
        stack.callback(remember_corpus, experiment)  # stage download may make it
        for stage in stages:
            recover(stage, experiment)
        _Run(stages, experiment, request, lock, cache_of(experiment)).run()


def check_settings(experiment: Experiment, request: Request, cache: FingerprintCache) -> None:
    """Raise UserError for settings that a stage can't use on this machine, before any stage runs.

    Checks run in their own process: a check may start torch's threads, and a stage that is forked afterwards
    would wait for them forever.
    """

    def check(stage: Stage) -> None:
        module = importlib.import_module(stage.module)
        for name, given in (("check", experiment.config), ("check_files", experiment)):
            if hasattr(module, name):
                getattr(module, name)(given)

    run_parallel(check, _stages_to_check(experiment, request, cache), 1, lambda *_: None)


def _stages_to_check(experiment: Experiment, request: Request, cache: FingerprintCache) -> List[Stage]:
    """Stages that will or may run with changed settings, including those of Stage.how."""
    certain: List[Stage] = []
    perhaps: List[Stage] = []
    void = settings_without_effect(experiment.config)
    for stage in (stage for stage in request.stages if stage.module):
        record = read_record(stage, experiment)
        settings = settings_of(experiment, stage.result, (*stage.how, *void))
        if record is None or request.asks_for(stage) or _without(record.settings, void) != settings:
            certain.append(stage)
        elif record.how != settings_of(experiment, stage.how):
            perhaps.append(stage)
    if not perhaps:
        return certain
    judgements = judge_all(request.stages, experiment, cache, request.strict)
    running = {each.stage for each in judgements if each.state != "fresh"}.union(certain)
    return certain + [stage for stage in perhaps if any(each.order <= stage.order for each in running)]


def _without(settings: Mapping[str, Any], names: AbstractSet[str]) -> Dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in names}


def must_run(stage: Stage, experiment: Experiment, request: Request) -> bool:
    """Whether run_stages would run a stage of the request; takes no lock and writes nothing."""
    if request.asks_for(stage) or read_record(stage, experiment) is None:
        return True
    try:
        cache = cache_of(experiment)
        judgement = judge(stage, experiment, cache, request.strict)
        found, _ = find_training(stage, experiment, judgement.origin, cache, request.strict)
        return judgement.state != "fresh" and found is None
    except FileNotFoundError:  # run_stages in another process is replacing what is stale
        return True


def run_here(stage: Stage, experiment: Experiment) -> Any:
    """Run a stage in this process, as ranks above 0 of a training do."""
    origin = judge(stage, experiment, cache_of(experiment)).origin
    folder = work_folder(stage, experiment, origin)
    return _execute(stage, dataclasses.replace(experiment, folders={stage.name: folder}))


def _execute(stage: Stage, experiment: Experiment) -> Any:
    """Call a stage's `run` with the settings that it declares, and return its result."""
    if stage.command:
        return run_command(stage, experiment)
    view = declared_settings(experiment.config, (*stage.result, *stage.how), str(stage))
    return importlib.import_module(stage.module).run(dataclasses.replace(experiment, config=view))


@dataclasses.dataclass
class _Run:
    """One run, which holds the lock."""

    stages: Sequence[Stage]
    experiment: Experiment
    request: Request
    lock: ExperimentLock
    cache: FingerprintCache
    guard: Optional[Guard] = None  # started when the first stage needs it
    running: Optional[Stage] = None

    def run(self) -> None:
        fresh: List[Stage] = []
        try:
            check_settings(self.experiment, self.request, self.cache)
            check_earlier_stages(self.stages, self.experiment, self.request.stages, self.cache)
            for stage in self.request.stages:
                self.running = stage
                judgement = judge(stage, self.experiment, self.cache, self.request.strict)
                if judgement.state == "fresh" and not self.request.asks_for(stage):
                    fresh.append(stage)
                    remove_unfinished(stage, self.experiment, judgement.origin)
                    if judgement.code_changes:
                        print(f"{stage}: fresh, {describe_code_changes(judgement)}")
                elif not self._use_earlier(judgement):
                    self._run_stage(judgement)
            self._write_accounts()
        except Interrupted as interruption:
            interruption.todo = f"{self._resuming()} resumes"
            raise
        finally:
            if self.guard is not None:
                self.guard.close()
            with contextlib.suppress(UserError):  # a cache
                self.cache.save()
        _report_fresh(fresh, self.stages)

    def _resuming(self) -> str:
        """The command that resumes the interrupted stage."""
        request, running = self.request, self.running
        if running is None or (not request.force and request.again in (None, running)):
            return "the same command"
        force = ", without --force," if request.force else ""
        return f"the same command with --stage {running.name}{force}"

    def _use_earlier(self, judgement: Judgement) -> bool:
        """Use an earlier training with the same settings and inputs; False if there is none."""
        stage = judgement.stage
        if judgement.state == "fresh" or self.request.force:
            return False
        strict = self.request.strict
        found, damaged = find_training(stage, self.experiment, judgement.origin, self.cache, strict)
        for name in damaged:
            print(f"{stage}: {name} has the same settings, but its files have changed: not used")
        if found is None:
            return False
        folder, record = found
        publish(stage, self.experiment, folder, record)
        self._write_accounts(stage)
        print(f"{stage}: {judgement.reason}")
        print(f"{stage}: uses {folder.name}, which has these settings and inputs")
        return True

    def _run_stage(self, judgement: Judgement) -> None:
        stage = judgement.stage
        reason = judgement.reason or f"asked for with {'--force' if self.request.force else '--stage'}"
        print(f"{stage}: {stage.purpose}\n{stage}: {reason}", flush=True)
        check_inputs(stage, self.stages, self.experiment)
        folder, note = begin(stage, self.experiment, judgement.origin, self.request.force)
        self.lock.set_stage(stage.name)
        title = f"{stage}: {reason}: {' '.join(self.request.command)}"
        log = StageLog(self.experiment.logs / f"{stage.name}.log", title)
        working = dataclasses.replace(self.experiment, folders={} if stage.command else {stage.name: folder})
        try:
            outcome = self._run_child(stage, working, folder, log)
            self._refuse_failure(stage, outcome, log)
            self.cache.forget_groups()
            record = self._make_record(judgement, working, note, outcome)
            publish(stage, self.experiment, folder, record)
            self._write_accounts(stage)
            self.cache.save()
            line = f"{stage}: done in {outcome.seconds:.1f} s, peak memory {outcome.peak_bytes / 1e6:.0f} MB"
            print(line, flush=True)
            log.write_line(f"==== {line}")
        finally:
            log.close()
            self.lock.set_stage(None)

    def _run_child(self, stage: Stage, working: Experiment, folder: Path, log: StageLog) -> Outcome:
        if self.guard is None:
            self.guard = Guard()
        for library in stage.libraries:
            _preload(library)

        def heartbeat() -> None:
            with contextlib.suppress(OSError):
                (folder / NOTE).touch()

        try:
            return run_in_child(lambda: _execute(stage, working), log, self.guard, heartbeat)
        except Interrupted as interruption:
            log.write_line(f"==== {stage}: interrupted by {interruption}")
            raise

    def _refuse_failure(self, stage: Stage, outcome: Outcome, log: StageLog) -> None:
        """Log a stage's failure and raise UserError for it."""
        report, where, todo = outcome.report, str(log.file), ""
        number = outcome.status & 0x7F  # of the signal that killed it, or 0
        if "user_error" in report:
            found, expected, where, todo = report["user_error"]
            failure = UserError(f"{stage}: {found}", expected, where, todo)
        elif "traceback" in report:
            for line in report["traceback"].splitlines():
                log.write_line(line)
            if self.request.debug:
                print(report["traceback"], file=sys.stderr)
            todo = "the log has the traceback; --debug prints it"
            failure = UserError(f"{stage} failed: {report['error']}", "", where, todo)
        elif number:
            hint = " (often: out of memory)" if number == signal.SIGKILL else ""
            found = f"{stage} was killed by {signal.Signals(number).name}{hint}"
            failure = UserError(found, "", where, f"{self._resuming()} resumes")
        elif outcome.status or not report:
            found = f"{stage} exited with status {outcome.status >> 8} and no error report"
            failure = UserError(found, "", where)
        else:
            return
        for line in f"==== {failure}".split("\n"):
            log.write_line(line)
        raise failure

    def _make_record(self, judgement: Judgement, working: Experiment, note: Note, outcome: Outcome) -> Record:
        """The record of a stage that has succeeded; raises UserError if an output is missing."""
        stage, origin = judgement.stage, judgement.origin
        outputs = find_outputs(stage, working, self.cache)
        missing = [display(name) for name, fingerprint in outputs.items() if fingerprint is None]
        if missing:
            raise UserError(
                f"{stage} ended, but {', '.join(missing)} is missing",
                f"all declared outputs: {', '.join(fill(stage.writes, working))}",
                str(working.folder(stage.name)),
                "check that the command writes what --writes names"
                if stage.command
                else "this is a bug in asrkit; please report it",
            )
        write_listings(stage, working, self.cache)
        return Record(
            key=origin.key,
            inputs=origin.inputs,
            settings=origin.settings,
            how=settings_of(working, stage.how),
            version=stage.version,
            code=find_code(stage, working, self.cache),
            outputs={name: fingerprint for name, fingerprint in outputs.items() if fingerprint},
            started=note.started,
            seconds=note.seconds_before + outcome.seconds,
            peak_bytes=outcome.peak_bytes,
            output_bytes=_size(stage, working),
            command=list(self.request.command),
            device=outcome.report.get("device"),
        )

    def _write_accounts(self, ran: Optional[Stage] = None) -> None:
        """Update EXP/recipe.yaml and EXP/cost.json with the settings and costs of the finished stages.

        `ran`: the stage that has just finished. Without it, files that were changed or lost are repaired.
        """
        found = {stage.name: read_record(stage, self.experiment) for stage in self.stages}
        records = {name: record for name, record in found.items() if record is not None}
        if not records:
            return
        base = self.experiment.config
        if ran is None:  # settings that no finished stage has recorded stay as in the last run
            with contextlib.suppress(UserError):
                base = load_config(self.experiment.directory / "recipe.yaml", earlier=True)
        made = with_values(base, made_with(records.values()))
        write_settings(self.experiment.directory, made)
        working = dataclasses.replace(self.experiment, config=made)
        write_cost(working, records, None if ran is None else ran.name)


def _preload(library: str) -> None:
    """Import a library once, for all the children to come."""
    if library not in sys.modules:
        prepare_processor()
        with signals_wait(), contextlib.suppress(ImportError):  # the stage reports it if need be
            importlib.import_module(library)


def _size(stage: Stage, working: Experiment) -> int:
    """Bytes that a stage wrote below the experiment."""
    own = (pattern for pattern in stage.writes if pattern != "{corpus}" and not pattern.startswith(AUDIO_OF))
    writes = [stage.name, *own]
    files = {file.path: file.size for found in find_all(writes, working) for file in found.files}
    return sum(files.values())


def _report_fresh(fresh: Sequence[Stage], stages: Sequence[Stage]) -> None:
    if len(fresh) == len(stages):
        print(f"nothing to do: all {len(fresh)} stages are fresh")
    elif fresh:
        names = ", ".join(f"{stage.number} {stage.name}" for stage in fresh)
        print(f"fresh, so not run: {fresh[0] if len(fresh) == 1 else f'stages {names}'}")

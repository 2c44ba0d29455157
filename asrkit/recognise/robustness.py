"""Error rate of a trained model under degraded conditions."""

import dataclasses
import functools
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

import msgspec
import numpy as np
import torch

from asrkit.corpus.manifests import read_cuts
from asrkit.errors import AudioProblem
from asrkit.pipeline.cost import read_cost
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.parallel import run_parallel
from asrkit.pipeline.progress import Progress
from asrkit.recognise.recognizer import Recognizer
from asrkit.recognise.segmentation import SegmentOptions
from asrkit.score.robustness import ConditionErrors, Measurement, System, fingerprint_model
from asrkit.score.splits import evaluate_transcripts
from asrkit.score.transcripts import Transcript, load_transcripts
from asrkit.signal.audio import read_samples, resample
from asrkit.signal.conditions import Condition, make_conditions
from asrkit.signal.degradation import Speech
from asrkit.signal.steps import apply_steps, require_packages


@dataclasses.dataclass(frozen=True)
class RobustnessOptions:
    """What is measured."""

    split: str
    method: str
    noise: Optional[Path] = None
    rooms: Optional[Path] = None
    seed: int = 1
    steps: Sequence[Any] = ()  # as of signal.steps: applied before the model's own, as a denoiser at test


def measure_robustness(experiment: Experiment, options: RobustnessOptions) -> Measurement:
    """Decode a set under each condition, and count errors in score.unit.

    Utterances that stages rejected, and those that a condition makes unusable, count with all their words as
    deletions, as in stage score. Raises UserError for a set or method that was not decoded.
    """
    require_packages(options.steps)
    transcripts = load_transcripts(experiment, options.split, options.method)[0]
    cuts = list(read_cuts(experiment, options.split))
    rate = experiment.config.features.sampling_rate
    by_id = {cut.id: cut for cut in cuts}
    speakers = {cut.id: cut.supervisions[0].speaker for cut in cuts}
    speech = Speech(list(by_id), speakers.__getitem__, lambda id: _read(by_id[id], rate))
    conditions = make_conditions(rate, options.noise, options.rooms, speech)
    open_once = functools.lru_cache(maxsize=1)(Recognizer.open)  # one per process

    def work(index: int) -> ConditionErrors:
        torch.set_num_threads(1)  # processes are the parallelism, and threads don't survive a fork
        recognizer, condition = open_once(experiment.directory, options.method), conditions[index]
        words = {cut.id: _recognise(cut, condition, recognizer, options) for cut in cuts}
        return _errors(experiment, condition, transcripts, words)

    rows: Dict[int, ConditionErrors] = {}
    with Progress("robustness", len(conditions), "conditions") as bar:

        def done(index: int, row: ConditionErrors) -> None:
            rows[index] = row
            bar.advance(sum(cut.duration for cut in cuts))

        run_parallel(work, len(conditions), experiment.jobs, done)
    system = System(
        name=experiment.config.name,
        model=fingerprint_model(experiment),
        rows=[rows[index] for index in range(len(conditions))],
        steps=[msgspec.to_builtins(each) for each in options.steps],
        commit=read_cost(experiment).get("commit"),
    )
    unit = experiment.config.score.unit
    return Measurement(options.split, options.method, unit, options.seed, [system])


def _recognise(
    cut: Any, condition: Condition, recognizer: Recognizer, options: RobustnessOptions
) -> Optional[List[str]]:
    """The words of a degraded utterance; None if it can't be used."""
    rate = recognizer.sampling_rate
    try:
        degraded = apply_steps(condition(_read(cut, rate), options.seed, cut.id), rate, options.steps)
        return recognizer.transcribe((degraded, rate), SegmentOptions(whole=True)).text.split()
    except AudioProblem:
        return None


def _read(cut: Any, new_rate: int) -> np.ndarray:
    """Samples (sample,) at `new_rate` Hz; raises AudioProblem."""
    file, rate = Path(cut.recording.sources[0].source), cut.sampling_rate
    return resample(read_samples(file, round(cut.start * rate), cut.num_samples), rate, new_rate)


def _errors(
    experiment: Experiment,
    condition: Condition,
    transcripts: Sequence[Transcript],
    words: Mapping[str, Optional[List[str]]],
) -> ConditionErrors:
    heard = [
        dataclasses.replace(each, hypothesis=words.get(each.id) or [], timed=None) for each in transcripts
    ]
    (evaluation,) = evaluate_transcripts(experiment, heard, [experiment.config.score.unit])
    return ConditionErrors(
        condition=condition.name,
        kind=condition.kind,
        snr=condition.snr,
        errors=evaluation.total.errors,
        reference=evaluation.total.reference,
        interval=evaluation.interval,
        unusable=sum(found is None for found in words.values()),
    )

"""What must exist before a stage may run."""

import dataclasses
from pathlib import Path
from typing import Mapping, Optional, Sequence

from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.freshness import Judgement, judge_all
from asrkit.pipeline.inputs import display, find
from asrkit.pipeline.stage import AUDIO_OF, Stage, feeds, fill
from asrkit.storage.fingerprint import FingerprintCache


def check_earlier_stages(
    stages: Sequence[Stage], experiment: Experiment, chosen: Sequence[Stage], cache: FingerprintCache
) -> None:
    """Raise UserError if a chosen stage needs an earlier one that is neither chosen nor finished."""
    earlier = [stage for stage in stages if stage.order < chosen[0].order]
    judgements = {judgement.stage: judgement for judgement in judge_all(earlier, experiment, cache)}
    for stage in chosen:
        needed = [other for other in earlier if feeds(other, stage, experiment, needed=True)]
        for judgement in [judgements[other] for other in needed]:
            if judgement.state in ("new", "unfinished"):
                root = _first_unfinished(judgement.stage, judgements, experiment)
                past = "was never run" if judgement.state == "new" else "never finished"
                found = f"{stage} needs {judgement.stage}, which {past}"
                todo = f"run.sh --stage {root.name}"
                raise UserError(found, "that stage finished", str(experiment.directory), todo)
    for judgement in judgements.values():
        users = [stage for stage in chosen if feeds(judgement.stage, stage, experiment)]
        if users and judgement.state != "fresh":
            stale = f"{judgement.stage} isn't fresh ({judgement.reason})"
            print(f"warning: {stale}; {users[0]} uses its outputs as they are")


def _first_unfinished(stage: Stage, judgements: Mapping[Stage, Judgement], experiment: Experiment) -> Stage:
    """The stage to run first so that `stage` can run."""
    for earlier, judgement in judgements.items():
        if judgement.state in ("new", "unfinished") and feeds(earlier, stage, experiment, needed=True):
            return _first_unfinished(earlier, judgements, experiment)
    return stage


def check_places(stages: Sequence[Stage], experiment: Experiment) -> None:
    """Raise UserError for an experiment that is a file, or would overwrite the corpus or the recipe."""
    exp, corpus = experiment.directory.resolve(), experiment.corpus_directory.resolve()
    written = [exp / name for name in ("stages", "logs", *(stage.name for stage in stages))]
    if corpus == exp or any(folder in (corpus, *corpus.parents) for folder in written):
        found = f"the corpus in {corpus} lies in a folder that stages clear"
    elif exp.exists() and not exp.is_dir():
        found = f"{exp} is a file"
    elif exp == experiment.recipe_directory.resolve() or (exp / "run.sh").exists():
        found = f"{exp} is the folder of a recipe"
    elif (exp / "made_of.json").exists():
        found = f"{exp} is the folder of an evaluation"
    elif (foreign := _foreign(stages, exp)) is not None:
        found = f"{exp} is not an experiment, and contains {foreign}, which stages would overwrite"
    elif (start := experiment.config.train.init_from) and experiment.named(start).resolve() == exp:
        found = f"train.init_from is {exp}, the experiment itself, which training would replace"
    else:
        return
    expected = "a separate folder for all that stages write"
    raise UserError(found, expected, f"--exp {exp}", "give another folder with --exp")


def _foreign(stages: Sequence[Stage], exp: Path) -> Optional[str]:
    """If the folder isn't an experiment: a file or non-empty folder in it with a name that stages write."""
    if not exp.is_dir() or any((exp / name).exists() for name in ("stages", ".lock")):
        return None
    written = [pattern.partition("/")[0].rstrip("?") for stage in stages for pattern in stage.writes]
    names = ("recipe.yaml", "cost.json", *(stage.name for stage in stages), *written)
    for name in dict.fromkeys(names):
        place = exp / name
        if place.is_file() or (place.is_dir() and any(place.iterdir())):
            return name
    return None


def check_inputs(stage: Stage, stages: Sequence[Stage], experiment: Experiment) -> None:
    """Raise UserError if a file that `stage` reads is missing, naming the stage that makes it."""
    for pattern in fill(stage.reads, experiment):
        found = find(pattern, experiment)
        nothing = stage.command and not found.files  # of a pattern with *, which may be misspelt
        if found.is_optional or not (found.missing or nothing):
            continue
        name, file = next(iter(found.missing.items()), (pattern, experiment.directory / pattern))
        fault = "which is missing"
        reader = dataclasses.replace(stage, reads=(pattern,))
        makers = [maker for maker in stages if feeds(maker, reader, experiment)]
        if pattern.startswith(AUDIO_OF):
            fault = "which is no longer there"
            expected = "the audio where stage manifests found it"
            todo = "put it back; or, if the corpus moved, run.sh --corpus-dir FOLDER"
        elif makers:
            expected, todo = f"a file that {makers[0]} makes", f"run.sh --stage {makers[0].name}"
        elif pattern.startswith("{"):
            expected = "a file or folder of the recipe"
            todo = "put it there, or correct the setting that names it"
        else:
            expected = "a stage of this recipe that makes it"
            todo = f"add the line of stage {pattern.partition('/')[0]} to run.sh, before this stage"
        raise UserError(f"{stage} reads {display(name)}, {fault}", expected, str(file), todo)

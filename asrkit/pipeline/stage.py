"""A stage's declaration: its inputs, outputs and settings, as patterns that stand for files.

reads = ("manifests/{split}_cuts.jsonl.gz", "{recipe}/{units.lexicon}")
fill(reads, experiment)
    -> ["manifests/train_cuts.jsonl.gz", "manifests/dev_cuts.jsonl.gz", ..., "{recipe}/lexicon.txt"]
"""

import dataclasses
import fnmatch
import re
from decimal import Decimal
from typing import Any, Dict, List, Sequence, Tuple

from asrkit.config import WaveformConfig, flatten
from asrkit.config.recipe import kind_of
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment

AUDIO_OF = "audio of "


@dataclasses.dataclass(frozen=True)
class Stage:
    """One step of a recipe.

    `reads` and `writes` are patterns:

    - "lm/lm.arpa": a file or folder below EXP; {train}, {dev}, {test}, {split} and {section.setting} are
      filled in, and * is allowed
    - "{recipe}/lexicon.txt": in the recipe's folder, else in the corpus
    - "{corpus}": all files of the corpus
    - "audio of manifests/{train}_cuts.jsonl.gz": the audio of a manifest

    A "?" at the end means optional; with " if section.setting" at the end it is read only if that setting
    has a value, with " if section.setting=A,B" if it has one of these values. A stage writes below EXP/STAGE.

    Settings are keys or whole sections. A change of one in `result` makes the stage stale; one in `how`
    (threads, what is kept) doesn't change the result. The stage can read no others.
    """

    name: str
    purpose: str
    reads: Tuple[str, ...] = ()
    writes: Tuple[str, ...] = ()
    result: Tuple[str, ...] = ()
    how: Tuple[str, ...] = ()
    version: int = 1  # raised by hand when a change of code changes the result
    module: str = ""  # imported only when the stage runs, which calls its run(experiment)
    corpus_code: bool = False  # local/<corpus.module>.py is part of its code
    libraries: Tuple[str, ...] = ()  # slow to import, so imported once for all stages
    kept: bool = False  # takes long, so outputs of other settings are kept: asrkit.pipeline.workspace
    number: str = ""  # as run.sh gives it
    command: Tuple[str, ...] = ()  # of a stage that run.sh declares

    def __str__(self) -> str:
        return f"stage {self.number} ({self.name})"

    @property
    def order(self) -> Decimal:
        """The number as a Decimal: 5.5 is between 5 and 6."""
        return Decimal(self.number)


def fill(patterns: Sequence[str], experiment: Experiment) -> List[str]:
    """Patterns with splits and settings filled in, without those whose setting has no value.

    {augment.directory} stands for the directory of each transform that has one, {augment.waveform} for the
    kind of each transform of waveforms, {train.init_from} for the files of an experiment to start from,
    {init_from.experiment} for its folder, {init_from.replay} for that if train.replay uses its data, and
    {init_from.averaged} for the files again if stage average uses the model or its label priors.
    """
    corpus = experiment.config.corpus
    choices: Dict[str, Sequence[Any]] = {
        "train": [corpus.train],
        "dev": [corpus.dev],
        "test": corpus.tests,
        "split": list(dict.fromkeys([corpus.train, corpus.dev, *corpus.tests])),
    }
    for key, value in flatten(experiment.config).items():
        choices[key] = value if isinstance(value, list) else [value]
    transforms = experiment.config.augment
    choices["augment.directory"] = [getattr(each, "directory", None) for each in transforms]
    choices["augment.waveform"] = [kind_of(each) for each in transforms if isinstance(each, WaveformConfig)]
    start = experiment.config.train.init_from
    choices["init_from.experiment"], choices["init_from.replay"] = [], []
    if start is not None and experiment.named(start).is_dir():  # an experiment: what is read of it
        choices["train.init_from"] = [f"{start}/average/model.safetensors", f"{start}/units/units.txt"]
        choices["init_from.experiment"] = [start]
        choices["init_from.replay"] = [start] if experiment.config.train.replay else []
    average = experiment.config.average
    averaged = average.initial_share > 0 or average.prior_scale > 0
    choices["init_from.averaged"] = choices["train.init_from"] if averaged else []
    filled: List[str] = []
    for pattern in patterns:
        pattern, _, condition = pattern.partition(" if ")
        setting, _, wanted = condition.partition("=")
        values = [str(value) for value in choices[setting] if value is not None] if condition else []
        applies = not condition or any(not wanted or value in wanted.split(",") for value in values)
        texts = [pattern] if applies else []
        for name in re.findall(r"\{([\w.]+)\}", pattern):
            if name not in ("corpus", "recipe"):
                if name not in choices:
                    known = "{train}, {dev}, {test}, {split}, {recipe}, {corpus} or {section.setting}"
                    found = f"no setting {name}, in the pattern {pattern}"
                    raise UserError(found, known, "run.sh", "correct the pattern")
                values = [str(value) for value in choices[name] if value is not None]
                texts = [text.replace("{" + name + "}", value) for text in texts for value in values]
        filled += texts
    return list(dict.fromkeys(filled))


def feeds(earlier: Stage, later: Stage, experiment: Experiment, needed: bool = False) -> bool:
    """Whether `later` reads something that `earlier` writes; with `needed`, optional inputs don't count."""
    writes = [pattern.rstrip("?") for pattern in fill(earlier.writes, experiment)]
    for pattern in fill(later.reads, experiment):
        if needed and pattern.endswith("?"):
            continue
        read = pattern.rstrip("?")
        sources = [read]
        if read.startswith(AUDIO_OF):
            sources = [read[len(AUDIO_OF) :], "{corpus}"]
        if any(overlap(write, source) for write in writes for source in sources):
            return True
    return False


def overlap(write: str, read: str) -> bool:
    """Whether two patterns, or a pattern and a file, may stand for the same file."""
    return (
        write == read
        or read.startswith(write + "/")
        or write.startswith(read + "/")
        or fnmatch.fnmatch(write, read)
        or fnmatch.fnmatch(read, write)
    )

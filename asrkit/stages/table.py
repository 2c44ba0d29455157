"""asrkit's stages, and the pipeline that a recipe's run.sh declares."""

import dataclasses
import re
from typing import Dict, List, Sequence, Tuple

from asrkit.errors import UserError
from asrkit.pipeline.stage import Stage, overlap
from asrkit.stages import (
    align,
    average,
    decode,
    download,
    export,
    features,
    graph,
    lm,
    manifests,
    score,
    show,
    synthesise,
    train,
    units,
)

MODULES = (download, manifests, features, units, lm, graph, train, average, decode, score, show, export)
# Numbered as without a run.sh
STAGES: Tuple[Stage, ...] = tuple(
    dataclasses.replace(module.STAGE, number=str(number), module=module.__name__)
    for number, module in enumerate(MODULES)
)
# Only in recipes whose run.sh declares them
OPTIONAL: Tuple[Stage, ...] = tuple(
    dataclasses.replace(module.STAGE, module=module.__name__) for module in (align, synthesise)
)
# Reserved names below EXP, besides those of the stages
OTHER_FOLDERS = ("stages", "logs", "trainings", "posteriors", "lattices", "evaluate", "robustness", "corpus")
OTHER_NAMES = frozenset([*OTHER_FOLDERS, "recipe", "cost", "results", "RESULTS"])
SEPARATOR = "\x1f"  # between the words of a line of run.sh, as utils/recipe.sh passes them
USE = 'stage N NAME "what it does" [--reads PATTERN...] [--writes PATTERN...] [-- COMMAND...]'


def stage_named(name: str) -> Stage:
    """The stage of asrkit with a name."""
    return next(stage for stage in STAGES if stage.name == name)


def make_pipeline(lines: Sequence[str], known: Sequence[Stage] = STAGES) -> List[Stage]:
    """The stages that run.sh declares, in order; all of asrkit's if it declares none.

    A line with a command declares a stage of the recipe's own. Raises UserError for an invalid line, an
    unknown name, and numbers that don't rise.
    """
    if not lines:
        return list(known)
    by_name = {stage.name: stage for stage in (*known, *OPTIONAL)}
    stages: List[Stage] = []
    for line in lines:
        stage = _read_line(line, by_name)
        if any(stage.name == other.name for other in stages):
            raise _wrong(line, f"stage {stage.name} is declared twice")
        if stages and stage.order <= stages[-1].order:
            raise _wrong(line, f"number {stage.number} after {stages[-1].number}; numbers must rise")
        for other in stages:
            if both := _shared(other.writes, stage.writes):
                raise _wrong(line, f"{both}, which stage {other.name} writes too")
        stages.append(stage)
    for place, stage in enumerate(stages):
        for later in stages[place:] if stage.command else []:
            if both := _shared(later.writes, stage.reads):
                raise _wrong(lines[place], f"--reads {both}, which only stage {later.name} will write")
    return stages


def _shared(writes: Sequence[str], patterns: Sequence[str]) -> str:
    """The first pattern that overlaps with `writes`, or ""."""
    bare = [pattern.rstrip("?") for pattern in patterns]
    return next((one for one in bare for write in writes if overlap(write.rstrip("?"), one)), "")


def _read_line(line: str, known: Dict[str, Stage]) -> Stage:
    words = line.split(SEPARATOR)
    if len(words) < 3 or not re.fullmatch(r"\d+(\.\d+)?", words[0]):
        raise _wrong(line, "no number, name and purpose")
    number, name, purpose, *rest = words
    end = rest.index("--") if "--" in rest else len(rest)
    options, command = rest[:end], rest[end + 1 :]
    patterns: Dict[str, List[str]] = {"--reads": [], "--writes": []}
    option = ""
    for word in options:
        if word in patterns:
            option = word
        elif not option:
            raise _wrong(line, f"{word} after the purpose")
        else:
            patterns[option].append(word)
    if not command:
        if name not in known:
            raise _wrong(line, f"{name} is none of {' '.join(known)}, and there is no command")
        if options:
            raise _wrong(line, f"{name} declares itself what it reads and writes")
        return dataclasses.replace(known[name], number=number, purpose=purpose)
    if name in known:
        raise _wrong(line, f"{name} is a stage of asrkit, so it can't have a command")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise _wrong(line, f"the name {name}; a name has letters, digits, _ and -")
    if not patterns["--writes"]:
        raise _wrong(line, f"{name} has no --writes, so nothing would show that it has run")
    for pattern in patterns["--writes"]:
        top, *below = pattern.split("/")
        if top.startswith((".", "{")) or not {"", ".", ".."}.isdisjoint((top, *below)):
            raise _wrong(line, f"--writes {pattern}, which isn't below EXP")
        if "*" in top or top.partition(".")[0] in OTHER_NAMES.union(known):
            raise _wrong(line, f"--writes {pattern}, where asrkit itself writes")
    reads, writes = map(tuple, patterns.values())
    return Stage(name, purpose, reads, writes, number=number, command=tuple(command))


def _wrong(line: str, found: str) -> UserError:
    where = f"stage {line.replace(SEPARATOR, ' ')}"
    return UserError(f"run.sh: {found}", USE, where, "correct the line")

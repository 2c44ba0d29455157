"""The files of a new recipe: run.sh, recipe.yaml, README.md, expect.json."""

import shlex
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

import yaml

from asrkit.corpus.source import Source
from asrkit.corpus.suggestion import Suggestion
from asrkit.errors import UserError
from asrkit.pipeline.experiment import REPOSITORY
from asrkit.storage.files import write_json, write_text

RUN = """\
#!/usr/bin/env bash
# {name}: {form}.
# run.sh --help lists the options, run.sh --status what is done.
# shellcheck source={source}
. {shell}

stage 0 download  "see that the corpus is there"
stage 1 manifests "{form}, checked and counted"
stage 2 features  "log-Mel features, at three speeds for training"
stage 3 units     "units of the training text, as recipe.yaml says"
stage 4 lm        "n-grams of the training text"
stage 5 graph     "HLG over the words of the training text"
stage 6 train     "a residual and self-attention network with CTC loss"
stage 7 average   "average checkpoints, chosen on dev"
stage 8 decode    "greedy and HLG one-best; scales chosen on dev"
stage 9 score     "errors in the test sets"

run_stages "$@"
"""

README = """\
# {name}

Written by `asrkit new-recipe` from {form}.

    {run} --corpus-dir DIR

DIR is the folder that holds {what}. All files below it count as the corpus: a change
of one makes stage manifests stale.

{table}

`recipe.yaml` has settings to begin with, and why: they come from the counts above, not from trials.
`expect.json` has these counts, and stage manifests stops if the corpus has others. If you changed it on
purpose, correct them there. Utterances that can't be used are in `EXP/manifests/rejected.jsonl`;
`asrkit corpus report --exp EXP` shows the others.
"""
COUNTS = ("utterances", "words", "speakers")


def write_recipe(
    directory: Path,
    source: Source,
    suggestions: Sequence[Suggestion],
    statistics: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write the four files; `statistics` are those of each split."""
    name = directory.name
    what = {
        "tsv": source.listing or "the tables",
        "cut_set": source.listing or "the CutSets",
        "kaldi": "wav.scp and text, or the data directories",
        "common_voice": "clips and the tables",
    }[source.module]
    run = shlex.quote(str(directory / "run.sh"))
    names = {"name": name, "form": source.form, "what": what, "run": run, **_shell(directory)}
    write_text(directory / "run.sh", RUN.format(**names))
    (directory / "run.sh").chmod(0o755)
    write_text(directory / "recipe.yaml", settings_text(name, suggestions))
    write_text(directory / "README.md", README.format(table=_table(statistics), **names))
    expected = {split: {count: of[count] for count in COUNTS} for split, of in statistics.items()}
    write_json(directory / "expect.json", expected)


def _shell(directory: Path) -> Dict[str, str]:
    """Where run.sh finds utils/recipe.sh: beside the folder of recipes, or by its whole path."""
    file = REPOSITORY / "utils" / "recipe.sh"
    if directory.resolve().parent.parent == REPOSITORY:
        beside = '"$(dirname -- "${BASH_SOURCE[0]}")/../../utils/recipe.sh"'
        return {"shell": beside, "source": "SCRIPTDIR/../../utils/recipe.sh"}
    if not file.is_file():
        raise UserError(
            f"{file} is missing, which run.sh of every recipe needs",
            expected="asrkit installed from its project's folder (make setup)",
            where="asrkit new-recipe --recipes",
            todo="run make setup in the project's folder, then this again",
        )
    return {"shell": shlex.quote(str(file)), "source": "/dev/null"}


def first_of_each(suggestions: Sequence[Suggestion]) -> Dict[str, Suggestion]:
    """By key; of several for one setting the first counts."""
    kept: Dict[str, Suggestion] = {}
    for suggestion in suggestions:
        kept.setdefault(suggestion.key, suggestion)
    return kept


def settings_text(name: str, suggestions: Sequence[Suggestion]) -> str:
    """recipe.yaml, with the reasons as comments."""
    sections: Dict[str, List[str]] = {}
    for suggestion in first_of_each(suggestions).values():
        section, _, key = suggestion.key.partition(".")
        lines = sections.setdefault(section, [f"{section}:"])
        comment = f" # {suggestion.reason}" if suggestion.reason else ""
        if key:
            lines.append(f"  {key}: {_plain(suggestion.value)}{comment}")
        else:
            lines[0] += comment
    settings = [line for lines in sections.values() for line in lines]
    return "\n".join([f"name: {_plain(name)}", *settings]) + "\n"


def _plain(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1000)
    return str(text).replace("\n...", "").strip()


def _table(statistics: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["| split | utterances | hours | words | speakers |", "| --- | --- | --- | --- | --- |"]
    for split, of in statistics.items():
        counts = (split, of["utterances"], f"{of['seconds'] / 3600:.3f}", of["words"], of["speakers"])
        lines.append(f"| {' | '.join(map(str, counts))} |")
    return "\n".join(lines)

"""The files of a new recipe: run.sh, recipe.yaml, README.md, expect.json."""

import shlex
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

import yaml

from asrkit.errors import UserError
from asrkit.onboarding.source import Source
from asrkit.onboarding.suggestion import Suggestion
from asrkit.pipeline.experiment import REPOSITORY
from asrkit.storage.files import write_json, write_text

RUN = """\
#!/usr/bin/env bash
# {name}: {form}.
# run.sh --help lists the options, run.sh --status the state of each stage.
# shellcheck source={source}
. {shell}

stage 0 download  "check that the corpus is present"
stage 1 manifests "validate and count the utterances of {form}"
stage 2 features  "log-Mel features, at three speeds for training"
stage 3 units     "output units, from the training text"
stage 4 lm        "n-gram language model of the training text"
stage 5 graph     "HLG with the words of the training text"
stage 6 train     "residual and self-attention encoder, CTC loss"
stage 7 average   "average checkpoints, chosen on dev"
stage 8 decode    "greedy and HLG one-best; scales tuned on dev"
stage 9 score     "error rates of the test sets"
stage 10 show     "a page of results and curves, with a browser of utterances"
stage 11 export   "ONNX, TorchScript and OpenFst, for use without asrkit"

run_stages "$@"
"""

README = """\
# {name}

Written by `asrkit new-recipe` from {form}.

    {run} --corpus-dir DIR

DIR is the folder with {content}. Every file in it belongs to the corpus: changing one makes stage manifests
stale.

{table}

`recipe.yaml` has initial settings with reasons: they follow from the counts above, not from experiments.
`expect.json` has these counts; stage manifests stops if they differ. If you change the corpus on purpose,
correct them there. Rejected utterances are listed in `EXP/manifests/rejected.jsonl`;
`asrkit corpus report --exp EXP` shows the others.
"""
COUNTS = ("utterances", "words", "speakers")


def write_recipe(
    directory: Path,
    source: Source,
    suggestions: Sequence[Suggestion],
    statistics: Mapping[str, Mapping[str, Any]],
    own_sets: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write the four files; `statistics`: counts per split, `own_sets`: counts per subset of the corpus."""
    name = directory.name
    run = shlex.quote(str(directory / "run.sh"))
    names = {"name": name, "form": source.form, "content": source.content, "run": run, **_shell(directory)}
    write_text(directory / "run.sh", RUN.format(**names))
    (directory / "run.sh").chmod(0o755)
    write_text(directory / "recipe.yaml", settings_text(name, suggestions))
    write_text(directory / "README.md", README.format(table=_table(statistics), **names))
    expected = {
        split: {**{count: of[count] for count in COUNTS}, "hours": round(of["seconds"] / 3600, 3)}
        for split, of in own_sets.items()
    }
    write_json(directory / "expect.json", expected)


def first_of_each(suggestions: Sequence[Suggestion]) -> Dict[str, Suggestion]:
    """Suggestions by key; the first one for a key wins."""
    return {suggestion.key: suggestion for suggestion in reversed(suggestions)}


def settings_text(name: str, suggestions: Sequence[Suggestion]) -> str:
    """recipe.yaml, with the reasons as comments. A suggested name is written instead of `name`."""
    kept = first_of_each([*suggestions, Suggestion("name", name)])
    sections: Dict[str, List[str]] = {}
    for key in dict.fromkeys(["name", *(suggestion.key for suggestion in suggestions)]):
        section, _, setting = key.partition(".")
        lines = sections.setdefault(section, [f"{section}:"])
        comment = f" # {kept[key].reason}" if kept[key].reason else ""
        value = "" if kept[key].value is None and not setting else f" {_plain(kept[key].value)}"
        if setting:
            lines.append(f"  {setting}:{value}{comment}")
        else:  # a comment on a section, or a setting outside of any: name, augment
            lines[0] += f"{value}{comment}"
    return "".join(f"{line}\n" for lines in sections.values() for line in lines)


# Without `exit`, bash would continue and report "stage: command not found" for each line
BESIDE = """\
"$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../../utils/recipe.sh" || {
  echo "error: $0 isn't in recipes/NAME of its project; copy its folder there, or make a link to run.sh" >&2
  exit 1
}"""
MOVED = """{file} || {{
  printf '%s\\n' "error: the project's folder isn't where it was" "  expected: "{file} "  where:    run.sh" \\
    "  to do:    write its path into run.sh, or move the folder back" >&2
  exit 1
}}"""


def _shell(directory: Path) -> Dict[str, str]:
    """The path of utils/recipe.sh for run.sh: relative inside the project, else absolute."""
    file = REPOSITORY / "utils" / "recipe.sh"
    if directory.resolve().parent.parent == REPOSITORY:
        return {"shell": BESIDE, "source": "SCRIPTDIR/../../utils/recipe.sh"}
    if not file.is_file():
        raise UserError(
            f"{file} is missing, which run.sh of every recipe needs",
            "asrkit installed from its project's folder (make setup)",
            "asrkit new-recipe --recipes",
            "run make setup in the project's folder, then this again",
        )
    return {"shell": MOVED.format(file=shlex.quote(str(file))), "source": "/dev/null"}


def _plain(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1000)
    return str(text).replace("\n...", "").strip()


def _table(statistics: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["| split | utterances | hours | words | speakers |", "| --- | --- | --- | --- | --- |"]
    for split, of in statistics.items():
        counts = (split, of["utterances"], f"{of['seconds'] / 3600:.3f}", of["words"], of["speakers"])
        lines.append(f"| {' | '.join(map(str, counts))} |")
    return "\n".join(lines)

"""asrkit new-recipe: a recipe for a table, Kaldi data directories, CutSets or a download of Common Voice."""

import collections
import dataclasses
import math
import re
import shlex
import tempfile
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import click
import msgspec

from asrkit.config import CorpusConfig, RecipeConfig, flatten, load_config
from asrkit.corpus.prepare import read_corpus
from asrkit.corpus.recipe_folder import first_of_each, settings_text, write_recipe
from asrkit.corpus.rejection import Rejection, refuse_too_many, summarise_rejections
from asrkit.corpus.source import Source, choose_splits, identify_source
from asrkit.corpus.statistics import refuse_shared_audio, split_statistics
from asrkit.corpus.suggestion import Suggestion, suggest_settings, suggest_text
from asrkit.corpus.text import normalise_text
from asrkit.corpus.utterance import load_corpus_module
from asrkit.corpus.validation import ValidUtterance
from asrkit.errors import UserError, escape
from asrkit.pipeline.cost import count_cores
from asrkit.pipeline.experiment import Experiment
from asrkit.storage.files import write_text

FOLDER = click.Path(path_type=Path)
LARGEST_BAD_FRACTION = 0.2  # of a split; where more can't be used, what was given isn't the corpus
USUAL_RATE = 16000  # Hz; where rates are mixed, any from here on is taken
DEFAULT = CorpusConfig(module="")

Splits = Dict[str, List[ValidUtterance]]


@click.command("new-recipe")
@click.argument("name")
@click.option("--from", "place", required=True, type=FOLDER, metavar="SOURCE", help="The corpus.")
@click.option("--recipes", type=FOLDER, default=Path("recipes"), show_default=True, metavar="DIR")
@click.option("--allow-pipes", is_flag=True, help="Run the commands in wav.scp or a CutSet.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Set one setting.")
@click.option("--nj", type=click.IntRange(min=1), help="Processes at once.  [default: the cores]")
def command(
    name: str,
    place: Path,
    recipes: Path,
    allow_pipes: bool,
    assignments: Tuple[str, ...],
    nj: Optional[int],
) -> None:
    """Write recipes/NAME for a corpus, with settings suggested from what it holds.

    SOURCE is a table NAME.tsv with columns path, text, speaker and perhaps split; a Kaldi data
    directory, or a folder of them; a lhotse CutSet, NAME.jsonl.gz; or the folder of a language of
    Common Voice. Dev and test sets that it lacks are cut out of training, by speaker.
    """
    directory = recipes / name
    _refuse_name(name, directory)
    source = identify_source(place)
    given = _given_settings(name, assignments)
    settings = _corpus_settings(source, directory, given, allow_pipes)
    splits, rejections = _read(source, directory, settings, nj)
    rates = {valid.audio.sampling_rate for of in splits.values() for valid in of}
    others = sum(rejection.kind == "other sampling rate" for rejection in rejections)
    if others > DEFAULT.max_bad_fraction * sum(map(len, splits.values())):
        rate = min([USUAL_RATE, *rates])
        settings.append(Suggestion("corpus.lowest_rate", rate, "Hz; the corpus has several rates"))
        splits, rejections = _read(source, directory, settings, nj)
    for line in summarise_rejections(rejections, list(splits)[2:]):
        print(line)
    settings += _damage_settings(splits, rejections, source, given)
    refuse_shared_audio(splits)
    settings += suggest_text([valid.text for valid in next(iter(splits.values()))])
    corpus = _experiment(source, directory, settings, nj).config.corpus
    splits = {split: [_with_text(valid, corpus) for valid in of] for split, of in splits.items()}
    statistics = {split: split_statistics(of) for split, of in splits.items()}
    settings += suggest_settings(splits[corpus.train], splits[corpus.dev])
    write_recipe(directory, source, settings, statistics)
    for split, of in statistics.items():
        hours = of["seconds"] / 3600
        print(f"{split}: {of['utterances']} utterances, {hours:.3f} h, {of['speakers']} speakers")
    run, folder = shlex.quote(str(directory / "run.sh")), shlex.quote(str(source.directory))
    print(f"wrote {escape(str(directory))}; now: {run} --corpus-dir {folder}")


def _given_settings(name: str, assignments: Tuple[str, ...]) -> List[Suggestion]:
    """The settings of --set, which come before those that are suggested; UserError for a wrong one."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "recipe.yaml"
        write_text(recipe, settings_text(name, [Suggestion("corpus.module", "tsv")]))
        try:
            flat = flatten(load_config(recipe, None, assignments))
        except UserError as error:
            raise UserError(error.found, expected=error.expected, where="--set", todo=error.todo) from None
    keys = [assignment.partition("=")[0].strip() for assignment in assignments]
    return [
        Suggestion(key, value, "given with --set")
        for key, value in flat.items()
        if any(key == given or key.startswith(f"{given}.") for given in keys)
    ]


def _corpus_settings(
    source: Source, directory: Path, given: List[Suggestion], allow_pipes: bool
) -> List[Suggestion]:
    """Those given, and module and splits of the corpus section."""
    settings = [*given, Suggestion("corpus.module", source.module, source.form)]
    if source.listing:
        settings.append(Suggestion("corpus.listing", source.listing))
    if allow_pipes:
        settings.append(Suggestion("corpus.allow_pipes", True, "its commands were said to be trusted"))
    experiment = _experiment(source, directory, settings, None)
    module = load_corpus_module(source.module, experiment.local_directory)
    listed = list(module.utterances(source.directory, experiment.config.corpus))
    splits = choose_splits((one.split for one in listed), source.directory)
    settings += [Suggestion(f"corpus.{key}", splits[key]) for key in ("train", "dev", "tests")]
    if splits["held_out"]:
        reason = f"by speaker; the corpus has no {' and no '.join(splits['held_out'])}"
        settings.append(Suggestion("corpus.held_out", splits["held_out"], reason))
    return settings


def _damage_settings(
    splits: Splits, rejections: List[Rejection], source: Source, given: List[Suggestion]
) -> List[Suggestion]:
    """More allowed damage where there is need; UserError where it is very much, or more than is given."""
    allowed = next((of.value for of in given if of.key == "corpus.max_bad_fraction"), LARGEST_BAD_FRACTION)
    bad = collections.Counter(rejection.split for rejection in rejections)
    totals = {split: len(of) + bad[split] for split, of in splits.items()}
    worst = max(splits, key=lambda split: bad[split] / max(1, totals[split]))
    needed = math.ceil(100 * bad[worst] / max(1, totals[worst])) / 100
    try:
        refuse_too_many(rejections, totals, allowed, source.directory)
    except UserError as error:
        longer = any(rejection.kind == "too long" for rejection in rejections)
        todo = f"fix the corpus, or leave them out: --set corpus.max_bad_fraction={needed:g}"
        if longer:
            todo += "; or accept longer ones: --set corpus.max_duration=SECONDS"
        raise UserError(error.found, expected=error.expected, where=error.where, todo=todo) from None
    if bad[worst] <= DEFAULT.max_bad_fraction * totals[worst]:
        return []
    reason = f"{bad[worst]} of {totals[worst]} utterances of {worst} can't be used"
    return [Suggestion("corpus.max_bad_fraction", needed, reason)]


def _read(
    source: Source, directory: Path, settings: List[Suggestion], jobs: Optional[int]
) -> Tuple[Splits, List[Rejection]]:
    with tempfile.TemporaryDirectory() as folder:  # of derived audio, which stage manifests makes again
        return read_corpus(_experiment(source, directory, settings, jobs), Path(folder))


def _experiment(
    source: Source, directory: Path, settings: List[Suggestion], jobs: Optional[int]
) -> Experiment:
    of_corpus = (setting for setting in settings if setting.key.startswith("corpus."))
    values = {key.partition(".")[2]: setting.value for key, setting in first_of_each(list(of_corpus)).items()}
    config = RecipeConfig(name=directory.name, corpus=msgspec.convert(values, CorpusConfig))
    return Experiment(config, directory, source.directory, directory, jobs or count_cores())


def _with_text(valid: ValidUtterance, config: CorpusConfig) -> ValidUtterance:
    return dataclasses.replace(valid, text=normalise_text(valid.text, config))


def _refuse_name(name: str, directory: Path) -> None:
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name) is None:
        raise UserError(
            f"the name {name!r}",
            expected="letters, digits, - and _",
            where="asrkit new-recipe NAME",
            todo="give another name",
        )
    if not directory.parent.is_dir():
        raise UserError(
            f"no folder {directory.parent}",
            expected="the project's folder of recipes",
            where="--recipes",
            todo="run this in the project's folder",
        )
    if directory.exists():
        raise UserError(
            f"{directory} exists",
            expected="the name of a recipe that isn't there yet",
            where="asrkit new-recipe NAME",
            todo="give another name, or remove the folder",
        )

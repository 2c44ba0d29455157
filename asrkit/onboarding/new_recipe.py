"""asrkit new-recipe: write a recipe for a table, Kaldi data directories, CutSets or Common Voice."""

import collections
import contextlib
import dataclasses
import io
import math
import re
import shlex
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import msgspec

from asrkit.config import CorpusConfig, RecipeConfig, flatten, load_config
from asrkit.corpus.prepare import own_statistics, read_corpus
from asrkit.corpus.rejection import Rejection, refuse_too_many, refuse_unusable, summarise_rejections
from asrkit.corpus.statistics import refuse_shared_audio, split_statistics
from asrkit.corpus.text import normalise_text
from asrkit.corpus.utterance import load_corpus_module
from asrkit.corpus.validation import ValidUtterance
from asrkit.errors import UserError, escape
from asrkit.onboarding.fine_tuning import describe_new_characters, fit_to_model, settings_of_model
from asrkit.onboarding.recipe_folder import first_of_each, settings_text, write_recipe
from asrkit.onboarding.source import Source, choose_splits, identify_source
from asrkit.onboarding.suggestion import Suggestion, suggest_settings, suggest_text
from asrkit.pipeline.experiment import Experiment
from asrkit.storage.files import write_text

LARGEST_BAD_FRACTION = 0.2  # of a split; above it, SOURCE is probably the wrong folder
USUAL_RATE = 16000  # Hz; with mixed sampling rates, this and higher ones are accepted
BAD_FRACTION = CorpusConfig(module="").max_bad_fraction

Splits = Dict[str, List[ValidUtterance]]


def make_recipe(
    name: str,
    place: Path,
    recipes: Path,
    allow_pipes: bool,
    assignments: Tuple[str, ...],
    jobs: int,
    init_from: Optional[Path] = None,
) -> Iterator[str]:
    """Write the folder `recipes`/`name` for the corpus at `place`; yields the lines to print.

    `init_from`: an experiment to fine-tune, whose features, units and model are taken.
    """
    directory = recipes / name
    _refuse_name(name, directory)
    source = identify_source(place)
    taken = settings_of_model(init_from.resolve()) if init_from is not None else []
    if any(each.startswith(("lm.text=", "lm.arpa=")) for each in assignments):
        taken = [each for each in taken if not each.key.startswith("lm.")]
    chosen = _given_settings(name, assignments, taken)
    given = [*chosen, *taken]
    settings = _corpus_settings(source, directory, given, allow_pipes)
    splits, rejections = _read(source, directory, settings, jobs)
    if rate := _suggest_rate(splits, rejections, settings):
        settings += rate
        splits, rejections = _read(source, directory, settings, jobs)
    yield from summarise_rejections(rejections, list(splits)[2:])
    settings += _allow_damage(splits, rejections, source, given)
    refuse_shared_audio(splits, _corpus(settings))
    texts = [valid.text for valid in next(iter(splits.values()))]
    if init_from is not None:
        case_given = any(one.key == "corpus.case" for one in chosen)
        fitted = fit_to_model(init_from.resolve(), texts, _corpus(settings), case_given)
        yield from (f"{one.key}: {one.value}, the {one.reason}" for one in fitted)
        settings = [*fitted, *settings]
    settings += suggest_text(texts)
    corpus = _corpus(settings)
    splits = {
        split: [dataclasses.replace(one, text=normalise_text(one.text, corpus)) for one in of]
        for split, of in splits.items()
    }
    if init_from is not None:
        yield from describe_new_characters(init_from.resolve(), [one.text for one in splits[corpus.train]])
    statistics = {split: split_statistics(of) for split, of in splits.items()}
    units = next((each.value for each in settings if each.key == "units.kind"), None)
    settings += suggest_settings(splits[corpus.train], splits[corpus.dev], units)
    _load(name, settings)
    write_recipe(directory, source, settings, statistics, own_statistics(splits, corpus))
    for split, of in statistics.items():
        hours = of["seconds"] / 3600
        yield f"{split}: {of['utterances']} utterances, {hours:.3f} h, {of['speakers']} speakers"
    run, folder = shlex.quote(str(directory / "run.sh")), shlex.quote(str(source.directory))
    yield f"wrote {escape(str(directory))}; now: {run} --corpus-dir {folder}"


def _given_settings(name: str, assignments: Tuple[str, ...], taken: Sequence[Suggestion]) -> List[Suggestion]:
    """The settings of --set, which override those `taken` from a model, and suggestions; raises UserError for
    an invalid one."""
    base = [Suggestion("corpus.module", "tsv"), *taken]
    config = _load(name, base, assignments, checked=False)
    keys = [assignment.partition("=")[0].strip() for assignment in assignments]
    settings = {key: value for key, value in flatten(config).items() if key.partition(".")[0] != "augment"}
    if any(key.partition(".")[0] == "augment" for key in keys):  # a list, written as a whole
        settings["augment"], keys = msgspec.to_builtins(list(config.augment)), [*keys, "augment"]
    chosen = [
        Suggestion(key, value, "given with --set")
        for key, value in settings.items()
        if any(key == given or key.startswith(f"{given}.") for given in keys)
    ]
    # Name the splits that aren't given: a default could be the name of a given one
    splits = choose_splits(["train", "train2"], _section(chosen, "corpus"), Path("--set"))
    names = [Suggestion(f"corpus.{key}", splits[key]) for key in ("train", "dev", "tests")]
    _load(name, [*base, *names], assignments)
    return chosen


def _load(
    name: str, settings: Sequence[Suggestion], assignments: Sequence[str] = (), checked: bool = True
) -> RecipeConfig:
    """Load settings as run.sh would; raises UserError if they are invalid.

    Unless `checked`, settings may conflict; unknown settings and wrong types are still errors.
    """
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "recipe.yaml"
        write_text(recipe, settings_text(name, settings))
        try:
            return load_config(recipe, None, assignments, earlier=not checked)
        except UserError as error:
            raise UserError(error.found, error.expected, "--set", error.todo) from None


def _corpus_settings(
    source: Source, directory: Path, given: List[Suggestion], allow_pipes: bool
) -> List[Suggestion]:
    """The given settings, then the module and the splits of the corpus section."""
    settings = [*given, Suggestion("corpus.module", source.module, source.form)]
    if source.listing:
        settings.append(Suggestion("corpus.listing", source.listing))
    if allow_pipes:
        settings.append(Suggestion("corpus.allow_pipes", True, "given with --allow-pipes"))
    experiment = _experiment(source, directory, settings, 1)
    module = load_corpus_module(source.module, experiment.local_directory)
    with contextlib.redirect_stdout(io.StringIO()):  # read_corpus prints the same lines
        listed = list(module.utterances(source.directory, experiment.config.corpus))
    splits = choose_splits((one.split for one in listed), _section(given, "corpus"), source.directory)
    settings += [Suggestion(f"corpus.{key}", splits[key]) for key in ("train", "dev", "tests")]
    if splits["held_out"]:
        reason = f"by speaker; the corpus has no {' and no '.join(splits['held_out'])}"
        settings.append(Suggestion("corpus.held_out", splits["held_out"], reason))
    return settings


def _suggest_rate(
    splits: Splits, rejections: List[Rejection], settings: List[Suggestion]
) -> List[Suggestion]:
    """Suggest corpus.min_sampling_rate if it isn't given and many utterances differ from the usual rate."""
    others = sum(rejection.kind == "other sampling rate" for rejection in rejections)
    is_given = "min_sampling_rate" in _section(settings, "corpus")
    if is_given or others <= BAD_FRACTION * sum(map(len, splits.values())):
        return []
    rate = min(USUAL_RATE, *(one.audio.sampling_rate for of in splits.values() for one in of))
    return [Suggestion("corpus.min_sampling_rate", rate, "Hz; the corpus has several rates")]


def _allow_damage(
    splits: Splits, rejections: List[Rejection], source: Source, given: List[Suggestion]
) -> List[Suggestion]:
    """Raise corpus.max_bad_fraction as far as the corpus needs; UserError above LARGEST_BAD_FRACTION."""
    allowed = next((of.value for of in given if of.key == "corpus.max_bad_fraction"), LARGEST_BAD_FRACTION)
    bad = collections.Counter(rejection.split for rejection in rejections)
    totals = {split: len(of) + bad[split] for split, of in splits.items()}
    worst = max(splits, key=lambda split: bad[split] / max(1, totals[split]))
    needed = math.ceil(100 * bad[worst] / max(1, totals[worst])) / 100
    try:
        refuse_too_many(rejections, totals, allowed, source.directory)
    except UserError as error:
        todo = f"fix the corpus, or leave them out: --set corpus.max_bad_fraction={needed:g}"
        if any(rejection.kind == "too long" for rejection in rejections):
            todo += "; or accept longer ones: --set corpus.max_duration=SECONDS"
        raise UserError(error.found, error.expected, error.where, todo) from None
    if bad[worst] <= BAD_FRACTION * totals[worst]:
        return []
    reason = f"{bad[worst]} of {totals[worst]} utterances of {worst} can't be used"
    return [Suggestion("corpus.max_bad_fraction", needed, reason)]


def _read(
    source: Source, directory: Path, settings: List[Suggestion], jobs: int
) -> Tuple[Splits, List[Rejection]]:
    with tempfile.TemporaryDirectory() as folder:  # for derived audio; stage manifests writes it again
        splits, rejections = read_corpus(_experiment(source, directory, settings, jobs), Path(folder))
    refuse_unusable(rejections, splits, source.directory)
    return splits, rejections


def _experiment(source: Source, directory: Path, settings: List[Suggestion], jobs: int) -> Experiment:
    config = RecipeConfig(name=directory.name, corpus=_corpus(settings))
    return Experiment(config, directory, source.directory, directory, jobs)


def _corpus(settings: Sequence[Suggestion]) -> CorpusConfig:
    return msgspec.convert(_section(settings, "corpus"), CorpusConfig)


def _section(settings: Sequence[Suggestion], section: str) -> Dict[str, Any]:
    """The settings of one section: their values by their names in the section."""
    kept = first_of_each(settings)
    return {key.partition(".")[2]: kept[key].value for key in kept if key.partition(".")[0] == section}


def _refuse_name(name: str, directory: Path) -> None:
    verb = "asrkit new-recipe NAME"
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name) is None:
        raise UserError(f"the name {name!r}", "letters, digits, - and _", verb, "choose another name")
    if not directory.parent.is_dir():
        todo = (
            f"run this in the project's folder, or create it: mkdir -p {shlex.quote(str(directory.parent))}"
        )
        raise UserError(f"no folder {directory.parent}", "a folder of recipes", "--recipes", todo)
    if directory.exists():
        raise UserError(f"{directory} exists", "a new name", verb, "choose another, or remove the folder")

#!/usr/bin/env python3
"""Fine-tune a model on a Kaldi directory's training speakers, some minutes of them and all.

Each is also averaged with a share of the model it started from. Each model is measured with the graph and
the scales of --exp, so that only the acoustic model differs: on the test speakers of --from, by age where the
corpus has it, and on the sets of --exp, for what it has forgotten. Rows go to
recipes/NAME/records/study_fine_tuning.json as they are made; one that has all sets isn't made again.
"""

import itertools
import shutil
import subprocess
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import soundfile
from measure import given_experiment, make_parser, print_figures, run_asrkit, run_measurement
from scaling_study import collect, draw_study

from asrkit.cli.prune import copy_for_model
from asrkit.errors import UserError
from asrkit.pipeline.experiment import REPOSITORY, open_experiment, write_settings
from asrkit.score.records import read_results
from asrkit.storage.files import read_json, write_json, write_text

METHOD = "1best"
Training = Tuple[str, float, float]  # name, minutes of speech (0: all), share of replayed training data
KEYED_BY_SPEAKER = ("spk2age", "spk2gender")


def file_name(variant: str) -> str:
    """The name of a variant, for a folder."""
    return variant.replace(",", "").replace(" ", "-")


def read_table(file: Path) -> Dict[str, str]:
    """First column -> the rest."""
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    return {key: rest for key, _, rest in (line.partition(" ") for line in lines)}


def choose_utterances(source: Path, minutes: float) -> List[str]:
    """Utterances of as many whole speakers as fit, children and adults in turn where ages are known."""
    ages, speakers = read_table(source / "spk2age"), read_table(source / "utt2spk")
    audio = read_table(source / "wav.scp")
    order = sorted(dict.fromkeys(speakers.values()), key=lambda name: int(ages.get(name, 0)))
    order = [name for pair in zip(order, reversed(order)) for name in pair][: len(order)]
    chosen: List[str] = []
    seconds = 0.0
    for speaker in dict.fromkeys(order):
        own = [utterance for utterance in audio if speakers[utterance] == speaker]
        seconds += sum(soundfile.info(source.parent / audio[utterance]).duration for utterance in own)
        if minutes and seconds > 60 * minutes:
            break
        chosen += own
    return chosen


def write_corpus(source: Path, minutes: float, target: Path) -> None:
    """Kaldi directories train, with a part of the utterances, and test, whose audio is in `source`."""
    for split in ("train", "test"):
        folder, own = source / split, target / split
        kept = set(choose_utterances(folder, minutes if split == "train" else 0))
        speakers = {speaker for key, speaker in read_table(folder / "utt2spk").items() if key in kept}
        own.mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            keys = speakers if file.name in KEYED_BY_SPEAKER else kept
            table = {key: value for key, value in read_table(file).items() if key in keys}
            if file.name == "wav.scp":
                table = {key: str((source / value).resolve()) for key, value in table.items()}
            write_text(own / file.name, "".join(f"{key} {value}\n" for key, value in table.items()))


def fine_tune(options: Any, training: Training, share: float) -> Path:
    """The experiment of a recipe made by asrkit new-recipe, up to stage average.

    `share`: of the initial model in the average.
    """
    name, minutes, replay = training
    folder = options.keep.resolve() / file_name(name)
    corpus, recipe = folder / "corpus", folder / "recipes" / "tuned"
    if not corpus.exists():
        write_corpus(options.source.resolve(), minutes, folder / "corpus.next")
        (folder / "corpus.next").rename(corpus)  # whole, or not there
    if not recipe.exists():
        recipe.parent.mkdir(exist_ok=True)
        settings = [f"train.epochs={options.epochs}", f"train.replay={replay}", *options.set]
        start = ["--from", str(corpus), "--init-from", str(options.exp), "--recipes", str(recipe.parent)]
        run_asrkit("new-recipe", "tuned", *start, *(f"--set={each}" for each in settings))
    run = ["bash", str(recipe / "run.sh"), "--exp", str(folder / "exp"), "--corpus-dir", str(corpus)]
    run += ["--set", f"average.initial_share={share}", "--stop-stage", "average"]
    if subprocess.run(run).returncode:
        raise UserError("run.sh failed", where=str(recipe))
    return folder / "exp"


def results_of(model: Path, cuts: Path, name: str) -> Iterator[Dict[str, Any]]:
    """Results of a model on a set, as a whole and by age."""
    output = model / "evaluate" / name
    places = ["--exp", str(model), "--cuts", str(cuts), "--output", str(output)]
    run_asrkit("evaluate", *places, "--method", METHOD)
    yield from word_results(output / "results.json", cuts.name.partition(".")[0], name)


def word_results(file: Path, found: str, name: str) -> Iterator[Dict[str, Any]]:
    """Results of METHOD in a file on the set `found`, as a whole and by age, as those of `name`."""
    for record in read_results(file):
        if (record["unit"], record["method"], record["set"]) == ("word", METHOD, found):
            whole = {
                "errors": record["errors"],
                "reference": record["reference"],
                "interval": record["interval"],
            }
            yield {"set": name, "role": "test", "method": METHOD, **whole}
            for group, (errors, reference, *interval) in record["groups"].items():
                if group.startswith("age "):
                    of = {"errors": errors, "reference": reference, "interval": interval}
                    yield {"set": f"{name}, {group}", "role": "test", "method": METHOD, **of}


def measure_model(options: Any, variant: str, tuned: Optional[Path], sets: Dict[str, Path]) -> Dict[str, Any]:
    """A row: the fine-tuned model, or --exp's own, with the graph of --exp."""
    from asrkit.model.acoustic import load_model
    from asrkit.model.description import describe_model

    base = open_experiment(options.exp)
    place = options.keep.resolve() / f"{file_name(variant)}-with-graph"
    source = tuned or options.exp
    if not place.exists():
        copy_for_model(base, place)
        (place / "average").mkdir()
        shutil.copyfile(source / "average" / "model.safetensors", place / "average" / "model.safetensors")
        write_settings(place, base.config)
    results: List[Dict[str, Any]] = []
    for name, cuts in sets.items():
        own = [] if tuned else word_results(options.exp / "results.json", name, name)
        results += list(own) or results_of(place, cuts, name)
    model, _ = load_model(place / "average" / "model.safetensors")
    cost = read_json(source / "cost.json")
    return {
        "variant": variant,
        "settings": {},
        "results": results,
        "training_seconds": cost["stages"]["train"]["seconds"] if tuned else 0.0,
        "parameters": model.parameter_count(),
        "multiply_adds": sum(
            each.multiply_adds for each in describe_model(model, base.config.features.frame_shift)
        ),
        "commit": cost["commit"],
        "device": cost["device"],
    }


def variants(options: Any) -> Iterator[Tuple[str, Training, float]]:
    """Name, training, and share of the initial model in the average of each model."""
    for minutes, replay in itertools.product(options.minutes, options.replay):
        name = f"{minutes:g} minutes" if minutes else "all"
        training = f"{name}, replay {replay:g}", minutes, replay
        for share in options.share:
            yield training[0] + (f", initial share {share:g}" if share else ""), training, share


def has_sets(row: Optional[Dict[str, Any]], names: Sequence[str]) -> bool:
    """Whether a row has results on these sets."""
    return row is not None and {*names} <= {record["set"] for record in row["results"]}


def measure() -> None:
    """Make the rows, and print all error rates."""
    parser = make_parser(__doc__, exp="the experiment whose model is fine-tuned")
    parser.add_argument("--recipe", default="librispeech", help="whose records get the rows")
    parser.add_argument("--from", dest="source", type=Path, required=True, metavar="DIR")
    parser.add_argument("--keep", type=Path, metavar="DIR", required=True, help="keeps the experiments")
    parser.add_argument("--minutes", type=float, nargs="*", default=[10, 0], help="of speech; 0: all")
    parser.add_argument("--replay", type=float, nargs="*", default=[0.3, 0.5], help="share of an epoch")
    parser.add_argument("--share", type=float, nargs="*", default=[0, 0.3], help="of the initial model")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--sets", nargs="*", default=["dev"], help="of --exp, measured for what is forgotten")
    options = parser.parse_args()
    given_experiment(options.exp, "whose model is fine-tuned")
    file = REPOSITORY / "recipes" / options.recipe / "records" / "study_fine_tuning.json"
    rows: Dict[str, Any] = {row["variant"]: row for row in read_json(file)} if file.exists() else {}
    old = {name: options.exp / "manifests" / f"{name}_cuts.jsonl.gz" for name in options.sets}
    for variant, training, share in variants(options):
        if not has_sets(rows.get(variant), options.sets):
            tuned = fine_tune(options, training, share)
            sets = {"accents": tuned / "manifests" / "test_cuts.jsonl.gz", **old}
            if not has_sets(rows.get("before"), options.sets):
                rows["before"] = measure_model(options, "before", None, sets)
            rows[variant] = measure_model(options, variant, tuned, sets)
            write_json(file, list(rows.values()))
            draw_study(list(rows.values()), file.with_suffix(".png"))
    print_figures(collect(list(rows.values())), None, prefix=f"{options.recipe}_fine_tuning_")


if __name__ == "__main__":
    run_measurement(measure)

#!/usr/bin/env python3
"""Train the variants of recipes/NAME/studies/robustness.yaml, and measure asrkit robustness of each.

The measurements of all variants side by side go to recipes/NAME/records/robustness/SET_study.json after each
variant, and `asrkit report` puts table and picture into RESULTS.md. With --variants, the others keep their
columns. Experiments are kept in --keep, where an interrupted training resumes, and a finished one isn't
repeated. Choose by dev; --sets dev test decodes the test set, too.
"""

from pathlib import Path
from typing import Any, Dict, List

import msgspec
import yaml
from measure import find_corpus, make_parser, print_figures, run_measurement, run_recipe
from scaling_study import lay_over, with_config

from asrkit.pipeline.experiment import REPOSITORY, open_experiment
from asrkit.pipeline.machine import count_cores
from asrkit.score.robustness import (
    FOLDER,
    Measurement,
    System,
    fingerprint_model,
    read_measurement,
    render_robustness,
    totals,
    write_measurement,
)
from asrkit.storage.files import write_text
from asrkit.storage.fingerprint import hash_value


def settings_of(
    recipe: Path, common: Dict[str, Any], variant: Dict[str, Any], noise: Path, keep: Path
) -> Dict[str, Any]:
    """Common settings, those of the variant's `config`, and its own; training noise is in `noise`.

    The variant that `after` names, in `keep`, is where training starts.
    """
    own = {section: value for section, value in variant.items() if section != "after"}
    settings = lay_over(common, with_config(recipe, own))
    if "config" in variant:
        settings["augment"]["noise"]["directory"] = str(noise)
    if "after" in variant:
        settings["train"]["init_from"] = str(folder_of(keep, variant["after"]))
    return settings


def folder_of(keep: Path, variant: str) -> Path:
    """The experiment of a variant."""
    return keep.resolve() / variant.replace(",", "").replace(" ", "-")


def measure_system(exp: Path, split: str, options: Any, steps: List[Dict[str, Any]]) -> Measurement:
    """What asrkit robustness measures of an experiment after some steps.

    Read, if the same model was measured before with the same noise, rooms and steps.
    """
    from asrkit.config.load import parse_steps
    from asrkit.recognise.robustness import RobustnessOptions, measure_robustness

    experiment = open_experiment(exp, count_cores())
    places = [str(each.resolve()) if each else None for each in (options.noise, options.rooms)]
    folder = exp / FOLDER / f"study-{hash_value([places, steps])[:8]}"
    file = folder / f"{split}.json"
    if file.exists():
        before = read_measurement(file)
        if before.systems[0].model == fingerprint_model(experiment):
            return before
    wanted = RobustnessOptions(
        split=split,
        method="1best",
        noise=options.noise,
        rooms=options.rooms,
        steps=parse_steps([yaml.safe_dump(each) for each in steps], "at_test"),
    )
    measured = measure_robustness(experiment, wanted)
    write_measurement(folder, split, measured)
    return measured


def renamed(measured: Measurement, name: str) -> System:
    """The only system of a measurement, by the name of its variant."""
    (system,) = measured.systems
    return msgspec.structs.replace(system, name=name)


def beside_earlier(file: Path, measured: List[System], variants: List[str]) -> List[System]:
    """Systems in the order of their variants, with those of `file` whose variants weren't measured now."""
    order = [name for variant in variants for name in (variant, f"{variant}, denoised at test")]
    systems = {system.name: system for system in (read_measurement(file).systems if file.exists() else [])}
    systems.update({system.name: system for system in measured})
    return [systems[name] for name in order if name in systems]


def measure() -> None:
    """Run what has no measurement yet, and print the errors in all noises at 5 dB."""
    parser = make_parser(__doc__, recipe="an4")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", required=True, help="the experiments are below it"
    )
    parser.add_argument("--training-noise", type=Path, metavar="DIR", required=True)
    parser.add_argument(
        "--noise", type=Path, metavar="DIR", required=True, help="other recordings, measured with"
    )
    parser.add_argument("--rooms", type=Path, metavar="DIR", help="room impulse responses, measured with")
    parser.add_argument("--sets", nargs="*", default=["dev"])
    parser.add_argument("--variants", nargs="*", help="default: all of the study")
    options = parser.parse_args()
    recipe = REPOSITORY / "recipes" / options.recipe
    file = recipe / "studies" / "robustness.yaml"
    study = yaml.safe_load(file.read_text("utf-8"))
    corpus = find_corpus(options.recipe, options.corpus_dir, options.keep)
    systems: Dict[str, List[System]] = {split: [] for split in options.sets}
    for name, variant in study["variants"].items():
        if options.variants and name not in options.variants:
            continue
        exp = folder_of(options.keep, name)
        overlay = exp.parent / f"{exp.name}-settings.yaml"
        overlay.parent.mkdir(parents=True, exist_ok=True)
        noise = options.training_noise.resolve()
        settings = settings_of(recipe, study["common"], variant, noise, options.keep)
        write_text(overlay, yaml.safe_dump(settings))
        run_recipe(options.recipe, exp, corpus, "--config", str(overlay))
        for split, measured in systems.items():
            found = [measure_system(exp, split, options, [])]
            measured.append(renamed(found[0], name))
            if name in study["at_test"]:
                found.append(measure_system(exp, split, options, study["at_test"][name]))
                measured.append(renamed(found[1], f"{name}, denoised at test"))
            record = recipe / "records" / FOLDER / f"{split}_study.json"
            beside = beside_earlier(record, measured, list(study["variants"]))
            together = Measurement(split, found[0].method, found[0].unit, found[0].seed, beside)
            write_measurement(record.parent, record.stem, together)
            print(render_robustness(together, ""), flush=True)
    print_figures(
        {
            f"{split}_{system.name.replace(',', '').replace(' ', '_')}_wer_at_5_db": row.rate
            for split, measured in systems.items()
            for system in measured
            for row in totals(system.rows)
            if row.snr == 5
        },
        None,
        prefix=f"{options.recipe}_robustness_",
    )


if __name__ == "__main__":
    run_measurement(measure)

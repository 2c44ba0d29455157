"""asrkit prune: cut a trained model to a smaller one."""

import os
import shlex
import shutil
from pathlib import Path

import click
import msgspec
import yaml

from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment, open_experiment, write_settings
from asrkit.storage.files import whole_folder, write_text

FOLDER = click.Path(path_type=Path)
COPIED = ("units", "lm", "graph", "decode/scales.json", "features/normalisation.safetensors")


@click.command("prune")
@click.option("--exp", required=True, type=FOLDER, metavar="EXP", help="Experiment with a trained model.")
@click.option("--keep", default=0.5, show_default=True, help="Share of channels, heads and units kept.")
@click.option("--output", required=True, type=FOLDER, metavar="EXP2", help="New folder.")
def command(exp: Path, keep: float, output: Path) -> None:
    """Write an experiment with a smaller model.

    It has a share of the channels inside the residual blocks of EXP's model, of its heads, and of its
    feed-forward units; model.yaml has its settings, for fine-tuning.
    """
    from asrkit.model.acoustic import load_model, save_model
    from asrkit.model.description import describe_model
    from asrkit.model.pruning import prune
    from asrkit.pipeline.finished import refuse_changed_model
    from asrkit.train.earlier_training import FILE, write_segments_of

    output = Path(os.path.abspath(output))
    if output.exists():
        raise UserError(f"{output} exists", "a new folder", "--output", "give another name, or remove it")
    experiment = open_experiment(exp)
    refuse_changed_model(experiment)
    model, made_of = load_model(experiment.folder("average") / "model.safetensors")
    pruned = prune(model, keep)
    with whole_folder(output) as folder:
        copy_for_model(experiment, folder)
        write_segments_of(experiment, folder / "train" / FILE)
        save_model(folder / "average" / "model.safetensors", pruned, {**made_of, "pruned": keep})
        settings = yaml.safe_dump({"model": msgspec.to_builtins(pruned.config)}, sort_keys=False)
        write_text(folder / "model.yaml", settings)
        write_settings(folder, msgspec.structs.replace(experiment.config, model=pruned.config))
    shift = experiment.config.features.frame_shift
    for place, of in ((exp, model), (output, pruned)):
        work = sum(part.multiply_adds for part in describe_model(of, shift))
        print(f"{place}: {of.parameter_count():,} parameters, {work:,} multiply-adds per second of audio")
    start, settings_file = (shlex.quote(str(place)) for place in (output, output / "model.yaml"))
    print(
        f"fine-tune: recipes/NAME/run.sh --exp EXP3 --init-from {start} --config {settings_file} "
        "--set average.initial_share=0"
    )


def copy_for_model(experiment: Experiment, output: Path) -> None:
    """Copy what the experiment's model is used with, for another model of the same units and features."""
    for name in COPIED:
        source, target = experiment.place(name), output / name
        if source.is_dir():
            shutil.copytree(source, target)
        elif source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)

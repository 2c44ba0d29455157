"""asrkit export-kaldi: write the manifests of an experiment as Kaldi data directories."""

import collections
import functools
from pathlib import Path

import click

from asrkit.corpus.audio import open_audio
from asrkit.corpus.kaldi import refuse_other_directory, write_data_directory
from asrkit.corpus.manifests import read_cuts
from asrkit.corpus.splits import sets_of
from asrkit.pipeline.experiment import Experiment, open_experiment
from asrkit.pipeline.finished import refuse_changed
from asrkit.pipeline.runner import cache_of
from asrkit.stages.table import stage_named

FOLDER = click.Path(path_type=Path)


@click.command("export-kaldi")
@click.option("--exp", required=True, type=FOLDER, metavar="DIR", help="An experiment with manifests.")
@click.argument("directory", type=FOLDER)
def command(exp: Path, directory: Path) -> None:
    """Write DIRECTORY/SPLIT with wav.scp, text, utt2spk, spk2utt and, if there are any, segments.

    Utterances rejected by stage manifests are not exported. `asrkit new-recipe --from DIRECTORY` reads
    these directories.
    """
    experiment = open_experiment(exp)
    refuse_changed(stage_named("manifests"), experiment, cache_of(experiment), reads=())
    export(experiment, directory)


def export(experiment: Experiment, directory: Path) -> None:
    """Write a data directory per split; raises UserError for folders that hold anything else."""
    others = collections.Counter[str]()
    splits = sets_of(experiment.config.corpus)
    for split in splits:  # before any is written
        refuse_other_directory(directory / split)
    for split in splits:
        cuts = list(read_cuts(experiment, split))
        write_data_directory(directory / split, cuts)
        others.update(_format(Path(cut.recording.sources[0].source)) for cut in cuts)
        print(f"wrote {directory / split}: {len(cuts)} utterances")
    del others["WAV PCM_16"]
    for form, count in others.items():
        print(
            f"note: {count} utterances are in {form} files; Kaldi's own programs read WAV of 16 bits, "
            "or the output of a command in wav.scp"
        )


@functools.lru_cache(maxsize=1)  # a recording's cuts follow each other
def _format(file: Path) -> str:
    """Container and encoding, such as FLAC PCM_16."""
    with open_audio(file) as sound:
        return f"{sound.format} {sound.subtype}".replace("WAVEX", "WAV")

"""asrkit export-kaldi: write the manifests of an experiment as Kaldi data directories."""

import collections
from pathlib import Path

import click

from asrkit.corpus.kaldi import write_data_directory
from asrkit.corpus.manifests import read_cuts
from asrkit.corpus.splits import sets_of
from asrkit.pipeline.experiment import Experiment, open_experiment
from asrkit.pipeline.finished import refuse_changed
from asrkit.pipeline.runner import cache_of
from asrkit.stages.table import stage_named

FOLDER = click.Path(path_type=Path)


@click.command("export-kaldi")
@click.option("--exp", required=True, type=FOLDER, metavar="DIR", help="Experiment with finished manifests.")
@click.argument("directory", type=FOLDER)
def command(exp: Path, directory: Path) -> None:
    """Write DIRECTORY/SPLIT with wav.scp, text, utt2spk, spk2utt and, if needed, segments.

    Rejected utterances are left out. `asrkit new-recipe --from DIRECTORY` reads the directories back.
    """
    experiment = open_experiment(exp)
    refuse_changed(stage_named("manifests"), experiment, cache_of(experiment), reads=())
    export(experiment, directory)


def export(experiment: Experiment, directory: Path) -> None:
    """Write a data directory for each split."""
    others = collections.Counter[str]()
    for split in sets_of(experiment.config.corpus):
        cuts = list(read_cuts(experiment, split))
        write_data_directory(directory / split, cuts)
        suffixes = (Path(cut.recording.sources[0].source).suffix.lower() for cut in cuts)
        others.update(suffix for suffix in suffixes if suffix != ".wav")
        print(f"wrote {directory / split}: {len(cuts)} utterances")
    for suffix, count in others.items():
        print(
            f"note: wav.scp names {suffix or 'other'} files of {count} utterances as they are; "
            "Kaldi's programs need WAV, or a piped command that outputs it"
        )

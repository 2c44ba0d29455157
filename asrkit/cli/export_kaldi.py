"""asrkit export-kaldi: write the manifests of an experiment as Kaldi data directories."""

import collections
from pathlib import Path
from typing import Dict, Tuple

import click

from asrkit.corpus.audio import open_audio
from asrkit.corpus.kaldi import refuse_other_directory, write_data_directory
from asrkit.corpus.manifests import read_cuts
from asrkit.corpus.splits import sets_of
from asrkit.errors import AudioProblem
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
    formats: Dict[Tuple[Path, str], str] = {}
    splits = sets_of(experiment.config.corpus)
    for split in splits:  # all of them before any file is written
        refuse_other_directory(directory / split)
    for split in splits:
        cuts = list(read_cuts(experiment, split))
        write_data_directory(directory / split, cuts)
        sources = (Path(cut.recording.sources[0].source) for cut in cuts)
        others.update(_format(file, formats) for file in sources)
        print(f"wrote {directory / split}: {len(cuts)} utterances")
    for form in ("WAV PCM_16", "WAV"):
        del others[form]
    for form, count in others.items():
        print(
            f"note: {count} utterances are in {form} files; Kaldi's own programs read 16-bit WAV, "
            "or the output of a command in wav.scp"
        )


def _format(file: Path, known: Dict[Tuple[Path, str], str]) -> str:
    """Container and encoding, such as FLAC PCM_16, of the first file of a folder with this suffix."""
    folder, suffix = file.parent, file.suffix
    if (folder, suffix) not in known:
        try:
            with open_audio(file) as sound:
                known[folder, suffix] = f"{sound.format} {sound.subtype}".replace("WAVEX", "WAV")
        except AudioProblem:  # it may have been moved since; wav.scp needs only its path
            known[folder, suffix] = suffix.lstrip(".").upper() or "other"
    return known[folder, suffix]

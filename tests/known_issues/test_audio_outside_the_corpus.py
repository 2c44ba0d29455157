"""Stage manifests stayed fresh when audio outside the corpus's folder, or hidden in it, was changed.

Hidden tables, such as macOS's ._all.tsv, were read as part of the corpus.
"""

from pathlib import Path
from typing import Callable, List

import pytest

from asrkit.config import CorpusConfig, RecipeConfig
from asrkit.corpus.utterance import listings
from asrkit.onboarding.source import identify_source
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.inputs import find
from asrkit.pipeline.record import find_outputs
from asrkit.pipeline.runner import cache_of
from asrkit.stages import manifests
from tests.corpus.sound import noise, write_audio

LIST = "audio of manifests/sources.json"


def make_experiment(directory: Path, place: Callable[[str], str]) -> Experiment:
    """A Kaldi corpus of three splits; its wav.scp has `place(name of the audio)` for each recording."""
    for number, split in enumerate(("train", "dev", "test")):
        folder = directory / "corpus" / split
        folder.mkdir(parents=True)
        (folder / "wav.scp").write_text(f"{split} {place(split)}\n")
        (folder / "text").write_text(f"{split} ONE\n")
        (folder / "utt2spk").write_text(f"{split} {split}\n")
        write_audio(directory / "audio" / f"{split}.wav", noise(1, number))
        write_audio(directory / "corpus" / ".audio" / f"{split}.wav", noise(1, number))
    config = RecipeConfig(name="x", corpus=CorpusConfig(module="kaldi", allow_pipes=True))
    return Experiment(config, directory / "exp", directory / "corpus", directory / "recipe", 1)


@pytest.mark.parametrize("kind", ["absolute", "hidden", "piped"])
@pytest.mark.parametrize("change", ["written", "gone"])
def test_stage_manifests_is_stale_if_it_changes(tmp_path: Path, kind: str, change: str) -> None:
    folder = tmp_path / ("corpus/.audio" if kind == "hidden" else "audio")
    places = {
        "absolute": lambda name: str(folder / f"{name}.wav"),
        "hidden": lambda name: f".audio/{name}.wav",
        "piped": lambda name: f"cat '{folder}/{name}.wav' |",
    }
    experiment = make_experiment(tmp_path, places[kind])
    manifests.run(experiment)
    before = find_outputs(manifests.STAGE, experiment, cache_of(experiment))
    assert before[LIST] == find_outputs(manifests.STAGE, experiment, cache_of(experiment))[LIST]
    if change == "written":
        write_audio(folder / "test.wav", noise(2, 9))
    else:
        (folder / "test.wav").unlink()
    after = find_outputs(manifests.STAGE, experiment, cache_of(experiment))
    assert [name for name in before if before[name] != after[name]] == [LIST]


def test_a_corpus_in_its_folder_has_no_list(tmp_path: Path) -> None:
    experiment = make_experiment(tmp_path, lambda name: f"audio/{name}.wav")
    (tmp_path / "audio").rename(tmp_path / "corpus" / "audio")
    manifests.run(experiment)
    assert not (experiment.folder("manifests") / "sources.json").exists()
    assert LIST not in find_outputs(manifests.STAGE, experiment, cache_of(experiment))
    assert find(LIST, experiment).files == []


def test_hidden_tables_are_no_corpus(tmp_path: Path) -> None:
    names: List[str] = ["._all.tsv", ".old.tsv", "all.tsv"]
    for name in names:
        (tmp_path / name).write_text("path\ttext\tspeaker\n")
    assert listings(tmp_path, CorpusConfig(module="tsv"), "*.tsv") == [tmp_path / "all.tsv"]
    (tmp_path / "all.tsv").rename(tmp_path / ".all.tsv")
    with pytest.raises(Exception, match="no corpus in"):
        identify_source(tmp_path)

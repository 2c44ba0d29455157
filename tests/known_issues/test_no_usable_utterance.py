"""new-recipe failed with a traceback if no utterance could be used, even after following its own advice."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from asrkit.cli.new_recipe import command
from asrkit.config import CorpusConfig, RecipeConfig
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.stages import manifests
from tests.corpus.sound import noise, write_audio


def write_corpus(folder: Path, channels: int) -> None:
    rows = ["path\ttext\tspeaker\n"]
    for number in range(12):
        write_audio(folder / f"u{number:02d}.wav", noise(0.5, number, 8000, channels), 8000)
        rows.append(f"u{number:02d}.wav\tone two\ts{number}\n")
    (folder / "all.tsv").write_text("".join(rows))


@pytest.mark.parametrize(
    ("channels", "setting", "reason", "todo"),
    [
        (2, "corpus.max_bad_fraction=1", ".wav: more than one channel: found 2", "fix the corpus"),
        (
            1,
            "corpus.min_sampling_rate=16000",
            ".wav: other sampling rate: found 8000 Hz",
            "fix the corpus; or accept them: --set corpus.min_sampling_rate=HZ",
        ),
    ],
)
def test_a_split_without_usable_utterances_is_refused(
    tmp_path: Path, channels: int, setting: str, reason: str, todo: str
) -> None:
    write_corpus(tmp_path / "c", channels)
    (tmp_path / "recipes").mkdir()
    arguments = ["new", "--from", str(tmp_path / "c"), "--recipes", str(tmp_path / "recipes"), "--nj", "1"]
    for options in (["--set", setting], ["--set", setting, "--set", "corpus.tests=[]"]):
        with pytest.raises(UserError, match="no utterance of train can be used") as caught:
            CliRunner().invoke(command, [*arguments, *options], catch_exceptions=False)
        assert reason in caught.value.found
        assert caught.value.todo == todo
    assert not (tmp_path / "recipes" / "new").exists()


def test_stage_manifests_refuses_it_too(tmp_path: Path) -> None:
    write_corpus(tmp_path / "c", channels=2)
    corpus = CorpusConfig(module="tsv", held_out=("dev", "test"), max_bad_fraction=1.0)
    experiment = Experiment(
        RecipeConfig(name="new", corpus=corpus), tmp_path / "exp", tmp_path / "c", tmp_path, 1
    )
    with pytest.raises(UserError, match="no utterance of train can be used"):
        manifests.run(experiment)

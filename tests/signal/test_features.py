"""Stored features equal computed ones, whatever the number of processes and interruptions."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Dict

import numpy as np
import pytest

from asrkit.config import load_config
from asrkit.config.recipe import FeaturesConfig
from asrkit.errors import AudioProblem, UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.signal.features import load_cuts
from asrkit.signal.filterbank import FilterBank
from asrkit.stages import features, manifests
from asrkit.storage.files import read_jsonl
from asrkit.storage.tensors import load_tensors
from tests.corpus.sound import SmallCorpus, experiment_over, kinds, noise, write_audio

ROOT = Path(__file__).resolve().parents[2]


def prepared(tmp_path: Path, train: int = 7, seconds: float = 0.5, rate: int = 16000) -> Experiment:
    """A corpus with its manifests written."""
    corpus = SmallCorpus(tmp_path)
    for split, count in (("train", train), ("dev", 2), ("test", 2)):
        for number in range(count):
            file = f"{split}/{number}.wav"
            seed = 100 * len(split) + number + ord(split[0])
            write_audio(corpus.directory / file, noise(seconds + 0.0137 * number, seed, rate), rate)
            corpus.add(f"{split}-{number}", split, audio=file)
    experiment = corpus.experiment()
    manifests.run(experiment)
    return experiment


def tree(folder: Path) -> Dict[str, bytes]:
    """Content of all files below a folder by name."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def redo(experiment: Experiment, jobs: int = 1, name: str = "other", **sections: Dict[str, object]) -> Path:
    """Features of the same manifests in another folder; returns that folder."""
    other = experiment_over(experiment.recipe_directory.parents[1], jobs, name, **sections)
    other.folder("manifests").parent.mkdir(exist_ok=True)
    if not other.folder("manifests").exists():
        other.folder("manifests").symlink_to(experiment.folder("manifests"))
    features.run(other)
    return other.folder("features")


def test_stored_features_equal_those_of_the_audio(tmp_path: Path) -> None:
    experiment = prepared(tmp_path)
    features.run(experiment)
    bank = FilterBank(experiment.config.features)
    cuts = list(load_cuts(experiment, "test"))
    assert [cut.id for cut in cuts] == ["test-0", "test-1"]
    for cut in cuts:
        stored = cut.load_features()
        assert stored.dtype == np.float32
        np.testing.assert_array_equal(stored, bank.extract(cut.load_audio()[0]))
        assert stored.shape == (cut.num_frames, 80)


def test_features_lie_within_half_a_step_of_what_lhotse_computes(tmp_path: Path) -> None:
    from lhotse import Fbank, FbankConfig

    experiment = prepared(tmp_path)
    features.run(experiment)
    (cut, _) = load_cuts(experiment, "dev")
    computed = Fbank(FbankConfig(num_mel_bins=80)).extract(cut.load_audio()[0], 16000)
    assert np.abs(cut.load_features() - computed).max() <= 0.5 / 1024 + 1e-6


@pytest.mark.parametrize("rate", [8000, 16000, 22050])
def test_training_has_each_speed_with_its_duration_and_frames(tmp_path: Path, rate: int) -> None:
    experiment = prepared(tmp_path, rate=rate)
    features.run(experiment)
    cuts = {cut.id: cut for cut in load_cuts(experiment, "train")}
    assert len(cuts) == 21
    assert {cut.sampling_rate for cut in cuts.values()} == {16000}
    for number in range(7):
        plain = cuts[f"train-{number}"]
        for speed in (0.9, 1.1):
            copy = cuts[f"train-{number}_sp{speed}"]
            assert copy.duration == pytest.approx(plain.duration / speed, abs=2 / rate)
            assert copy.load_features().shape == (copy.num_frames, 80)
            assert copy.supervisions[0].text == plain.supervisions[0].text
            assert copy.supervisions[0].speaker == plain.supervisions[0].speaker
    assert len(list(load_cuts(experiment, "dev"))) == 2


def test_speed_moves_a_tone_by_its_factor(tmp_path: Path) -> None:
    corpus = SmallCorpus(tmp_path)
    corpus.add_splits({"dev": 1, "test": 1})
    tone = 0.3 * np.sin(2 * np.pi * 2000 * np.arange(16000) / 16000)
    write_audio(corpus.directory / "tone.wav", tone)
    corpus.add("tone", "train", audio="tone.wav")
    experiment = corpus.experiment()
    manifests.run(experiment)
    features.run(experiment)
    cuts = load_cuts(experiment, "train")
    peaks = {cut.id: int(cut.load_features()[20:-20].mean(axis=0).argmax()) for cut in cuts}
    mel = np.linspace(1127 * np.log1p(20 / 700), 1127 * np.log1p(7600 / 700), 82)[1:-1]
    for name, frequency in (("tone", 2000), ("tone_sp0.9", 1800), ("tone_sp1.1", 2200)):
        expected = np.abs(mel - 1127 * np.log1p(frequency / 700)).argmin()
        assert abs(peaks[name] - expected) <= 1, name


def test_resampling_is_reported_once_per_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    features.run(prepared(tmp_path, rate=8000))
    assert capsys.readouterr().out.count("train: audio of 8000 Hz is resampled to 16000 Hz") == 1


def test_bytes_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    experiment = prepared(tmp_path)
    features.run(experiment)
    assert tree(redo(experiment, jobs=3)) == tree(experiment.folder("features"))


def test_normalisation_is_that_of_training_features_alone(tmp_path: Path) -> None:
    experiment = prepared(tmp_path)
    features.run(experiment)
    tensors, metadata = load_tensors(experiment.folder("features") / "normalisation.safetensors")
    loaded = [cut.load_features() for cut in load_cuts(experiment, "train")]
    frames = np.concatenate(loaded).astype(np.float64)
    assert metadata["frames"] == len(frames)
    np.testing.assert_allclose(tensors["mean"].numpy(), frames.mean(axis=0), rtol=1e-6)
    std = np.maximum(frames.std(axis=0), 0.5)
    np.testing.assert_allclose(1 / tensors["inverse_deviation"].numpy(), std, rtol=1e-6)


def test_audio_damaged_after_the_manifests_is_rejected_and_a_lost_test_utterance_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = prepared(tmp_path)
    corpus = experiment.corpus_directory
    write_audio(corpus / "train/0.wav", np.full(8000, np.nan), subtype="FLOAT")
    write_audio(corpus / "train/1.wav", np.zeros(9000))
    write_audio(corpus / "train/2.wav", noise(0.2, 1))
    write_audio(corpus / "train/3.wav", noise(1, 1, channels=2))
    (corpus / "train/4.wav").unlink()
    (corpus / "test/0.wav").write_bytes(b"no audio")
    features.run(experiment)
    rows = read_jsonl(experiment.folder("features") / "rejected.jsonl")
    assert kinds(rows) == {
        "train-0": "NaN or infinite samples",
        "train-1": "silence",
        "train-2": "truncated",
        "train-3": "more than one channel",
        "train-4": "not readable audio",
        "test-0": "not readable audio",
    }
    assert {cut.id for cut in load_cuts(experiment, "train") if "_sp" not in cut.id} == {"train-5", "train-6"}
    assert "WARNING: 1 utterance of test set test can't be used" in capsys.readouterr().out


def test_too_much_unusable_audio_stops_the_stage(tmp_path: Path) -> None:
    experiment = prepared(tmp_path)
    (experiment.corpus_directory / "test/0.wav").unlink()
    with pytest.raises(UserError, match=r"(?s)1 of 2 utterances of test can't be used:.*test-0"):
        redo(experiment, corpus={"max_bad_fraction": 0.1})


def test_only_changed_shards_are_recomputed_and_old_ones_are_removed(tmp_path: Path) -> None:
    experiment = prepared(tmp_path, train=7)
    folder = redo(experiment)
    stamps = {file.name: file.stat().st_mtime_ns for file in (folder / "shards").iterdir()}
    (folder / "shards" / "train-00001.json").unlink()
    (folder / "shards" / ".train-00001.i16.1.part").write_bytes(b"left by a killed job")
    redo(experiment)
    again = {file.name: file.stat().st_mtime_ns for file in (folder / "shards").iterdir()}
    assert set(again) == set(stamps)
    changed = {name for name in stamps if again[name] != stamps[name]}
    assert changed == {"train-00001.i16", "train-00001.json"}
    redo(experiment, features={"shard_utterances": 5})
    assert len(list((folder / "shards").glob("train-*.i16"))) == 2
    assert tree(folder) == tree(redo(experiment, name="fresh", features={"shard_utterances": 5}))


def test_audio_changed_since_the_manifests_is_read_again(tmp_path: Path) -> None:
    experiment = prepared(tmp_path)
    features.run(experiment)
    before = {cut.id: cut.load_features() for cut in load_cuts(experiment, "dev")}
    changed = experiment.corpus_directory / "dev" / "0.wav"
    write_audio(changed, noise(0.5, 999))
    os.utime(changed, ns=(1, 1))
    features.run(experiment)
    after = {cut.id: cut.load_features() for cut in load_cuts(experiment, "dev")}
    assert not np.array_equal(before["dev-0"], after["dev-0"])
    assert np.array_equal(before["dev-1"], after["dev-1"])


def test_other_settings_give_other_features(tmp_path: Path) -> None:
    experiment = prepared(tmp_path)
    redo(experiment)
    redo(experiment, features={"bins": 40})
    other = experiment_over(tmp_path, name="other", features={"bins": 40})
    assert next(load_cuts(other, "dev")).load_features().shape[1] == 40


RUN = """
import sys
from pathlib import Path
from tests.corpus.sound import experiment_over
from asrkit.stages import features
if len(sys.argv) > 2:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
features.run(experiment_over(Path(sys.argv[1]), jobs=2))
"""


def start(root: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Stage features of the corpus below `root` in another process."""
    command = [sys.executable, "-c", RUN, str(root), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("finished", [0, 2, 7])
def test_killed_and_resumed_gives_the_bytes_of_an_uninterrupted_run(tmp_path: Path, finished: int) -> None:
    experiment = prepared(tmp_path, train=27, seconds=4.0)
    expected = tree(redo(experiment))
    shards = experiment.folder("features") / "shards"
    process = start(tmp_path)
    while process.poll() is None and (
        len(list(shards.glob("*.json"))) < finished or not list(shards.glob(".*.part"))
    ):
        time.sleep(0.0002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
    time.sleep(0.2)  # for its children, which the kernel kills
    held = tree(experiment.folder("features"))
    time.sleep(0.3)
    assert tree(experiment.folder("features")) == held, "a child went on after its parent was killed"
    features.run(experiment)
    assert tree(experiment.folder("features")) == expected


def test_a_full_disk_is_reported_and_loses_nothing(tmp_path: Path) -> None:
    experiment = prepared(tmp_path, train=9, seconds=2.0)
    expected = tree(redo(experiment))
    process = start(tmp_path, "300000")  # dev and test fit below this size of a file, training doesn't
    _, errors = process.communicate()
    assert process.returncode == 1
    assert "UserError: can't write" in errors
    assert "nothing is damaged" in errors
    assert not [name for name in tree(experiment.folder("features")) if name.endswith(".part")]
    features.run(experiment)
    assert tree(experiment.folder("features")) == expected


def test_a_process_that_is_killed_is_named(tmp_path: Path) -> None:
    from asrkit.pipeline.parallel import run_parallel

    def work(index: int) -> None:
        if index == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(UserError, match="ended by signal SIGKILL"):
        run_parallel(work, 8, 2, lambda index, result: None)


def test_yesno_features_have_the_published_amount_of_audio(
    corpora: Callable[[str], Path], tmp_path: Path
) -> None:
    recipe = ROOT / "recipes" / "yesno"
    config = load_config(recipe / "recipe.yaml", None, ["features.sampling_rate=16000", "features.bins=80"])
    experiment = Experiment(config, tmp_path, corpora("yesno"), recipe, jobs=2)
    manifests.run(experiment)
    features.run(experiment)
    test = list(load_cuts(experiment, "test"))
    assert len(test) == 30
    assert sum(len(cut.supervisions[0].text.split()) for cut in test) == 240
    assert len(list(load_cuts(experiment, "train"))) == 72
    # Upsampled from 8 kHz: speech lies in the lower bins, and the upper ones stay low and finite.
    mean = np.concatenate([cut.load_features() for cut in test]).mean(axis=0)
    assert np.isfinite(mean).all()
    assert mean[:50].mean() - mean[70:].mean() > 3


def test_silence_of_some_frames_stays_finite() -> None:
    samples = np.concatenate([np.zeros(8000), noise(0.5, 1)]).astype(np.float32)
    assert np.isfinite(FilterBank(FeaturesConfig()).extract(samples)).all()


@pytest.mark.parametrize("samples", [0, 1, 79, 80, 399])
def test_less_audio_than_a_frame_is_an_audio_problem(samples: int) -> None:
    bank = FilterBank(FeaturesConfig(bins=20))
    with pytest.raises(AudioProblem, match=f"too short: {samples} samples, a frame has 400"):
        bank.extract(noise(1, 1)[:samples].astype(np.float32))
    assert bank.extract(noise(1, 1)[:400].astype(np.float32)).shape == (3, 20)

"""Durations, the network that speaks, its training and the waveform."""

from pathlib import Path
from typing import List

import numpy as np
import pytest
import torch

from asrkit.config.recipe import FeaturesConfig, SynthesisConfig
from asrkit.config.symbols import BLANK
from asrkit.errors import UserError
from asrkit.pipeline.progress import Progress
from asrkit.signal.filterbank import FilterBank
from asrkit.signal.normalisation import Normalisation
from asrkit.signal.shard import write_shard
from asrkit.synthesis.durations import TimedUnits, share_blanks, time_units
from asrkit.synthesis.network import SpeechNetwork, Voice, load_voice, save_voice, spread
from asrkit.synthesis.speaking import Speaker
from asrkit.synthesis.training import Spoken, losses, train_network
from asrkit.synthesis.waveform import to_samples
from asrkit.text.lexicon import Pronunciation
from asrkit.text.units import Units
from asrkit.train.examples import StoredFeatures

CONFIG = SynthesisConfig(
    dim=16, unit_blocks=1, frame_blocks=2, epochs=2, batch_duration=2.0, warmup_steps=2, dropout=0.2
)
UNITS = Units(["<blk>", "▁A", "B"], [Pronunciation("AB", ("▁A", "B")), Pronunciation("A", ("▁A",))])
BINS = 20


def make_spoken(folder: Path, count: int) -> List[Spoken]:
    random = np.random.default_rng(1)
    timed = [TimedUnits("s", [0, 1, 2, 0], random.integers(3, 12, 4).tolist()) for n in range(count)]
    matrices = [random.integers(-2000, 2000, (sum(of.frames), BINS)).astype(np.int16) for of in timed]
    keys = write_shard(folder / "shard.i16", matrices)
    ones = torch.ones(BINS)
    return [
        Spoken(
            of,
            n % 2,
            StoredFeatures(folder / "shard.i16", key, sum(of.frames), Normalisation(0 * ones, ones)),
        )
        for n, (of, key) in enumerate(zip(timed, keys))
    ]


def make_network() -> SpeechNetwork:
    torch.manual_seed(1)
    return SpeechNetwork(CONFIG, BINS, len(UNITS), 2)


def test_blanks_are_shared_and_quiet_parts_become_pauses() -> None:
    rate, frames = 16000, 60
    samples = np.random.default_rng(1).normal(0, 0.2, 160 * frames).astype(np.float32)
    samples[: 160 * 10] = samples[160 * 50 :] = 0  # 0.1 s of silence at both ends
    edges = share_blanks([(12, 16), (20, 24), (40, 44)], frames)
    assert edges == [0, 18, 32, 60]
    units, durations = time_units([[1, 2], [1]], edges, samples, rate, 0.01, frames)
    assert units == [BLANK, 1, 2, 1, BLANK]
    assert durations == [10, 8, 14, 18, 10]


def test_a_word_too_short_between_its_pauses_keeps_its_frames() -> None:
    samples = np.zeros(160 * 20, np.float32)
    samples[160 * 8 : 160 * 9] = 0.5
    units, frames = time_units([[1, 2]], [0, 10, 20], samples, 16000, 0.01, 20)
    assert (units, frames) == ([1, 2], [10, 10])


def test_units_are_spread_over_their_frames() -> None:
    index, place = spread(torch.tensor([[2, 1], [1, 0]]))
    assert index.tolist() == [[0, 0, 1], [0, 0, 0]]
    assert place[0, :, 0].tolist() == [0.25, 0.75, 0.5]


def test_features_do_not_depend_on_the_batch_and_gradients_flow(tmp_path: Path) -> None:
    spoken, network = make_spoken(tmp_path, 5), make_network().eval()
    apart = [float(losses(network, [each])[0]) * sum(each.timed.frames) for each in spoken]
    together = float(losses(network, spoken)[0]) * sum(sum(each.timed.frames) for each in spoken)
    assert sum(apart) == pytest.approx(together, rel=1e-5)
    features, durations = losses(network.train(), spoken)
    (features + durations).backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None] == []


class Killed(Exception):
    """Stands for SIGKILL: nothing after it runs."""


def test_a_killed_training_resumes_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asrkit.synthesis.training.CHECKPOINT_STEPS", 2)
    spoken, whole, killed = make_spoken(tmp_path, 20), make_network(), make_network()
    train_network(whole, CONFIG, spoken, spoken[:3], tmp_path / "whole")
    steps = 0

    def advance(self: Progress, audio_seconds: float = 0.0, count: int = 1) -> None:
        nonlocal steps
        steps += bool(audio_seconds)
        if steps == 5:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "advance", advance)
        with pytest.raises(Killed):
            train_network(killed, CONFIG, spoken, spoken[:3], tmp_path / "killed")
    resumed = make_network()
    train_network(resumed, CONFIG, spoken, spoken[:3], tmp_path / "killed")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    logs = [(tmp_path / run / "log.jsonl").read_bytes() for run in ("whole", "killed")]
    assert logs[0] == logs[1]


def test_a_stored_voice_says_the_same(tmp_path: Path) -> None:
    network = make_network().eval()
    save_voice(tmp_path / "voice.safetensors", network, CONFIG, ["x", "y"], "key")
    stored = load_voice(tmp_path / "voice.safetensors")
    assert torch.equal(stored.features([0, 1, 0], "y"), Voice(network, ["x", "y"]).features([0, 1, 0], "y"))


def test_words_without_units_and_speakers_are_refused_with_what_to_type() -> None:
    speaker = Speaker(Voice(make_network().eval(), ["x", "y"]), UNITS, FeaturesConfig(bins=BINS))
    with pytest.raises(UserError, match="no units for ab") as error:
        speaker.speak("ab")
    assert "type AB" in error.value.todo
    with pytest.raises(UserError, match="no units for 42"):
        speaker.speak("A 42")
    with pytest.raises(UserError, match="no speaker z"):
        speaker.speak("A", "z")
    with pytest.raises(UserError, match="without words"):
        speaker.speak("  ")
    assert len(speaker.speak("AB A", "y")) % 160 == 0


@pytest.mark.parametrize(("rate", "bins"), [(16000, 80), (8000, 40)])
def test_the_waveform_has_the_features_that_it_was_made_of(rate: int, bins: int) -> None:
    config = FeaturesConfig(sampling_rate=rate, bins=bins)
    time = np.arange(rate) / rate
    tone = sum(np.sin(2 * np.pi * 140 * n * time) / n for n in range(1, 12))
    samples = (0.1 * tone * np.sin(np.pi * time) + 0.001 * np.random.default_rng(1).normal(size=rate)).astype(
        np.float32
    )
    features = FilterBank(config).extract(samples)
    again = to_samples(torch.from_numpy(features), config)
    assert len(again) == rate
    assert torch.equal(again, to_samples(torch.from_numpy(features), config))
    assert np.abs(FilterBank(config).extract(again.numpy()) - features).mean() < 0.5

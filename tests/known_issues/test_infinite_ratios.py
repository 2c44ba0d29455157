"""An infinite signal-to-noise ratio in a CutSet made manifests unreadable, and changes of audio unnoticed."""

import dataclasses
import gzip
from pathlib import Path
from typing import Any

import pytest

from asrkit.config import CorpusConfig, RecipeConfig
from asrkit.corpus.audio import AudioFacts
from asrkit.corpus.cut_set import read_cut_set
from asrkit.corpus.manifests import manifest_rows
from asrkit.corpus.utterance import Utterance
from asrkit.corpus.validation import ValidUtterance
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.inputs import find, fingerprint_inputs
from asrkit.pipeline.requirements import check_inputs
from asrkit.pipeline.stage import Stage
from asrkit.storage.fingerprint import FingerprintCache

CUT = """{"id": "a", "type": "MonoCut", "start": 0, "duration": 1, "channel": 0, "custom": {"snr": %s},
 "supervisions": [{"id": "a", "start": 0, "duration": 1, "text": "one", "speaker": "s"}]}"""
AUDIO = "audio of manifests/train_cuts.jsonl.gz"


@pytest.mark.parametrize(
    ("written", "snr"),
    [
        *(("12.5", 12.5), ("-3", -3.0), ("Infinity", None), ("-Infinity", None), ("NaN", None)),
        *(("true", None), ("1e300", None), (f"1{'0' * 400}", None), ('"10"', None)),
    ],
)
def test_only_finite_ratios_are_kept(tmp_path: Path, written: str, snr: Any) -> None:
    file = tmp_path / "train_cuts.jsonl"
    file.write_text((CUT % written).replace("\n", ""))
    (entry,) = read_cut_set(file, "--cuts", allow_pipes=False)
    assert entry.snr == snr


def test_manifests_of_any_corpus_have_finite_ratios_only() -> None:
    utterance = Utterance("a", Path("a.wav"), "one", "s", "train", snr=float("nan"))
    valid = ValidUtterance(utterance, "one", AudioFacts(16000, 16000, "c"), 0, 16000)
    ratios = []
    for one in (valid, dataclasses.replace(valid, utterance=dataclasses.replace(utterance, snr=3.0))):
        ratios += [cut["custom"].get("snr") for _, _, cut in manifest_rows([one])]
    assert ratios == [None, 3.0]


def test_an_unreadable_manifest_is_an_error_before_a_stage_reads_it(tmp_path: Path) -> None:
    config = RecipeConfig(name="small", corpus=CorpusConfig(module="small"))
    experiment = Experiment(config, tmp_path / "exp", tmp_path, tmp_path, 1)
    stage = Stage(name="features", purpose="", reads=(AUDIO,))
    manifest = tmp_path / "exp" / "manifests" / "train_cuts.jsonl.gz"
    assert find(AUDIO, experiment).files == []  # it is reported as missing
    manifest.parent.mkdir(parents=True)
    manifest.write_bytes(gzip.compress((CUT % "Infinity").replace("\n", "").encode()))
    with pytest.raises(UserError, match=r"can't read .*train_cuts\.jsonl\.gz") as caught:
        check_inputs(stage, [stage], experiment)
    assert caught.value.todo == "run.sh --stage manifests"
    inputs = fingerprint_inputs(stage, experiment, FingerprintCache(tmp_path / "exp"))
    assert set(inputs) == {AUDIO}  # --status shows the state of all stages

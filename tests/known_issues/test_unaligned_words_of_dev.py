"""If a word had no units, stage align wrote one duration too many for its utterance, so stage synthesise
failed or learned durations of the wrong units."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Iterator, List, Sequence, Tuple

import numpy as np
import pytest
import torch

from asrkit.config import CorpusConfig, RecipeConfig
from asrkit.config.symbols import BLANK
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.storage.files import read_jsonl
from asrkit.synthesis import align, durations
from asrkit.text.lexicon import Pronunciation
from asrkit.text.units import Units

LEXICON = [Pronunciation("AB", ("a", "b")), Pronunciation("CA", ("c", "a"))]
UNITS = Units(["<blk>", "a", "b", "c"], LEXICON)
RATE, FRAMES = 16000, 100


def make_cut(id: str, text: str) -> Any:
    place = SimpleNamespace(frame_shift=0.01, storage_path="features/shards/0.i16", storage_key="0,1")
    spoken = [SimpleNamespace(text=text, speaker="s")]
    return SimpleNamespace(id=id, duration=1.0, num_frames=FRAMES, features=place, supervisions=spoken)


def encode(model: Any, cuts: Sequence[Any], seconds: float) -> Iterator[Tuple[Any, None, torch.Tensor]]:
    for cut in cuts:
        yield cut, None, torch.randn(FRAMES // 4, len(UNITS)).log_softmax(-1)


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, train: List[Any], dev: List[Any]) -> Experiment:
    sound = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    cuts = {"train": train, "dev": dev}
    monkeypatch.setattr(align, "load_units", lambda folder: UNITS)
    monkeypatch.setattr(align, "load_model", lambda file: (SimpleNamespace(config=None), {}))
    monkeypatch.setattr(align, "load_cuts", lambda experiment, split: cuts[split])
    monkeypatch.setattr(durations, "encode_cuts", encode)
    monkeypatch.setattr(durations, "subsampling", lambda config: 4)
    monkeypatch.setattr(durations, "read_speed_perturbed", lambda cut, *_: [(cut, sound)])
    config = RecipeConfig(name="small", corpus=CorpusConfig(module="small", train="train", dev="dev"))
    experiment = Experiment(config, folder, folder, folder, 1)
    align.align_splits(experiment)
    return experiment


def test_they_are_listed_and_the_others_have_a_duration_per_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dev = [make_cut("d0", "AB CA"), make_cut("d1", "AB ZZZ CA"), make_cut("d2", "ZZZ YYY")]
    folder = run(tmp_path, monkeypatch, [make_cut("t0", "CA AB")], dev).folder("align")
    (row,) = read_jsonl(folder / "dev.jsonl.gz")
    assert row["id"] == "d0" and [unit for unit in row["units"] if unit != BLANK] == [1, 2, 3, 1]
    assert len(row["units"]) == len(row["frames"]) and sum(row["frames"]) == FRAMES
    rejected = [json.loads(line) for line in (folder / "rejected.jsonl").read_text().splitlines()]
    assert [(each["id"], each["split"], each["reason"]) for each in rejected] == [
        ("d1", "dev", "words not covered by the units: ZZZ"),
        ("d2", "dev", "words not covered by the units: ZZZ YYY"),
    ]


def test_texts_that_do_not_fit_their_recordings_still_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dev = [make_cut("d0", "AB"), make_cut("d1", "AB " * 50), make_cut("d2", "ZZZ")]
    with pytest.raises(UserError, match="1 of 2 utterances of dev can't be used"):
        run(tmp_path, monkeypatch, [make_cut("t0", "CA AB")], dev)

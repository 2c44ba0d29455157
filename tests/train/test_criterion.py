"""Training criteria on cases small enough to list every unit sequence."""

import itertools
import math
import sys
from typing import Dict, List, Sequence, Tuple

import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor

from asrkit.config import ModelConfig, TrainConfig
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.text.lexicon import Pronunciation
from asrkit.text.units import Units
from asrkit.train.criterion import (
    CTC,
    Output,
    Spoken,
    count_pairs,
    import_k2,
    make_criterion,
)
from asrkit.train.loss import ctc_loss, frames_needed
from tests.train.tiny import MODEL

pytestmark = pytest.mark.k2

LEXICON = [
    Pronunciation("READ", ("R", "I", "D")),
    Pronunciation("READ", ("R", "E", "D"), 0.5),
    Pronunciation("ON", ("D", "D")),
    Pronunciation("OH", ("E",)),
]
UNITS = Units(["<blk>", "R", "I", "E", "D", "SIL"], LEXICON)
CONFIG = TrainConfig(ctc="k2")


@pytest.fixture(autouse=True)
def needs_k2() -> None:
    """Skip without k2."""
    pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")


def scores_of(batch: int, frames: int) -> Tensor:
    torch.manual_seed(0)
    return torch.randn(batch, frames, len(UNITS), dtype=torch.float64)


def sequences(text: str, silence: bool) -> Dict[Tuple[int, ...], float]:
    """Weights of the unit sequences of a text."""
    found = {(): 1.0}  # type: Dict[Tuple[int, ...], float]
    for word in ["", *text.split()]:
        spelled = [(tuple(UNITS.ids[u] for u in e.units), e.probability) for e in LEXICON if e.word == word]
        spelled = spelled or [((), 1.0)]
        pauses = [((), 0.5), ((5,), 0.5)] if silence else [((), 1.0)]
        found = {
            (*before, *units, *pause): weight * p * q
            for before, weight in found.items()
            for units, p in spelled
            for pause, q in pauses
        }
    return found


def likelihood(log_probs: Tensor, weighed: Dict[Tuple[int, ...], float]) -> Tensor:
    """Log of the weighed sum of the CTC likelihoods of unit sequences on (frame, unit)."""
    frames = torch.tensor([len(log_probs)])
    logs = [math.log(w) - ctc_loss(log_probs[None], frames, [units]) for units, w in weighed.items()]
    return torch.stack(logs).logsumexp(dim=0)


def compare(found: Tensor, expected: Tensor, leaf: Tensor) -> None:
    """The same losses and gradients."""
    (gradient,) = torch.autograd.grad(found, leaf, retain_graph=True)
    (other,) = torch.autograd.grad(expected, leaf)
    torch.testing.assert_close(found.double(), expected.double(), atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(gradient, other, atol=1e-4, rtol=0)


@pytest.mark.parametrize("silence", [False, True])
def test_k2_sums_over_pronunciations_and_optional_silence(silence: bool) -> None:
    texts, frames = ["OH READ", "READ ON READ"], torch.tensor([9, 14])
    leaf = scores_of(2, 14).requires_grad_()
    log_probs = leaf.log_softmax(dim=-1)
    config = msgspec.structs.replace(CONFIG, optional_silence="SIL" if silence else None)
    spoken = Spoken([UNITS.encode(text) for text in texts], texts)
    loss = CTC["k2"](config, UNITS)(log_probs.float(), frames, spoken)
    rows = zip(log_probs, frames.tolist(), texts)
    expected = -torch.stack([likelihood(x[:end], sequences(text, silence)) for x, end, text in rows]).sum()
    compare(loss, expected, leaf)


@pytest.mark.parametrize(
    ("frames", "targets"),
    [
        ([9, 6], [[1, 2, 2], [3]]),
        ([4, 60, 23], [[1], [1, 2, 2, 2, 3, 4] * 5, [4, 4]]),  # unsorted lengths
        ([400, 90], [[1, 1, 2, 3, 4, 3, 3] * 25, [2] * 45]),  # as many units as possible
    ],
)
def test_one_pronunciation_per_word_gives_plain_ctc(frames: List[int], targets: List[List[int]]) -> None:
    """torch in float64: in float32 its gradient is off by 2e-4 in the longest case, k2's by 4e-7."""
    units = Units(["<blk>", *"ABCD"], [Pronunciation(letter, (letter,)) for letter in "ABCD"])
    texts = [" ".join(units.symbols[unit] for unit in target) for target in targets]
    torch.manual_seed(0)
    leaf = (3 * torch.randn(len(frames), max(frames), 5, dtype=torch.float64)).requires_grad_()
    log_probs, spoken = leaf.log_softmax(dim=-1), Spoken(targets, texts)
    ours, theirs = (
        CTC[name](CONFIG, units)(scores, torch.tensor(frames), spoken)
        for name, scores in (("k2", log_probs.float()), ("torch", log_probs))
    )
    compare(ours, theirs, leaf)


def test_mmi_is_the_share_of_all_sequences_that_the_bigram_allows() -> None:
    texts = ["OH READ", "READ OH", "ON"]
    config = TrainConfig(criterion="lf-mmi", ctc_weight=0.0)
    pairs = count_pairs(config, UNITS, [*texts, "OH READ"])
    assert pairs[0, 3] == 2 and pairs[1, 2] == 3 and pairs[4, 4] == 1 and pairs[4, 0] == 3
    leaf = scores_of(1, 5).requires_grad_()
    log_probs, frames, text = leaf.log_softmax(dim=-1), torch.tensor([5]), "OH READ"
    output = Output(torch.zeros(1, 5, 1), log_probs.float(), frames)
    found = make_criterion(config, UNITS, pairs)(model(), output, Spoken([UNITS.encode(text)], [text]))
    bigram = np.log((pairs + 0.1) / (pairs + 0.1).sum(axis=1, keepdims=True))

    def prior(units: Sequence[int]) -> float:
        return float(sum(bigram[a, b] for a, b in zip((0, *units), (*units, 0))))

    weighed = {
        units: math.exp(prior(units))
        for length in range(1, 6)
        for units in itertools.product(range(1, 6), repeat=length)
        if all(pairs[a, b] for a, b in zip((0, *units), (*units, 0))) and frames_needed([*units]) <= 5
    }
    numerator = {units: w * math.exp(prior(units)) for units, w in sequences(text, False).items()}
    expected = likelihood(log_probs[0], weighed) - likelihood(log_probs[0], numerator)
    assert float(expected) > 0
    compare(found, expected, leaf)


def model(config: ModelConfig = MODEL) -> AcousticModel:
    torch.manual_seed(0)
    return AcousticModel(config, bins=20, units=len(UNITS))


def test_the_modified_topology_needs_no_blank_between_repeated_units() -> None:
    config = msgspec.structs.replace(CONFIG, topology="modified")
    log_probs, frames = scores_of(1, 2).log_softmax(dim=-1), torch.tensor([2])
    loss = CTC["k2"](config, UNITS)(log_probs.float(), frames, Spoken([[4, 4]], ["ON"]))
    assert float(loss) == pytest.approx(-float(log_probs[0, 0, 4] + log_probs[0, 1, 4]), abs=1e-5)


def test_the_weights_of_criteria_add_up() -> None:
    config = TrainConfig(criterion="lf-mmi", ctc_weight=0.25)
    pairs = count_pairs(config, UNITS, ["OH READ"])
    output = Output(torch.zeros(1, 9, 1), scores_of(1, 9).log_softmax(dim=-1).float(), torch.tensor([9]))
    spoken = Spoken([UNITS.encode("OH READ")], ["OH READ"])
    alone = {
        weight: float(
            make_criterion(msgspec.structs.replace(config, ctc_weight=weight), UNITS, pairs)(
                model(), output, spoken
            )
        )
        for weight in (0.0, 0.25, 1.0)
    }
    assert alone[0.25] == pytest.approx(0.75 * alone[0.0] + 0.25 * alone[1.0], rel=1e-5)
    plain = CTC["torch"](config, UNITS)(output.log_probs, output.frames, spoken)
    assert alone[1.0] == pytest.approx(float(plain), rel=1e-5)


def test_a_silence_that_is_no_unit_is_refused() -> None:
    config = msgspec.structs.replace(CONFIG, optional_silence="PAUSE")
    with pytest.raises(UserError, match=r"train\.optional_silence is PAUSE, which is no unit"):
        make_criterion(config, UNITS)


def test_k2_that_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "k2", None)
    with pytest.raises(UserError, match=r"train\.ctc is k2, and k2 can't be imported") as caught:
        import_k2("train.ctc is k2")
    assert "train.ctc=torch" in caught.value.todo

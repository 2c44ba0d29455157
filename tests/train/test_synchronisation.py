"""How often a step waits for a GPU, counted on the CPU: reading a number of a tensor is what waits."""

from pathlib import Path
from typing import Any, List, Set

import msgspec
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from asrkit.model.acoustic import AcousticModel
from asrkit.train.checkpoint import TrainState
from asrkit.train.loop import Training, take_step
from asrkit.train.optimizer import make_optimizer
from tests.train.tiny import CONFIG, MODEL, UNITS, make_examples

# Operations whose result, or its size, the CPU needs
WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "_unique", "is_nonzero", "equal")
ALL = msgspec.structs.replace(CONFIG, consistency_weight=0.2, ema_decay=0.9)
SQUEEZED = msgspec.structs.replace(
    MODEL,
    squeeze_reduction=2,
    stochastic_depth=0.1,
    attention_blocks=2,
    decoder_blocks=1,
    intermediate_blocks=(1,),
)


class Waits(TorchDispatchMode):
    """Collects operations that would wait for a GPU, but for those on `known` tensors of the CPU."""

    def __init__(self, known: Set[int]) -> None:
        super().__init__()
        self.known, self.found = known, []  # type: Set[int], List[str]

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.__name__.partition(".")[0]
        if name.startswith(WAITING) and args[0].data_ptr() not in self.known:
            self.found.append(name)
        return function(*args, **(kwargs or {}))


def training_of(directory: Path, device: str) -> Training:
    torch.manual_seed(0)
    model = AcousticModel(SQUEEZED, bins=20, units=3).train().to(device)
    return Training(model, make_optimizer(model, ALL), ALL, UNITS, make_examples(8, 0), [], directory)


def test_a_step_waits_once_for_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = training_of(tmp_path, "cpu")
    examples, state = list(training.train), TrainState()
    take_step(training, state, [examples[:4]], progress=0.0)
    # The optimiser's counts of steps are on the CPU in any case
    counts = {values["step"].data_ptr() for values in training.optimizer.state.values()}
    lists: List[torch.Tensor] = []
    to_list = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: (lists.append(tensor), to_list(tensor))[1])
    made = iter([training.batch_maker().make(7, examples[4:])])
    lists.clear()
    with Waits(counts) as waits:
        take_step(training, state, [examples[4:]], 0.0, made)
    assert waits.found == []
    # Lengths are on the CPU in any case; the rest is the figures: frames, loss, blanks, norm
    assert [tensor.shape for tensor in lists if tensor.is_floating_point()] == [(4,)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_step_on_a_gpu_waits_once(tmp_path: Path) -> None:
    training = training_of(tmp_path, "cuda")
    state = TrainState()
    take_step(training, state, [training.train[:4]], progress=0.0)  # type: ignore[list-item]
    made = iter([training.batch_maker().make(7, training.train[4:])])
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with pytest.warns(UserWarning, match="synchroniz") as seen:
            take_step(training, state, [training.train[4:]], 0.0, made)  # type: ignore[list-item]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(seen) == 1

"""The training criterion by name: what a step minimises on the output of the last layer.

    ctc     -log of the transcript's probability, summed over alignments; with k2 over pronunciations, too
    lf-mmi  -log of the transcript's share of all unit sequences that a bigram allows (Povey et al. 2016)
    transducer  -log of the transcript's probability by predictor and joiner (Graves 2012), pruned

k2 is imported by what needs its graphs, and not before.
"""

import collections
import dataclasses
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Dict, Iterable, NamedTuple, Optional, Sequence

import numpy as np
import torch
from torch import Tensor

from asrkit.config import TrainConfig
from asrkit.errors import UserError
from asrkit.graph.silence import OptionalSilence
from asrkit.model.acoustic import AcousticModel
from asrkit.model.device import move
from asrkit.storage.tensors import load_tensors, save_tensors
from asrkit.text.units import Units
from asrkit.train.loss import ctc_loss, transducer_loss

if TYPE_CHECKING:
    import k2

EXACT = 1e6  # a beam that prunes no path
UNSEEN = 0.1  # count of a pair of units that the training text lacks
SILENCE_PROBABILITY = 0.5  # Kaldi's


class Spoken(NamedTuple):
    """The transcripts of a batch."""

    units: Sequence[Sequence[int]]  # each word with its most probable pronunciation
    texts: Sequence[str]


class Output(NamedTuple):
    """What the acoustic model computes for a batch."""

    encoded: Tensor  # (batch, frame, dim)
    log_probs: Tensor  # (batch, frame, unit)
    frames: Tensor  # (batch,) on the CPU


FrameLoss = Callable[[Tensor, Tensor, Spoken], Tensor]  # of log_probs, frames and transcripts, summed
Loss = Callable[[AcousticModel, Output, Spoken], Tensor]


def torch_ctc(log_probs: Tensor, frames: Tensor, spoken: Spoken) -> Tensor:
    """CTC loss of the transcripts' units, by torch."""
    return ctc_loss(log_probs, frames, spoken.units)


@dataclasses.dataclass(frozen=True)
class Criterion:
    """Summed loss of a batch: `main` with the weight 1 - ctc_weight and CTC with the rest, or CTC alone."""

    ctc: FrameLoss = torch_ctc
    main: Optional[Loss] = None
    ctc_weight: float = 1.0

    def __call__(self, model: AcousticModel, output: Output, spoken: Spoken) -> Tensor:
        """The loss of the transcripts, summed over the batch."""
        if self.main is None:
            return self.ctc(output.log_probs, output.frames, spoken)
        loss = (1 - self.ctc_weight) * self.main(model, output, spoken)
        if self.ctc_weight:
            loss = loss + self.ctc_weight * self.ctc(output.log_probs, output.frames, spoken)
        return loss


PLAIN_CTC = Criterion()


class Numerators:
    """Scores of transcripts: over all pronunciations, optional silence and alignments."""

    def __init__(self, config: TrainConfig, units: Units, bigram: Optional[np.ndarray] = None) -> None:
        """`bigram` (last unit, unit): log-probabilities that are part of the scores."""
        from asrkit.graph.transcript import Transcripts

        self._transcripts = Transcripts(units, find_silence(config, units))
        self._units, self._modified, self._bigram = len(units), config.topology == "modified", bigram

    def __call__(self, log_probs: Tensor, frames: Tensor, texts: Sequence[str]) -> Tensor:
        """Log scores (batch,) of the texts."""
        accepted = map(self._transcripts.accept, texts)
        weighed = [each if self._bigram is None else each.weighed(self._bigram) for each in accepted]
        return total_scores(
            [each.compile(self._units, self._modified) for each in weighed], log_probs, frames
        )


def k2_ctc(config: TrainConfig, units: Units) -> FrameLoss:
    """CTC loss over all pronunciations of the words, by k2; equals torch's if each word has one."""
    numerators = Numerators(config, units)
    return lambda log_probs, frames, spoken: -numerators(log_probs, frames, spoken.texts).sum().float()


def lf_mmi(config: TrainConfig, units: Units, pairs: Optional[np.ndarray]) -> Loss:
    """Lattice-free MMI with the exact denominator of a bigram, from the `pairs` of count_pairs."""
    from asrkit.graph.transcript import accept_pairs

    assert pairs is not None
    bigram = np.log((pairs + UNSEEN) / (pairs + UNSEEN).sum(axis=1, keepdims=True))
    numerators = Numerators(config, units, bigram)
    denominator = accept_pairs(pairs).weighed(bigram).compile(len(units), config.topology == "modified")

    def loss(model: AcousticModel, output: Output, spoken: Spoken) -> Tensor:
        _, log_probs, frames = output
        everything = total_scores([denominator] * len(frames), log_probs, frames)
        return (everything - numerators(log_probs, frames, spoken.texts)).sum().float()

    return loss


def pruned_transducer(config: TrainConfig, units: Units, pairs: Optional[np.ndarray]) -> Loss:
    """The loss of the model's transducer."""

    def loss(model: AcousticModel, output: Output, spoken: Spoken) -> Tensor:
        assert model.transducer is not None  # the recipe was checked
        return transducer_loss(model.transducer, output.encoded, output.frames, spoken.units)

    return loss


def total_scores(graphs: "Sequence[k2.Fsa]", log_probs: Tensor, frames: Tensor) -> Tensor:
    """Log of the summed scores (batch,) of all paths through a graph per utterance.

    (batch, frame, unit), lengths (batch,) on the CPU.
    """
    import k2

    longest_first = torch.argsort(frames.cpu(), descending=True)  # as intersect_dense requires
    counts = frames.cpu()[longest_first]
    segments = torch.stack([longest_first, torch.zeros_like(counts), counts], dim=1).int()
    ordered = k2.create_fsa_vec([graphs[row] for row in longest_first.tolist()]).to(log_probs.device)
    lattices = k2.intersect_dense(ordered, k2.DenseFsaVec(log_probs, segments), EXACT)
    totals = lattices.get_tot_scores(log_semiring=True, use_double_scores=True)
    return totals[move(torch.argsort(longest_first), totals.device)]


def count_pairs(config: TrainConfig, units: Units, texts: Iterable[str]) -> np.ndarray:
    """Counts (last unit, unit) in all pronunciations of texts; BLANK is the start and the end."""
    from asrkit.graph.transcript import Transcripts

    transcripts = Transcripts(units, find_silence(config, units))
    counts = np.zeros((len(units), len(units)))
    for text, times in collections.Counter(texts).items():
        transcripts.accept(text).count_pairs(counts, times)
    return counts


def find_silence(config: TrainConfig, units: Units) -> Optional[OptionalSilence]:
    """train.optional_silence; raises UserError if it is no unit."""
    name = config.optional_silence
    if name is not None and name not in units.symbols[1:]:
        found, todo = (
            f"train.optional_silence is {name}, which is no unit",
            f'add the line "<SIL> {name}" to it',
        )
        raise UserError(found, "a unit of units.lexicon", "recipe.yaml", todo)
    return OptionalSilence(units.ids[name], SILENCE_PROBABILITY) if name is not None else None


def write_pairs(folder: Path, pairs: np.ndarray) -> None:
    """Write the counts of count_pairs into EXP/train."""
    save_tensors(folder / "pairs.safetensors", {"pairs": torch.from_numpy(pairs)}, {})


def read_pairs(folder: Path) -> Optional[np.ndarray]:
    """The counts in EXP/train; None if there are none."""
    file = folder / "pairs.safetensors"
    return load_tensors(file)[0]["pairs"].numpy() if file.exists() else None


def import_k2(setting: str) -> None:
    """Raise UserError if k2 can't be imported, for a setting such as "train.ctc is k2"."""
    try:
        importlib.import_module("k2")
    except ImportError as error:
        raise UserError(
            f"{setting}, and k2 can't be imported: {error}",
            expected="k2 built for this torch",
            where="recipe.yaml",
            todo="asrkit doctor prints how to install it; or --set train.criterion=ctc --set train.ctc=torch",
        ) from None


def require_k2_cuda(setting: str) -> None:
    """Raise UserError if k2 was built without CUDA; `setting`: what needs it on a GPU, as for import_k2."""
    import k2

    if not k2.with_cuda:
        raise UserError(
            f"{setting}, on a GPU, and k2 has no CUDA",
            expected="k2 built with CUDA for this torch, or the CPU",
            where="recipe.yaml",
            todo="asrkit doctor prints how to install it; on the CPU: export CUDA_VISIBLE_DEVICES= first; "
            "without k2: --set train.criterion=ctc --set train.ctc=torch",
        )


CTC: Dict[str, Callable[[TrainConfig, Units], FrameLoss]] = {
    "torch": lambda config, units: torch_ctc,
    "k2": k2_ctc,
}
MAIN: Dict[str, Callable[[TrainConfig, Units, Optional[np.ndarray]], Loss]] = {
    "lf-mmi": lf_mmi,
    "transducer": pruned_transducer,
}


def make_criterion(config: TrainConfig, units: Units, pairs: Optional[np.ndarray] = None) -> Criterion:
    """The criterion of train.criterion; `pairs` of count_pairs are for lf-mmi."""
    ctc = CTC[config.ctc](config, units)
    if config.criterion == "ctc":
        return Criterion(ctc)
    return Criterion(ctc, MAIN[config.criterion](config, units, pairs), config.ctc_weight)

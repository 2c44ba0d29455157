"""Open a finished experiment as a recogniser."""

from pathlib import Path
from typing import Any, Mapping, Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel, load_model, subsampling
from asrkit.pipeline.experiment import Experiment, open_experiment
from asrkit.recognise.recognizer import Found, Greedy, Recognizer, Searcher
from asrkit.recognise.transcript import Word
from asrkit.signal.filterbank import FilterBank
from asrkit.storage.files import read_json
from asrkit.text.units import Units, load_units


class TorchEncoder:
    """The acoustic model in PyTorch, on a device."""

    def __init__(self, model: AcousticModel, device: str) -> None:
        self._model, self._device = model.to(device).eval(), device

    @torch.no_grad()
    def __call__(self, features: Tensor, lengths: Tensor) -> Tuple[Tensor, Tensor]:
        """(utterance, time, bin), (utterance,) to log-probabilities on the CPU and their frames."""
        normalised = self._model.normalise(features.to(self._device))
        log_probs, frames = self._model(normalised, lengths.to(self._device))
        return log_probs.float().cpu(), frames.cpu()


class GraphSearcher:
    """Search in HLG, at the weights that were chosen on dev."""

    def __init__(self, decoder: Any, weights: Mapping[str, float], step: float) -> None:
        self._decoder, self._step = decoder, step
        self._points = {"hlg": np.array([list(weights.values())])}

    def __call__(self, log_probs: Tensor, offset: float) -> Found:
        """Search one segment."""
        nbest, _ = self._decoder.decode(f"{offset:.2f} s", log_probs, self._points)["hlg"]
        words = nbest.best(self._points["hlg"][0])
        timed = nbest.timed if len(nbest.timed) == len(words) else [None] * len(words)
        found = []
        for word, time in zip(words, timed):
            first, last, confidence = time or (0, len(log_probs) - 1, 0.0)
            found.append(
                Word(word, offset + first * self._step, (last + 1 - first) * self._step, confidence)
            )
        return Found(found, nbest.way)


def one_of(exp: Optional[Path], model: Optional[Path]) -> Path:
    """The experiment or the bundle that a command is given; raises UserError for none, and for both."""
    if (exp is None) == (model is None):
        raise UserError(
            "no model" if exp is None else "both --exp and --model",
            expected="one of --exp EXP and --model BUNDLE",
            where="the command line",
            todo="--exp EXP, the folder of a finished experiment",
        )
    return exp or model  # type: ignore[return-value]


def open_recognizer(place: Path, method: Optional[str] = None, device: str = "cpu") -> Recognizer:
    """Open a finished experiment; raises UserError for what is none, or lacks what the method needs."""
    experiment = open_experiment(place)
    config = experiment.config
    model, _ = load_model(experiment.folder("average") / "model.safetensors")
    units = load_units(experiment.folder("units"))
    step = config.features.frame_shift * subsampling(config.model)
    method = method or config.decode.methods[-1]
    searcher: Searcher = Greedy(units, step)
    if method != "greedy":
        searcher = _graph_searcher(experiment, units, step)
    return Recognizer(FilterBank(config.features), TorchEncoder(model, device), searcher, units, step)


def _graph_searcher(experiment: Experiment, units: Units, step: float) -> GraphSearcher:
    import msgspec

    from asrkit.decode.methods import UtteranceDecoder
    from asrkit.graph.store import load_graph

    scales = read_json(experiment.folder("decode") / "scales.json")
    decode = msgspec.structs.replace(experiment.config.decode, methods=("hlg",))
    lm = experiment.folder("lm")
    decoder = UtteranceDecoder(
        decode,
        units,
        load_graph(experiment.folder("graph") / "HLG.safetensors"),
        experiment.folder("units") / "words.txt",
        lm / "lm.arpa",
        lm / "none",
        lm / "none",
        lm / "none",
    )
    return GraphSearcher(decoder, scales["weights"]["hlg"], step)

"""Initial weights of another experiment, by name, and parts that training leaves as they are.

Tensors with a row per unit are taken row by row, by the units' symbols:

    units of EXP      <blk> A B          rows 0 1 2
    units here        <blk> A B C        rows 0 1 2 and a fresh one
"""

from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Tuple

import torch
from torch import Tensor

from asrkit.config import FeaturesConfig, flatten
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.model.front import load_pretrained
from asrkit.pipeline.experiment import Experiment, open_experiment
from asrkit.storage.tensors import load_tensors
from asrkit.text.units import read_symbols

BY_UNIT = ("output.", "decoder.embedding.", "decoder.output.")  # the decoder's have a last row, its boundary
NOT_THE_SOUND = ("speed_factors", "shard_utterances")  # settings of features that may differ
STATISTICS = ("feature_", "num_batches_tracked")  # taken, but not what a model has learned


class Source(NamedTuple):
    """A trained model: its tensors, and the symbols of its units."""

    place: Path
    tensors: Dict[str, Tensor]
    symbols: Sequence[str]


def open_source(place: Path, features: FeaturesConfig) -> Source:
    """The averaged model of an experiment. Raises UserError if there is none, or if its features differ."""
    if (place / "bundle.json").exists():
        expected = "the experiment that it was exported from: a bundle has no weights to train"
        raise UserError(f"{place} is a bundle", expected, "train.init_from", "--init-from EXP")
    source = open_experiment(place)
    file = source.folder("average") / "model.safetensors"
    if not file.is_file():
        todo = f"finish it: run.sh --exp {place} --stop-stage average"
        raise UserError(f"{place} has no averaged model", "a trained experiment", str(file), todo)
    theirs, own = flatten(source.config.features), flatten(features)
    for name, value in own.items():
        if theirs[name] != value and name not in NOT_THE_SOUND:
            found = f"features.{name} is {value}, and that of train.init_from {theirs[name]}"
            todo = f"--set features.{name}={theirs[name]}"
            raise UserError(found, "the features of the model", str(place), todo)
    tensors, _ = load_tensors(file)
    return Source(place, tensors, read_symbols(source.folder("units") / "units.txt"))


def transfer(model: AcousticModel, symbols: Sequence[str], source: Source) -> Tuple[List[str], List[str]]:
    """Copy the tensors that fit, those with a row per unit by the units' symbols.

    Returns the names of the tensors taken, and those not or partly taken with the reason. Raises UserError
    if nothing fits.
    """
    own = model.state_dict()
    taken: List[str] = []
    left = [f"{name}: not in the model" for name in source.tensors if name not in own]
    ids = {symbol: index for index, symbol in enumerate(source.symbols)}
    for name, tensor in own.items():
        given = source.tensors.get(name)
        by_unit = name.startswith(BY_UNIT)
        if given is None:
            left.append(f"{name}: not in {source.place.name}")
        elif given.shape[by_unit:] != tensor.shape[by_unit:]:
            left.append(f"{name}: found {tuple(given.shape)}, expected {tuple(tensor.shape)}")
        elif by_unit:
            rows = [(row, ids[symbol]) for row, symbol in enumerate(symbols) if symbol in ids]
            rows += [(len(symbols), len(source.symbols))] if len(tensor) > len(symbols) else []
            with torch.no_grad():
                tensor[[row for row, _ in rows]] = given[[row for _, row in rows]]
            taken.append(name)
            fresh = [symbol for symbol in symbols if symbol not in ids]
            if fresh:
                left.append(f"{name}: fresh rows for {len(fresh)} new units: {' '.join(fresh[:10])}")
        else:
            tensor.copy_(given)
            taken.append(name)
    if all(any(word in name for word in STATISTICS) for name in taken):
        expected, todo = "a model with parts like those of section model", "copy its model section"
        raise UserError(f"no tensor of {source.place} fits", expected, "train.init_from", todo)
    return taken, left


def initialise(model: AcousticModel, symbols: Sequence[str], experiment: Experiment) -> List[str]:
    """Take the weights of train.init_from and freeze train.freeze; returns lines that list what was done.

    Raises UserError for a file or experiment that doesn't fit, and for unknown parts.
    """
    config, lines = experiment.config, []
    if config.train.init_from is not None:
        place = experiment.named(config.train.init_from)
        if place.is_dir():
            taken, left = transfer(model, symbols, open_source(place, config.features))
        else:
            taken, left = load_pretrained(model.front, place)
        lines = [f"{len(taken)} tensors from {place}, {len(left)} not or not all:", *(f"  {e}" for e in left)]
    if config.train.freeze:
        count = freeze(model, config.train.freeze)
        lines.append(f"{' '.join(config.train.freeze)} frozen: {count:,} parameters")
    return lines


def freeze(model: AcousticModel, names: Sequence[str]) -> int:
    """Exclude parts from training, with their normalisation statistics; returns their number of parameters.

    `names`: as asrkit describe prints them, or front for its stem and all layers.
    """
    parts = {stage.name: list(stage.modules) for stage in model.stages()}
    parts["front"] = [model.front]
    for name in names:
        if name not in parts:
            expected = f"names of parts: {', '.join(parts)}"
            raise UserError(f"no part {name}", expected, "train.freeze", "asrkit describe lists the parts")
        model.frozen += parts[name]
    frozen = {parameter for part in model.frozen for parameter in part.parameters()}
    for parameter in frozen:
        parameter.requires_grad_(False)
    if len(frozen) == sum(1 for _ in model.parameters()):
        expected, todo = "at least one part that is trained", "leave one out"
        raise UserError("train.freeze names all parts", expected, "train.freeze", todo)
    return sum(parameter.numel() for parameter in frozen)

"""Start of training: weights of another model, and parts of the model that stay as they are.

another experiment   all tensors of equal name and shape; rows of the output layer by the unit's name
torchvision          conv1.weight, layer1.0.downsample.0.weight, ...  -> front.conv1.weight, ...
WeSpeaker            front.layer1.0.shortcut.0.weight, ...            -> front.layer1.0.downsample.0...
"""

import copy
import shlex
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch
from torch import Tensor

from asrkit.config import RecipeConfig, flatten
from asrkit.corpus.text import WORD_START
from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.pipeline.experiment import open_experiment
from asrkit.storage.fingerprint import hash_file
from asrkit.storage.tensors import load_tensors
from asrkit.text.units import read_symbols
from asrkit.train.average import update_average

NOT_THE_SOUND = ("features.speed_factors", "features.shard_utterances")  # may differ
OF_UNITS = ("output.weight", "output.bias")  # (unit, ...)
OF_TOKENS = (
    *("decoder.embedding.", "decoder.output.", "transducer.embedding.", "transducer.output."),
    *("transducer.simple_predictor.", "transducer.simple_encoder."),
)


def initialise(model: AcousticModel, symbols: Sequence[str], place: Path) -> Tuple[List[str], List[str]]:
    """Copy matching tensors from an experiment's averaged model, or from a ResNet in a safetensors file.

    `symbols`: the model's units. From an experiment (a folder), rows of the output layer are copied by the
    name of the unit, without the label priors of average.prior_scale, and the normalisation of features is
    copied, too. Returns the names of the tensors that were copied, and those that were not with the reason.
    Raises UserError if a file can't be read or nothing matches.
    """
    if place.is_dir():
        given, known, made_of = _of_experiment(place)
        if "priors" in made_of:  # undo the division by priors, since training works with posteriors
            given["output.bias"] = given["output.bias"] + torch.tensor(made_of["priors"])
        given, left = _by_unit(given, known, model, symbols)
    else:
        given, left = _of_resnet(load_tensors(place, check=False)[0]), []
    own = model.state_dict()
    taken: List[str] = []
    for name, tensor in given.items():
        if name not in own:
            left.append(f"{name}: not in the model")
        elif own[name].shape != tensor.shape:
            left.append(f"{name}: found {tuple(tensor.shape)}, expected {tuple(own[name].shape)}")
        else:
            taken.append(name)
    wanted = [name for name in own if place.is_dir() or name.startswith("front.")]
    left += [f"{name}: not in the file" for name in wanted if name not in given]
    if not taken:
        raise UserError(
            f"none of the {len(given)} tensors of {place.name} matches the model",
            expected="an experiment, or names such as layer1.0.conv1.weight, with shapes as of model.front",
            where=str(place),
            todo="asrkit describe prints the model; torchvision: stem_kernel 7, channels 64, 128, 256, 512",
        )
    with torch.no_grad():
        for name in taken:
            own[name].copy_(given[name])
    return taken, left


@torch.no_grad()
def mix_initial(model: AcousticModel, symbols: Sequence[str], place: Path, share: float) -> int:
    """Average the weights with those that training started from: model * (1 - share) + initial * share.

    A fine-tuned model and the one it was made from have a low loss between them, on the speech of both
    (Wortsman et al. 2022, Robust fine-tuning of zero-shot models). Tensors that the initial model lacks stay
    as they are; returns how many others there are. `symbols` and `place`: as for initialise.
    """
    initial = copy.deepcopy(model)
    taken, _ = initialise(initial, symbols, place)
    update_average(model, initial, 1.0 - share)
    return len(taken)


def pool_priors(
    symbols: Sequence[str], place: Path, priors: Tensor, frames: int
) -> Tuple[Tensor, Optional[int]]:
    """Pool label priors of some frames with those of the initial model at `place`, if it has any.

    The dev set of a new corpus may have a few sentences, which say little of how frequent units are. Returns
    the means over the frames of both, and their number; the initial model's alone, and None, if the number of
    its frames isn't known. Units that it lacks keep their own priors, even if their row was copied: ▁B isn't
    as frequent as B in a model without word-start marks.
    """
    _, known, made_of = _of_experiment(place)
    if "priors" not in made_of or not known or not (place / "recipe.yaml").is_file():
        return priors, frames
    scale = open_experiment(place).config.average.prior_scale
    total = frames + made_of["prior_frames"] if "prior_frames" in made_of else None
    weight = frames / total if total else 0.0
    theirs = dict(zip(known, torch.tensor(made_of["priors"]).div(scale).exp().tolist()))
    pooled = [
        weight * own + (1 - weight) * theirs.get(symbol, own) for symbol, own in zip(symbols, priors.tolist())
    ]
    return torch.tensor(pooled).to(priors), total


def refuse_other_features(place: Path, config: RecipeConfig) -> None:
    """Raise UserError for a bundle, an experiment without an averaged model, or one with other features.

    This includes signal.steps and the normalisation of features. With train.replay, the experiment must also
    have the features of its training data.
    """
    if not place.exists():
        found, todo = f"train.init_from is {config.train.init_from}, which is missing", "check the name"
        raise UserError(found, "an experiment's folder, or a .safetensors file", str(place), todo)
    if not place.is_dir():
        return
    if (place / "bundle.json").exists():
        expected = "the experiment that it was exported from: a bundle has no weights to train"
        raise UserError(f"{place} is a bundle", expected, "train.init_from", "--init-from EXP")
    source = open_experiment(place).config
    theirs, own = (_of_features(each) for each in (source, config))
    file = place / "average" / "model.safetensors"
    if not file.is_file():
        todo = f"finish it: run.sh --exp {place} --stop-stage average"
        raise UserError(f"{place} has no averaged model", "a trained experiment", str(file), todo)
    for name, value in own.items():
        if theirs[name] != value:
            found = f"{name} is {value}, and that of train.init_from {theirs[name]}"
            todo = f"--set {shlex.quote(f'{name}={theirs[name]}')}"
            raise UserError(found, "the features of the model", str(place), todo)
    data = place / "features" / f"{source.corpus.train}_cuts.jsonl.gz"
    if config.train.replay and not data.is_file():  # a pruned experiment has none
        found, todo = f"{place} has no training data for train.replay", "--set train.replay=0"
        raise UserError(found, "the features of its training data", str(data), todo)


def _of_features(config: RecipeConfig) -> Dict[str, Any]:
    flat = flatten(config)
    kept = {name: value for name, value in flat.items() if name.startswith(("features.", "signal."))}
    kept["model.utterance_mean"] = flat["model.utterance_mean"]
    return {name: value for name, value in kept.items() if name not in NOT_THE_SOUND}


def _of_experiment(place: Path) -> Tuple[Dict[str, Tensor], List[str], Dict[str, Any]]:
    """The averaged model's tensors, its units (none if units.txt isn't the model's), and its origin."""
    given, about = load_tensors(place / "average" / "model.safetensors")
    table = place / "units" / "units.txt"
    same = table.exists() and about["made_of"].get("units") == hash_file(table)
    return given, read_symbols(table) if same else [], about["made_of"]


def _of_resnet(given: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """A ResNet's tensors under the names of the front end.

    Three input channels of the first convolution are summed: the output for a grey image stays the same.
    WeSpeaker's kernels are over (frequency, time), here transposed.
    """
    if any(".shortcut." in name for name in given):
        given = {name: of.transpose(2, 3) if of.dim() == 4 else of for name, of in given.items()}
    renamed: Dict[str, Tensor] = {}
    for name, tensor in given.items():
        bare = name[len("front.") :] if name.startswith("front.") else name
        renamed["front." + bare.replace(".shortcut.", ".downsample.")] = tensor
    first = renamed.get("front.conv1.weight")
    if first is not None and first.dim() == 4:
        renamed["front.conv1.weight"] = first.sum(dim=1, keepdim=True)
    return renamed


def _by_unit(
    given: Dict[str, Tensor], known: Sequence[str], model: AcousticModel, symbols: Sequence[str]
) -> Tuple[Dict[str, Tensor], List[str]]:
    """The tensors with the rows of the output layer in the order of `symbols`, and reasons for missing rows.

    A unit with a word-start mark, ▁B, gets the row of B if it has none itself. Other units keep the model's
    own rows. `known`: the units of the given rows; if it is empty, no row is copied.
    """
    place: Dict[str, int] = {f"{WORD_START}{symbol}": row for row, symbol in enumerate(known)}
    place.update({symbol: row for row, symbol in enumerate(known)})
    rows = [(row, place[symbol]) for row, symbol in enumerate(symbols) if symbol in place]
    own, left = model.state_dict(), [] if known else ["output: the units of the experiment are unknown"]
    fresh = [symbol for symbol in symbols if symbol not in place] if known else []
    if fresh:
        left.append(f"output: {len(fresh)} new units: {' '.join(fresh[:20])}")
    if known != list(symbols):  # of the attention decoder and the transducer
        for name in [name for name in given if name.startswith(OF_TOKENS)]:
            del given[name]
    for name in OF_UNITS:
        source = given.pop(name, None)
        if source is not None and rows and source.shape[1:] == own[name].shape[1:]:
            given[name] = own[name].clone()
            # `source` is on the CPU, but the model may be on a GPU
            given[name][[row for row, _ in rows]] = source[[row for _, row in rows]].to(own[name])
    return given, left


def freeze(model: AcousticModel, names: Sequence[str]) -> int:
    """Exclude parts of the model, such as front or blocks.0, from training; returns how many parameters.

    Normalisation layers in them keep their statistics. Raises UserError for a part that the model lacks.
    """
    parts = dict(model.named_modules())
    for name in names:
        if name not in parts or not name:
            top = ", ".join(each for each, _ in model.named_children())
            expected = f"parts of the model: {top}, or of these, such as blocks.0"
            raise UserError(f"train.freeze has {name}", expected, "recipe.yaml or --set", "correct the name")
        parts[name].requires_grad_(False)
    model.frozen = tuple(names)
    model.train(model.training)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError("all parts of the model are frozen", "parts to train", "train.freeze", "shorten it")
    return sum(parameter.numel() for parameter in model.parameters() if not parameter.requires_grad)

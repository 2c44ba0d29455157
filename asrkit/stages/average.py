"""Stage average: average checkpoints; the candidate is chosen by its loss on dev."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple

from asrkit.config import RecipeConfig
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.machine import count_cores
from asrkit.pipeline.record import read_record_file
from asrkit.pipeline.stage import Stage
from asrkit.pipeline.workspace import current_training
from asrkit.stages import units
from asrkit.stages.features import features_of
from asrkit.stages.train import check_k2
from asrkit.storage.files import write_json
from asrkit.storage.fingerprint import hash_file

if TYPE_CHECKING:  # torch takes seconds to import
    from asrkit.model.acoustic import AcousticModel
    from asrkit.text.units import Units
    from asrkit.train.examples import Example

STAGE = Stage(
    name="average",
    purpose="average checkpoints, chosen on dev",
    reads=(
        "train/checkpoints/epoch-*",
        "train/pairs.safetensors if train.criterion=lf-mmi",
        *features_of("{dev}"),
        *units.STAGE.writes,
        "{recipe}/{init_from.averaged}",
    ),
    writes=("average/model.safetensors", "average/choice.json"),
    result=("average", "model", "features.bins", "corpus.dev", "decode.precision"),
    how=(
        *("train.batch_duration", "train.gradient_accumulation", "train.threads"),
        *("decode.device", "train.init_from"),
        # A training with others has other checkpoints
        *("train.criterion", "train.ctc", "train.ctc_weight", "train.topology", "train.optional_silence"),
    ),
    libraries=("torch", "lhotse"),
)


def check(config: RecipeConfig) -> None:
    """Raise UserError for a device, a precision or a loss that this machine doesn't support."""
    check_device(config)
    check_k2(config, lambda: _is_on_gpu(config))


def check_device(config: RecipeConfig) -> None:
    """Raise UserError for decode.device cuda without a GPU, or a decode.precision that it doesn't support."""
    device, precision = config.decode.device, config.decode.precision
    if device == "cuda" or (device == "auto" and precision == "bfloat16"):
        from asrkit.model.device import check_device, find_gpu

        check_device(device, precision, find_gpu())


def _is_on_gpu(config: RecipeConfig) -> bool:
    from asrkit.model.device import find_gpu

    return config.decode.device != "cpu" and find_gpu() is not None


def run(experiment: Experiment) -> None:
    """Write average/model.safetensors and average/choice.json."""
    import torch

    from asrkit.model.acoustic import AcousticModel, save_model
    from asrkit.model.device import device_of
    from asrkit.signal.features import load_cuts
    from asrkit.text.units import load_units
    from asrkit.train.average import average_weights
    from asrkit.train.examples import load_examples

    config = experiment.config
    torch.set_num_threads(config.train.threads or count_cores())
    units = load_units(experiment.folder("units")).with_silence(config.train.optional_silence)
    epochs = _epochs_of(experiment)
    _refuse_unkept(experiment)
    model = AcousticModel(config.model, config.features.bins, len(units))
    model.load_state_dict(average_weights([epochs[-1][0]]))
    cuts = load_cuts(experiment, config.corpus.dev)
    dev, _ = load_examples(cuts, units, config.model, model.normalisation)
    model.to(device_of(config.decode.device))
    tried = _try_candidates(experiment, model, units, epochs, dev)
    # By loss: on a few hundred words, averages hardly differ in errors.
    best = min(tried, key=lambda row: float(row["loss"]))
    files = [experiment.folder("train") / "checkpoints" / name for name in best["files"]]
    mixed = _load_average(experiment, model, units, files)
    made_of: Dict[str, Any] = {
        "units": hash_file(experiment.folder("units") / "units.txt"),
        "training": current_training(experiment),
        "epochs": best["files"],
    }
    if config.average.prior_scale:
        made_of.update(_divide_by_priors(experiment, model, units, dev))
    if mixed is not None:
        share, start = config.average.initial_share, config.train.init_from
        print(f"average: a share of {share:g} of {start}, in {mixed} of {len(model.state_dict())} tensors")
    save_model(experiment.folder("average") / "model.safetensors", model.cpu(), made_of)
    write_json(experiment.folder("average") / "choice.json", {"chosen": best["name"], "tried": tried})
    print(f"average: chose {best['name']} (dev loss {best['loss']:.4f})")


def _epochs_of(experiment: Experiment) -> List[Tuple[Path, Dict[str, Any]]]:
    """Checkpoints of epochs with their dev results; raises UserError if there is none."""
    from asrkit.train.checkpoint import list_epochs

    folder = experiment.folder("train") / "checkpoints"
    epochs = list_epochs(folder)
    if not epochs:
        raise UserError("no epoch checkpoint", "epoch-*.safetensors", str(folder), "run.sh --stage train")
    return epochs


def _load_average(
    experiment: Experiment, model: "AcousticModel", units: "Units", files: Sequence[Path]
) -> Optional[int]:
    """Set the averaged weights; the number of tensors in which the initial model has its share, if any."""
    from asrkit.train.average import average_weights
    from asrkit.train.initialisation import mix_initial

    model.load_state_dict(average_weights(files))
    initial = _initial_of(experiment)
    share = experiment.config.average.initial_share
    return None if initial is None else mix_initial(model, units.symbols, initial, share)


def _initial_of(experiment: Experiment) -> Optional[Path]:
    """The model that training started from, if it has a share in the average."""
    start = experiment.config.train.init_from
    return experiment.named(start) if start is not None and experiment.config.average.initial_share else None


def _refuse_unkept(experiment: Experiment) -> None:
    """Raise UserError for candidates that need more checkpoints than the training kept, by its settings."""
    record = read_record_file(experiment.records / "train.json")
    if record is None:
        return
    for name in experiment.config.average.candidates:
        kind, _, count = name.partition("-")
        kept = record.how.get(f"train.keep_{kind}", int(count))
        if int(count) > kept and record.settings.get("train.epochs", 0) > kept:
            found = f"average.candidates has {name}, and the training kept the {kind} {kept}"
            todo = f"average fewer, or retrain: --stage train --set train.keep_{kind}={count}"
            raise UserError(found, "at most as many as were kept", "EXP/train/checkpoints", todo)


def _try_candidates(
    experiment: Experiment,
    model: "AcousticModel",
    units: "Units",
    epochs: List[Tuple[Path, Dict[str, Any]]],
    dev: "Sequence[Example]",
) -> List[Dict[str, Any]]:
    """Each of average.candidates with its checkpoints, loss and errors on dev."""
    from asrkit.model.device import autocast, device_of
    from asrkit.train.average import candidate_files
    from asrkit.train.criterion import make_criterion, read_pairs
    from asrkit.train.evaluate import evaluate, word_error_rate

    config, tried = experiment.config, []
    criterion = make_criterion(config.train, units, read_pairs(experiment.folder("train")))
    for name in config.average.candidates:
        files = candidate_files(name, epochs)
        _load_average(experiment, model, units, files)
        with autocast(config.decode.precision, device_of(config.decode.device)):
            result = evaluate(model, dev, units, _batch_duration(config), criterion=criterion)
        tried.append({"name": name, "files": [file.name for file in files], **result})
        rate = f"{word_error_rate(result):.2f} % ({result['errors']}/{result['words']})"
        print(f"average: {name} | dev loss {result['loss']:.4f} | dev WER (greedy) {rate}")
    return tried


def _batch_duration(config: RecipeConfig) -> float:
    """Seconds of audio per batch: as in training, which is known to fit into memory."""
    return config.train.batch_duration / config.train.gradient_accumulation


def _divide_by_priors(
    experiment: Experiment, model: "AcousticModel", units: "Units", dev: "Sequence[Example]"
) -> Dict[str, Any]:
    """Divide the model's posteriors by the label priors to the power average.prior_scale.

    Returns what was subtracted from the output layer's bias, and the frames that the priors are means of.
    """
    from asrkit.train.average import divide_by_priors, label_priors
    from asrkit.train.initialisation import pool_priors

    config, scale = experiment.config, experiment.config.average.prior_scale
    priors, frames = label_priors(model.eval(), dev, _batch_duration(config))
    total: Optional[int] = frames
    start = experiment.named(config.train.init_from) if config.train.init_from is not None else None
    if start is not None and start.is_dir():
        priors, total = pool_priors(units.symbols, start, priors, frames)
    print(f"average: posteriors divided by the label priors to the power {scale:g}")
    found = {"priors": divide_by_priors(model, priors, scale).tolist()}
    return found if total is None else {**found, "prior_frames": total}

"""Stage 6: train the acoustic model."""

import os
from typing import List

import torch

from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.pipeline.cost import add_facts
from asrkit.pipeline.experiment import Experiment
from asrkit.signal.features import load_cuts
from asrkit.storage.files import write_jsonl
from asrkit.storage.tensors import load_tensors
from asrkit.text.units import Units, load_units
from asrkit.train.curves import write_tensorboard
from asrkit.train.examples import Example, load_examples
from asrkit.train.loop import Training, run_training
from asrkit.train.optimizer import make_optimizer


def run(experiment: Experiment) -> None:
    """Write train/checkpoints, train/log.jsonl and train/tensorboard."""
    config = experiment.config
    torch.set_num_threads(config.train.threads or os.cpu_count() or 1)
    units = load_units(experiment.units)
    torch.manual_seed(config.train.seed)
    model = AcousticModel(config.model, config.features.bins, len(units))
    normalisation, _ = load_tensors(experiment.features / "normalisation.safetensors")
    model.feature_mean.copy_(normalisation["mean"])
    model.feature_inverse_deviation.copy_(normalisation["inverse_deviation"])
    train, dev = _load_splits(experiment, units, model)
    hours = sum(example.seconds for example in train) / 3600
    print(
        f"train: {model.parameter_count():,} parameters, {len(train)} utterances, {hours:.2f} h, "
        f"{torch.get_num_threads()} threads"
    )
    add_facts(experiment, parameters=model.parameter_count(), audio_hours=round(hours, 3))
    optimizer = make_optimizer(model, config.train)
    log = run_training(Training(model, optimizer, config.train, units, train, dev, experiment.training))
    write_tensorboard(experiment.training / "tensorboard", log)


def _load_splits(
    experiment: Experiment, units: Units, model: AcousticModel
) -> "tuple[List[Example], List[Example]]":
    """Training examples that CTC can align, and all of dev; what is left out is listed and counted."""
    corpus = experiment.config.corpus
    splits = {}
    rows = []
    for split in (corpus.train, corpus.dev):
        splits[split], rejected = load_examples(
            load_cuts(experiment, split),
            units,
            model.config,
            model.feature_mean,
            model.feature_inverse_deviation,
        )
        rows += [{"id": row["id"], "split": split, "reason": row["reason"]} for row in rejected]
    write_jsonl(experiment.training / "rejected.jsonl", rows)
    usable = [example for example in splits[corpus.train] if example.target is not None]
    lost = len(splits[corpus.train]) - len(usable)
    for row in rows[:3]:
        print(f"train: {row['split']} {row['id']} not used for the loss: {row['reason']}")
    if rows:
        print(f"train: {len(rows)} utterances not used for the loss, listed in train/rejected.jsonl")
    if not usable or lost > corpus.max_bad_fraction * len(splits[corpus.train]):
        raise UserError(
            f"{lost} of {len(splits[corpus.train])} training utterances can't be aligned",
            expected=f"at most the share corpus.max_bad_fraction, {corpus.max_bad_fraction}",
            where=str(experiment.training / "rejected.jsonl"),
            todo="mend those transcripts, use larger units or less subsampling, or raise the limit",
        )
    return usable, splits[corpus.dev]

"""Stage train: starts the ranks, and builds the model, the data and the optimiser of each."""

import copy
import dataclasses
import itertools
from typing import Dict, Iterator, List, Optional, Sequence, Set, Tuple

import torch

from asrkit.errors import UserError
from asrkit.model.acoustic import AcousticModel
from asrkit.pipeline.cost import write_facts
from asrkit.pipeline.experiment import Experiment, open_experiment
from asrkit.pipeline.machine import count_cores
from asrkit.pipeline.parallel import launched_rank, run_parallel
from asrkit.pipeline.record import read_note
from asrkit.signal.features import load_cuts
from asrkit.storage.files import read_jsonl, scratch_folder, write_jsonl
from asrkit.storage.tensors import load_tensors
from asrkit.text.lexicon import Pronunciation
from asrkit.text.units import Units, load_units
from asrkit.train.augmentation import REPLAYED, make_augmenter
from asrkit.train.criterion import Criterion, count_pairs, make_criterion, write_pairs
from asrkit.train.curves import write_picture, write_tensorboard
from asrkit.train.earlier_training import count_trained_before, write_trained_before
from asrkit.train.examples import Example, StoredExamples, load_examples
from asrkit.train.initialisation import freeze, initialise
from asrkit.train.loop import Training, run_training
from asrkit.train.optimizer import make_optimizer
from asrkit.train.preflight import compile_parts, estimate_minutes, units_without_examples
from asrkit.train.world import ALONE, World, choose_device, join_launched, join_world


def train(experiment: Experiment) -> Optional[str]:
    """Write train/checkpoints, train/log.jsonl, train/curves.png and train/tensorboard.

    Returns the name of rank 0's GPU; None for a CPU.
    """
    size, rank, folder = experiment.config.train.processes, launched_rank(), experiment.folder("train")
    devices: Dict[int, Optional[str]] = {}
    if rank is not None:
        devices[0] = _train(experiment, join_launched())
    elif size == 1:
        devices[0] = _train(experiment, ALONE)
    else:
        with scratch_folder(folder / ".processes") as scratch:
            rendezvous = scratch / "rendezvous"
            run_parallel(
                lambda rank: _train(experiment, join_world(rank, size, rendezvous)),
                *(size, size, devices.__setitem__),
            )
    if not rank:
        log = read_jsonl(folder / "log.jsonl")
        write_tensorboard(folder / "tensorboard", log)
        write_picture(folder / "curves.png", log)
    return devices[0]


def _train(experiment: Experiment, world: World) -> Optional[str]:
    """Train as one rank; returns the name of its GPU, or None on a CPU."""
    config = experiment.config.train
    torch.set_num_threads(config.threads or max(1, count_cores() // world.local_size))
    units = load_units(experiment.folder("units")).with_silence(config.optional_silence)
    device = choose_device(world)
    torch.manual_seed(config.seed)
    model = _make_model(experiment, units, world)
    train, dev, rejected = load_splits(experiment, units, model, world)
    augmenter = make_augmenter(experiment, model.normalisation)
    replayed, their_words = load_replayed(experiment, units, model) if config.replay else ((), ())
    if replayed:
        train = StoredExamples(itertools.chain(train, replayed))
    model.to(device)
    optimizer = make_optimizer(model, config, world)
    averaged = copy.deepcopy(model) if config.ema_decay else None
    if config.compile:
        compile_parts(model)
    note = read_note(experiment.folder("train"))  # of the stage engine; none in tests
    training = Training(
        model,
        optimizer,
        config,
        units,
        train,
        dev,
        experiment.folder("train"),
        world=world,
        criterion=_make_criterion(experiment, units.with_words(their_words), train, world),
        averaged=averaged,
        augmenter=augmenter,
        replayed=len(replayed),
        made_of=note.key if note is not None else "",
    )
    minutes = estimate_minutes(training)
    if world.is_main:
        _report(experiment, training, minutes)
        _report_gaps(rejected, units_without_examples(train, units))
        write_trained_before(experiment)
        _report_dev_and_tests(experiment, dev)
    run_training(training)
    return str(torch.cuda.get_device_name(device)) if device.type == "cuda" else None


def _make_model(experiment: Experiment, units: Units, world: World) -> AcousticModel:
    """The model with the corpus's feature mean and deviation, initialised and frozen by train's settings."""
    config = experiment.config
    model = AcousticModel(config.model, config.features.bins, len(units))
    normalisation, _ = load_tensors(experiment.folder("features") / "normalisation.safetensors")
    model.feature_mean.copy_(normalisation["mean"])
    model.feature_inverse_deviation.copy_(normalisation["inverse_deviation"])
    if config.train.init_from is not None:
        taken, left = initialise(model, units.symbols, experiment.named(config.train.init_from))
        if world.is_main:
            print(f"train: {len(taken)} tensors from {config.train.init_from}, {len(left)} not:")
            print("".join(f"train:   {reason}\n" for reason in left), end="")
    if config.train.freeze:
        frozen = freeze(model, config.train.freeze)
        if world.is_main:
            print(f"train: {frozen:,} of {model.parameter_count():,} parameters are frozen")
    return model


def _report(experiment: Experiment, training: Training, minutes: float) -> None:
    """Print and record the size of model and data; `minutes`: estimated time of all epochs."""
    parameters = training.model.parameter_count()
    hours = sum(example.seconds for example in training.train) / 3600
    write_facts(experiment, "train", parameters=parameters, audio_hours=round(hours, 3))
    print(
        f"train: {parameters:,} parameters, {len(training.train)} utterances, {hours:.2f} h, "
        f"world size {training.world.size}, {torch.get_num_threads()} threads per rank\n"
        f"train: the largest step fits in memory; {training.config.epochs} epochs: {minutes:.1f} min"
    )
    if training.augmenter.waveform:
        print(f"train: {training.augmenter}")
    if training.replayed:
        source = training.config.init_from
        print(f"train: {training.replayed} utterances are from {source}; each epoch draws some of them")


def _make_criterion(
    experiment: Experiment, units: Units, examples: Sequence[Example], world: World
) -> Criterion:
    """The criterion; the pairs of units that lf-mmi counts in the transcripts are kept for stage average."""
    config, pairs = experiment.config.train, None
    if config.criterion == "lf-mmi":
        pairs = count_pairs(config, units, (example.text for example in examples))
        if world.is_main:
            write_pairs(experiment.folder("train"), pairs)
            print(f"train: the denominator has {int((pairs > 0).sum()):,} pairs of units")
    return make_criterion(config, units, pairs)


def _report_gaps(rejected: List[Dict[str, str]], absent: List[str]) -> None:
    for row in rejected[:3]:
        print(f"train: {row['split']} {row['id']} not used for the loss: {row['reason']}")
    if rejected:
        print(f"train: {len(rejected)} utterances not used for the loss, listed in train/rejected.jsonl")
    if absent:
        print(f"train: {len(absent)} units occur in no training utterance: {' '.join(absent[:20])}")


def _report_dev_and_tests(experiment: Experiment, dev: Sequence[Example]) -> None:
    """Warn if the units can't spell the dev set, and if the initial model was trained on dev or test sets."""
    if not any(example.target for example in dev):
        print(
            f"warning: the units can't spell any of {len(dev)} dev utterances: a dev loss of 0 means nothing"
        )
    for name, (known, count) in count_trained_before(experiment).items():
        found = f"{experiment.config.train.init_from} was trained on {known} of {count} utterances of {name}"
        print(f"warning: {found}, so error rates on {name} are too optimistic")


def load_replayed(
    experiment: Experiment, units: Units, model: AcousticModel
) -> Tuple[Sequence[Example], Sequence[Pronunciation]]:
    """Load training examples of train.init_from that CTC can align, and a lexicon of their words.

    Transcripts are spelled with the lexicon of that experiment. Their words get the prefix REPLAYED, so that
    k2's graphs use its pronunciations even if this experiment's lexicon lacks the words or has other ones.
    Raises UserError unless this experiment's units begin with those of train.init_from.
    """
    source = open_experiment(experiment.named(str(experiment.config.train.init_from)))
    theirs = load_units(source.folder("units"))
    if units.symbols[: len(theirs)] != theirs.symbols:
        expected, todo = "units.kind of the experiment, whose units are then kept", "--set train.replay=0"
        raise UserError("train.replay with other units", expected, str(source.directory), todo)
    cuts = load_cuts(source, source.config.corpus.train)
    examples, _ = load_examples(cuts, theirs, model.config, model.normalisation)
    words: Set[str] = set()

    def replayed() -> Iterator[Example]:
        for each in examples:
            if each.target is not None:
                own = each.text.split()
                words.update(own)
                text = " ".join(REPLAYED + word for word in own)
                yield dataclasses.replace(each, id=REPLAYED + each.id, text=text)

    stored = StoredExamples(replayed())
    return stored, [entry._replace(word=REPLAYED + entry.word) for entry in theirs.entries(words)]


def load_splits(
    experiment: Experiment, units: Units, model: AcousticModel, world: World
) -> Tuple[Sequence[Example], Sequence[Example], List[Dict[str, str]]]:
    """Training examples that CTC can align, all of dev, and the rows of rejected.jsonl for the others.

    Raises UserError if more than corpus.max_bad_fraction of the training examples can't be aligned.
    """
    corpus, file = experiment.config.corpus, experiment.folder("train") / "rejected.jsonl"
    splits = {}
    rows = []
    for split in (corpus.train, corpus.dev):
        cuts = load_cuts(experiment, split)
        splits[split], rejected = load_examples(cuts, units, model.config, model.normalisation)
        rows += [{"id": row["id"], "split": split, "reason": row["reason"]} for row in rejected]
    if world.is_main:
        write_jsonl(file, rows)
    usable = splits[corpus.train]
    lost = sum(row["split"] == corpus.train for row in rows)
    if lost:
        usable = StoredExamples(example for example in usable if example.target is not None)
    if not usable or lost > corpus.max_bad_fraction * len(splits[corpus.train]):
        raise UserError(
            f"CTC can't align {lost} of {len(splits[corpus.train])} training utterances",
            expected=f"at most a fraction of corpus.max_bad_fraction, {corpus.max_bad_fraction}",
            where=str(file),
            todo="fix these transcripts, use larger units or less subsampling, or raise the limit",
        )
    return usable, splits[corpus.dev], rows

"""Stage train: the acoustic model."""

from typing import Callable, Optional

from asrkit.config import RecipeConfig
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.stage import Stage
from asrkit.stages import units
from asrkit.stages.features import features_of
from asrkit.train.earlier_training import FILE as TRAINED_BEFORE

CUTS = "manifests/{train}_cuts.jsonl.gz"

STAGE = Stage(
    name="train",
    purpose="train the acoustic model",
    reads=(
        "features/normalisation.safetensors",
        *features_of("{train}", "{dev}"),
        *units.STAGE.writes,
        *("{recipe}/{train.init_from}", "{recipe}/{init_from.replay}/features"),
        # Noise and room impulse responses, and the audio that transforms of waveforms are applied to
        "{recipe}/{augment.directory}",
        f"{CUTS} if augment.waveform",
        f"audio of {CUTS} if augment.waveform",
    ),
    writes=(
        *("train/checkpoints", "train/log.jsonl", "train/rejected.jsonl?", "train/pairs.safetensors?"),
        f"train/{TRAINED_BEFORE}?",
    ),
    result=("model", "augment", "train", "features", "signal", "corpus.train", "corpus.dev"),
    how=(
        # They don't change the steps, only the order of sums within a step and, with another number of ranks,
        # the running statistics of batch normalisation
        *("train.processes", "train.threads", "train.workers", "train.gradient_accumulation"),
        *("train.compile", "train.skip_window"),
        *("train.checkpoint_steps", "train.keep_best", "train.keep_last"),
        *("features.shard_utterances", "corpus.max_bad_fraction"),
        "corpus.tests",  # only for a warning about test sets that train.init_from was trained on
    ),
    libraries=("torch", "lhotse"),
    kept=True,
)


def check(config: RecipeConfig) -> None:
    """Raise UserError for settings that this machine doesn't support."""
    if config.train.precision != "float32":
        from asrkit.train.precision import check_precision
        from asrkit.train.world import ALONE, choose_device

        check_precision(config.train, choose_device(ALONE))
    if config.train.compile:
        from asrkit.train.preflight import check_compilation

        check_compilation()
    if config.train.freeze:
        from asrkit.model.acoustic import AcousticModel
        from asrkit.train.initialisation import freeze

        freeze(AcousticModel(config.model, config.features.bins, 2), config.train.freeze)
    check_k2(config, is_on_gpu)


def is_on_gpu() -> bool:
    """Whether training runs on a GPU."""
    from asrkit.train.world import ALONE, choose_device

    return choose_device(ALONE).type == "cuda"


def check_k2(config: RecipeConfig, is_on_gpu: Callable[[], bool]) -> None:
    """Raise UserError if the loss needs k2, and k2 can't be imported or can't use the model's device."""
    for setting, plain in (("criterion", "ctc"), ("ctc", "torch")):
        value = getattr(config.train, setting)
        if value != plain:
            from asrkit.train.criterion import import_k2, require_k2_cuda

            import_k2(f"train.{setting} is {value}")
            if is_on_gpu():
                require_k2_cuda(f"train.{setting} is {value}")


def check_files(experiment: Experiment) -> None:
    """Raise UserError if the model can't start from train.init_from."""
    config = experiment.config
    if config.train.init_from is not None:
        from asrkit.model.acoustic import AcousticModel
        from asrkit.train.initialisation import initialise, refuse_other_features

        place = experiment.named(config.train.init_from)
        refuse_other_features(place, config)
        initialise(AcousticModel(config.model, config.features.bins, 2), ("", " "), place)


def run(experiment: Experiment) -> Optional[str]:
    """Write train/checkpoints, train/log.jsonl, train/curves.png and train/tensorboard."""
    from asrkit.train.session import train

    return train(experiment)

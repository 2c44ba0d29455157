"""Stage decode: each method on dev, its weights chosen there, then once on each test set."""

import importlib.util
from typing import Tuple

from asrkit.config import RecipeConfig
from asrkit.config.methods import FOLDERS, INSTALL, METHODS, files_by_method
from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.stage import Stage
from asrkit.stages import average, units
from asrkit.stages.features import features_of


def decoded(*splits: str) -> Tuple[str, ...]:
    """Patterns of the permanent output for some splits."""
    names = ("hypotheses_{decode.methods}.jsonl", "timing_{decode.methods}.json")
    return tuple(f"decode/{split}/{name}" for split in splits for name in names)


STAGE = Stage(
    name="decode",
    purpose="decode with each method; scales chosen on dev, then the test sets once",
    reads=(
        "average/model.safetensors",
        *files_by_method(),  # graph and language models: only those that a chosen method needs
        *features_of("{dev}", "{test}"),
        *units.STAGE.writes,
    ),
    writes=("decode/scales.json", *decoded("{dev}", "{test}")),
    result=(
        *("decode", "lm.rescore_order", "corpus.dev", "corpus.tests"),
        *("model", "features.frame_shift"),  # seconds per frame
    ),
    how=(
        *("decode.shard_utterances", "decode.batch_duration", "decode.keep_lattices", "decode.device"),
        "train.optional_silence",  # of the model, which is trained again if it changes
        *FOLDERS.values(),  # only places: lm/*.safetensors contain hashes of the models
    ),
    libraries=("torch", "lhotse"),  # and k2, which methods such as greedy do without
)


def check(config: RecipeConfig) -> None:
    """Raise UserError for a method whose packages aren't installed, and decode.device cuda without a GPU."""
    for method in config.decode.methods:
        for package in METHODS[method].packages:
            if importlib.util.find_spec(package) is None:
                raise UserError(
                    f"{package} isn't installed",
                    expected=f"{package}, for method {method}",
                    where="decode.methods",
                    todo=INSTALL.get(package, f"pip install {package}"),
                )
    average.check_device(config)


def run(experiment: Experiment) -> None:
    """Write decode/scales.json, and hypotheses and timings of each split by method."""
    from asrkit.decode.splits import decode_all

    decode_all(experiment)

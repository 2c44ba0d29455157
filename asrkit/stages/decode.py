"""Stage decode: by each method; its weights are chosen on dev, then each test set is decoded once."""

from typing import Tuple

from asrkit.config import RecipeConfig
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.stage import Stage
from asrkit.stages import units
from asrkit.stages.features import features_of
from asrkit.stages.lm import LARGER, NEURAL


def decoded(*splits: str) -> Tuple[str, ...]:
    """Patterns of what is left of some splits for good."""
    names = ("hypotheses_{decode.methods}.jsonl", "timing_{decode.methods}.json")
    return tuple(f"decode/{split}/{name}" for split in splits for name in names)


STAGE = Stage(
    name="decode",
    purpose="decode by each method; weights chosen on dev, then the tests once",
    reads=(
        *("average/model.safetensors", "graph/HLG.safetensors", "lm/lm.arpa", LARGER, NEURAL),
        *features_of("{dev}", "{test}"),
        *units.STAGE.writes,
    ),
    writes=("decode/scales.json", *decoded("{dev}", "{test}")),
    result=(
        *("decode", "lm.rescore_order", "corpus.dev", "corpus.tests"),
        *("model", "features.frame_shift"),  # seconds per frame
    ),
    how=("decode.shard_utterances", "decode.batch_duration", "decode.keep_lattices"),
    libraries=("torch", "lhotse", "k2"),
)


def check(config: RecipeConfig) -> None:
    """Raise UserError for a method whose package isn't installed."""
    if "prefix" in config.decode.methods:
        from asrkit.decode.prefix import import_pyctcdecode

        import_pyctcdecode()


def run(experiment: Experiment) -> None:
    """Write decode/scales.json, and for each split its hypotheses and timings by method."""
    from asrkit.decode.splits import decode_all

    decode_all(experiment)

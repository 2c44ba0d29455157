"""The ten stages that every recipe has: what each reads, writes and depends on."""

from typing import Tuple

from asrkit.config import CorpusConfig
from asrkit.pipeline.stage import Stage

SUPERVISIONS = "manifests/{split}_supervisions.jsonl.gz"
CUTS = "manifests/{split}_cuts.jsonl.gz"
DECODED = ("hypotheses_{decode.methods}.jsonl", "timing_{decode.methods}.json")
LARGER_LM = "lm/rescore.{lm.rescore_order}.arpa"  # left out where there is none
NEURAL_LM = "lm/neural.safetensors if lm.neural.layers"
BINARY_LMS = ("lm/lm.binary?", "lm/rescore.{lm.rescore_order}.binary?")  # where kenlm's programs are built
UNITS = ("units/units.txt", "units/lexicon.txt", "units/words.txt", "units/bpe.model?", "units/oov.txt?")
KINDS = ("supervisions", "cuts")
# What the download may fetch beside the corpus
NAMED = ("lm.text", "lm.arpa", "lm.rescore_arpa", "train.noise.directory", "train.rooms.directory")
SPLITS = ("corpus.train", "corpus.dev", "corpus.tests")


def features_of(*splits: str) -> Tuple[str, ...]:
    """Cuts and stored features of some splits, so that a change in another one doesn't matter."""
    return tuple(
        pattern
        for split in splits
        for pattern in (f"features/{split}_cuts.jsonl.gz", f"features/shards/{split}-[0-9]*.i16")
    )


def decoded(*splits: str) -> Tuple[str, ...]:
    """What stage decode leaves of some splits, for good."""
    return tuple(f"decode/{split}/{name}" for split in splits for name in DECODED)


STAGES = (
    Stage(
        0,
        "download",
        "put the corpus into place",
        "asrkit.cli.download",
        reads=("{recipe}/grammar.yaml?",),
        writes=("{corpus}",),
        settings=("corpus.module", "corpus.train_sets", "corpus.dev_sets", *SPLITS, *NAMED),
        corpus_code=True,
    ),
    Stage(
        1,
        "manifests",
        "list recordings and transcripts of each split, and check them",
        "asrkit.cli.manifests",
        reads=("{corpus}", "{recipe}/expect.json?"),
        writes=(
            "manifests/{split}_recordings.jsonl.gz",
            SUPERVISIONS,
            CUTS,
            "manifests/rejected.jsonl?",
            "manifests/statistics.json",
            "manifests/audio?",
        ),
        settings=tuple(f"corpus.{name}" for name in CorpusConfig.__struct_fields__ if name != "mirror"),
        corpus_code=True,
        libraries=("torch", "lhotse"),
    ),
    Stage(
        2,
        "features",
        "log-Mel features, training audio at several speeds",
        "asrkit.cli.features",
        reads=(CUTS, f"audio of {CUTS}"),
        writes=("features",),
        settings=("features", *SPLITS, "corpus.max_bad_fraction"),
        libraries=("torch", "lhotse"),
    ),
    Stage(
        3,
        "units",
        "what the model predicts, and how words are made of it",
        "asrkit.cli.units",
        reads=(
            "manifests/{train}_supervisions.jsonl.gz",
            "{recipe}/{units.lexicon}",
            "{recipe}/{lm.text}",
            "{recipe}/{lm.arpa}",
        ),
        writes=UNITS,
        settings=(
            *("units", "lm.text", "lm.text_sentences", "lm.arpa"),
            *("corpus.train", "corpus.case", "corpus.words"),
        ),
    ),
    Stage(
        4,
        "lm",
        "n-gram language model of the training text",
        "asrkit.cli.lm",
        reads=(
            "manifests/{train}_supervisions.jsonl.gz",
            "manifests/{dev}_supervisions.jsonl.gz",
            "manifests/{test}_supervisions.jsonl.gz if lm.text",
            "units/words.txt if units.unknown_word",
            "{recipe}/{lm.text}",
            "{recipe}/{lm.arpa}",
            "{recipe}/{lm.rescore_arpa}",
        ),
        writes=("lm/lm.arpa", LARGER_LM, *BINARY_LMS, NEURAL_LM, "lm/report.json"),
        settings=("lm", "units.unknown_word", "corpus.train", "corpus.dev", "corpus.case", "corpus.words"),
    ),
    Stage(
        5,
        "graph",
        "decoding graph HLG from units, lexicon and language model",
        "asrkit.cli.graph",
        reads=(*UNITS, "lm/lm.arpa"),
        writes=("graph/HLG.safetensors",),
        settings=("graph",),
        libraries=("torch", "k2"),
    ),
    Stage(
        6,
        "train",
        "train the acoustic model",
        "asrkit.cli.train",
        reads=(
            "features/normalisation.safetensors",
            *features_of("{train}", "{dev}"),
            *UNITS,
            "{recipe}/{train.init_from}",
            *(
                pattern
                for setting in ("train.noise.directory", "train.rooms.directory")
                for pattern in (
                    f"{{recipe}}/{{{setting}}}",
                    f"manifests/{{train}}_cuts.jsonl.gz if {setting}",
                    f"audio of manifests/{{train}}_cuts.jsonl.gz if {setting}",
                )
            ),
        ),
        writes=("train/checkpoints", "train/log.jsonl", "train/rejected.jsonl?"),
        settings=("model", "train", "features.bins", "corpus.train", "corpus.dev", "corpus.max_bad_fraction"),
        libraries=("torch", "lhotse"),
        precious=True,
    ),
    Stage(
        7,
        "average",
        "average checkpoints, chosen on dev",
        "asrkit.cli.average",
        reads=("train/checkpoints/epoch-*", *features_of("{dev}"), *UNITS),
        writes=("average/model.safetensors", "average/choice.json"),
        settings=("average", "train.batch_duration", "corpus.dev"),
        libraries=("torch", "lhotse"),
    ),
    Stage(
        8,
        "decode",
        "decode by each method; weights chosen on dev, then the tests once",
        "asrkit.cli.decode",
        reads=(
            "average/model.safetensors",
            "graph/HLG.safetensors",
            "lm/lm.arpa",
            LARGER_LM,
            NEURAL_LM,
            *features_of("{dev}", "{test}"),
            *UNITS,
        ),
        writes=("decode/scales.json", *decoded("{dev}", "{test}")),
        settings=("decode", "lm.rescore_order", "corpus.dev", "corpus.tests"),
        libraries=("torch", "lhotse", "k2"),
    ),
    Stage(
        9,
        "score",
        "count errors, with intervals, and write the results",
        "asrkit.cli.score",
        reads=(
            *decoded("{dev}", "{test}"),
            *(f"manifests/{split}_{kind}.jsonl.gz" for split in ("{dev}", "{test}") for kind in KINDS),
            "units/units.txt",
            "units/lexicon.txt",
            "manifests/statistics.json",
            "manifests/rejected.jsonl?",
            "features/rejected.jsonl?",
        ),
        writes=("score", "results.json", "RESULTS.md"),
        settings=("score", "decode.methods", "corpus.dev", "corpus.tests", "name"),
    ),
)


def stage_named(name: str) -> Stage:
    """The stage of a name."""
    return next(stage for stage in STAGES if stage.name == name)

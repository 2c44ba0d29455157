"""Stage manifests: validate every utterance, write lhotse manifests."""

from asrkit.config import CorpusConfig
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.stage import AUDIO_OF, Stage

STAGE = Stage(
    name="manifests",
    purpose="list, validate and count the utterances of each split",
    reads=("{corpus}", "{recipe}/expect.json?"),
    writes=(
        "manifests/{split}_recordings.jsonl.gz",
        "manifests/{split}_supervisions.jsonl.gz",
        "manifests/{split}_cuts.jsonl.gz",
        "manifests/rejected.jsonl?",
        "manifests/statistics.json",
        "manifests/audio?",
        "manifests/sources.json?",
        f"{AUDIO_OF}manifests/sources.json?",  # audio that the corpus's fingerprint doesn't cover
    ),
    result=tuple(
        f"corpus.{name}" for name in CorpusConfig.__struct_fields__ if name not in ("mirror", "allow_pipes")
    ),
    how=("corpus.mirror", "corpus.allow_pipes"),
    corpus_code=True,
    libraries=("torch", "lhotse"),
)


def run(experiment: Experiment) -> None:
    """Write manifests/; raises UserError if too many utterances are rejected or counts differ."""
    from asrkit.corpus.prepare import check_splits, read_corpus, write_splits

    folder = experiment.folder("manifests")
    splits, rejections = read_corpus(experiment, folder / "audio", folder / "sources.json")
    write_splits(experiment, splits, check_splits(experiment, splits, rejections))

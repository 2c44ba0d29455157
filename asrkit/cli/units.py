"""Stage 3: units, words and lexicon from training text."""

from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.storage.files import read_jsonl
from asrkit.text.units import build_units


def run(experiment: Experiment) -> None:
    """Write units/ from the training transcripts."""
    config = experiment.config
    supervisions = read_jsonl(experiment.manifests / f"{config.corpus.train}_supervisions.jsonl.gz")
    sentences = [str(row["text"]) for row in supervisions]
    units = build_units(config.units, sentences, experiment.units, experiment.recipe_directory)
    unused = units.unknown_words(" ".join(sentences))
    if unused:
        raise UserError(f"words without units: {' '.join(unused[:10])}", where=str(experiment.units))
    print(
        f"units: {len(units)} {config.units.kind} (with blank), {len(units.lexicon)} pronunciations, "
        f"{sum(map(len, map(units.encode, sentences))) / max(1, len(sentences)):.1f} units a sentence"
    )

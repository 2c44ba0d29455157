"""Stage 3: units, words and lexicon from training text."""

from typing import Set

from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.storage.files import read_jsonl
from asrkit.text.further_text import read_further_text
from asrkit.text.units import build_units


def run(experiment: Experiment) -> None:
    """Write units/ from the training transcripts."""
    config = experiment.config
    supervisions = read_jsonl(experiment.manifests / f"{config.corpus.train}_supervisions.jsonl.gz")
    sentences = [str(row["text"]) for row in supervisions]
    further = _further_words(experiment)
    units = build_units(config.units, sentences, experiment.units, experiment.recipe_directory, further)
    unused = units.unknown_words(" ".join(sentences))
    if unused:
        raise UserError(f"words without units: {' '.join(unused[:10])}", where=str(experiment.units))
    unspelled = sorted(further.difference(entry.word for entry in units.lexicon))
    if unspelled:
        print(
            f"units: {len(unspelled):,} words of {config.lm.text} are left out, the units don't spell them: "
            f"{' '.join(unspelled[:10])}"
        )
    print(
        f"units: {len(units)} {config.units.kind} (with blank), {len(units.lexicon)} pronunciations, "
        f"{sum(map(len, map(units.encode, sentences))) / max(1, len(sentences)):.1f} units a sentence"
    )


def _further_words(experiment: Experiment) -> Set[str]:
    config = experiment.config
    if config.lm.text is None:
        return set()
    file = experiment.recipe_directory / config.lm.text
    sentences = read_further_text(file, config.corpus.case, config.lm.text_sentences)
    return {word for sentence in sentences for word in sentence.split()}

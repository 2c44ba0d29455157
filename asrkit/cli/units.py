"""Stage 3: units, words and lexicon from training text."""

import collections
from typing import Sequence, Set

from asrkit.corpus.cuts import Supervision
from asrkit.lm.arpa import read_vocabulary
from asrkit.pipeline.experiment import Experiment
from asrkit.storage.files import read_jsonl
from asrkit.text.further_text import read_further_text
from asrkit.text.units import build_units


def run(experiment: Experiment) -> None:
    """Write units/ from the training transcripts; the words of further text and of a given LM are added."""
    config = experiment.config
    file = experiment.manifests / f"{config.corpus.train}_supervisions.jsonl.gz"
    supervisions = read_jsonl(file, Supervision)
    sentences = [str(row["text"]) for row in supervisions]
    further = _further_words(experiment)
    lexicon = experiment.named(config.units.lexicon) if config.units.lexicon is not None else None
    units = build_units(config.units, sentences, experiment.units, lexicon, further)
    if config.units.unknown_word is not None:
        _tell_unknown(sentences, {entry.word for entry in units.lexicon}, config.units.unknown_word)
    unspelled = sorted(further.difference(entry.word for entry in units.lexicon))
    if unspelled:
        print(
            f"units: {len(unspelled):,} words of the language model are left out, "
            f"for the units don't spell them: {' '.join(unspelled[:10])}"
        )
    print(
        f"units: {len(units)} {config.units.kind} (with blank), {len(units.lexicon)} pronunciations, "
        f"{sum(map(len, map(units.encode, sentences))) / max(1, len(sentences)):.1f} units a sentence"
    )


def _tell_unknown(sentences: Sequence[str], known: Set[str], unknown_word: str) -> None:
    words = [word for sentence in sentences for word in sentence.split()]
    outside = collections.Counter(word for word in words if word not in known)
    if outside:
        some = " ".join(word for word, _ in outside.most_common(10))
        print(
            f"units: {unknown_word} stands for {len(outside):,} words that the lexicon lacks, "
            f"{sum(outside.values()):,} of the training text's {len(words):,}: {some}"
        )


def _further_words(experiment: Experiment) -> Set[str]:
    config = experiment.config
    lm = config.lm
    words: Set[str] = set()
    if lm.arpa is not None:
        words.update(read_vocabulary(experiment.named(lm.arpa)))
    elif lm.text is not None:
        for sentence in read_further_text(experiment.named(lm.text), config.corpus, lm.text_sentences):
            words.update(sentence.split())
    return words

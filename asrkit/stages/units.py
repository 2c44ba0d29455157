"""Stage units: units, words and lexicon from training text."""

import collections
import contextlib
from typing import Iterable, Iterator, Sequence, Set

from asrkit.config import CorpusConfig
from asrkit.corpus.cuts import Supervision
from asrkit.errors import AudioProblem
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.stage import Stage
from asrkit.storage.files import read_jsonl

STAGE = Stage(
    name="units",
    purpose="what the model predicts, and how words are made of it",
    reads=(
        "manifests/{train}_supervisions.jsonl.gz",
        "{recipe}/{units.lexicon}",
        "{recipe}/{lm.text}",
        "{recipe}/{lm.arpa}",
    ),
    writes=("units/units.txt", "units/lexicon.txt", "units/words.txt", "units/bpe.model?", "units/oov.txt?"),
    result=(
        *("units", "lm.text", "lm.text_sentences", "lm.arpa"),
        *("corpus.train", "corpus.case", "corpus.words"),
    ),
)


def run(experiment: Experiment) -> None:
    """Write units/ from the training transcripts; the words of further text and of a given LM are added."""
    from asrkit.text.units import build_units

    config = experiment.config
    file = experiment.folder("manifests") / f"{config.corpus.train}_supervisions.jsonl.gz"
    supervisions = read_jsonl(file, Supervision)
    sentences = [str(row["text"]) for row in supervisions]
    further = _further_words(experiment)
    lexicon = experiment.named(config.units.lexicon) if config.units.lexicon is not None else None
    units = build_units(config.units, sentences, experiment.folder("units"), lexicon, further, config.corpus)
    if units.unknown_word is not None:
        _tell_unknown(sentences, {entry.word for entry in units.lexicon}, units.unknown_word)
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


def _usable(words: Iterable[str], config: CorpusConfig) -> Iterator[str]:
    """Words as texts have them, without those that no text can have."""
    from asrkit.corpus.text import check_word

    for word in words:
        with contextlib.suppress(AudioProblem):
            yield check_word(word, config)


def _further_words(experiment: Experiment) -> Set[str]:
    from asrkit.lm.arpa import read_vocabulary
    from asrkit.text.further_text import read_further_text

    config = experiment.config
    lm = config.lm
    words: Set[str] = set()
    if lm.arpa is not None:
        words.update(_usable(read_vocabulary(experiment.named(lm.arpa)), config.corpus))
    elif lm.text is not None:
        for sentence in read_further_text(experiment.named(lm.text), config.corpus, lm.text_sentences):
            words.update(sentence.split())
    return words

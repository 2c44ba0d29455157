"""Stage units: units, words and lexicon from training text."""

import collections
import contextlib
from pathlib import Path
from typing import Optional, Sequence, Set

from asrkit.corpus.cuts import read_transcripts
from asrkit.errors import AudioProblem, UserError
from asrkit.pipeline.experiment import Experiment, open_experiment
from asrkit.pipeline.stage import Stage

STAGE = Stage(
    name="units",
    purpose="units that the model predicts, words and their pronunciations",
    reads=(
        "manifests/{train}_supervisions.jsonl.gz",
        "{recipe}/{units.lexicon}",
        "{recipe}/{lm.text}",
        "{recipe}/{lm.arpa}",
        "{recipe}/{init_from.experiment}/units/units.txt",
        "{recipe}/{init_from.experiment}/units/bpe.model?",
    ),
    writes=("units/units.txt", "units/lexicon.txt", "units/words.txt", "units/bpe.model?", "units/oov.txt?"),
    result=(
        *("units", "lm.text", "lm.text_sentences", "lm.arpa"),
        *("corpus.train", "corpus.case", "corpus.words", "train.init_from"),
    ),
)


def run(experiment: Experiment) -> None:
    """Write units/ from the training transcripts and the extra vocabulary of lm.text or lm.arpa."""
    from asrkit.text.units import build_units, read_symbols

    config = experiment.config
    sentences = read_transcripts(experiment, config.corpus.train)
    extra = _extra_words(experiment)
    lexicon = experiment.named(config.units.lexicon) if config.units.lexicon is not None else None
    folder, kept = experiment.folder("units"), _kept_units(experiment)
    units = build_units(config.units, sentences, folder, lexicon, extra, config.corpus, kept)
    if kept is not None:
        new = len(units) - len(read_symbols(kept / "units.txt"))
        print(f"units: those of {kept.parent}, and {new} new ones")
    known = {entry.word for entry in units.lexicon}
    if units.unknown_word is not None:
        _report_unknown(sentences, known, units.unknown_word)
    unspelled = sorted(extra - known)
    if unspelled:
        print(
            f"units: {len(unspelled):,} words of the language model are left out, "
            f"because the units don't spell them: {' '.join(unspelled[:10])}"
        )
    print(
        f"units: {len(units)} {config.units.kind} (with blank), {len(units.lexicon)} pronunciations, "
        f"{sum(map(len, map(units.encode, sentences))) / max(1, len(sentences)):.1f} units per sentence"
    )


def _kept_units(experiment: Experiment) -> Optional[Path]:
    """The units of the experiment that training starts from, if they are of the same kind."""
    name = experiment.config.train.init_from
    if name is None:
        return None
    place = experiment.named(name)
    if not place.exists():  # else the units would be built as without it, and the model not fit them
        todo = "put it there, or correct the setting; --stage N runs a later stage alone"
        raise UserError(f"train.init_from is {name}, which is missing", "an experiment", str(place), todo)
    if not place.is_dir():
        return None
    source = open_experiment(place)
    same = source.config.units.kind == experiment.config.units.kind
    return source.folder("units") if same else None


def _report_unknown(sentences: Sequence[str], known: Set[str], unknown_word: str) -> None:
    words = [word for sentence in sentences for word in sentence.split()]
    unknown = collections.Counter(word for word in words if word not in known)
    if unknown:
        some = " ".join(word for word, _ in unknown.most_common(10))
        print(
            f"units: {unknown_word} stands for {len(unknown):,} words that the lexicon lacks, "
            f"{sum(unknown.values()):,} of the {len(words):,} in the training text: {some}"
        )


def _extra_words(experiment: Experiment) -> Set[str]:
    """Normalised words of lm.arpa, without those that no text can have, or of lm.text."""
    from asrkit.corpus.text import check_word
    from asrkit.lm.arpa import read_vocabulary
    from asrkit.text.extra_text import read_extra_text

    lm, corpus = experiment.config.lm, experiment.config.corpus
    words: Set[str] = set()
    if lm.arpa is not None:
        for word in read_vocabulary(experiment.named(lm.arpa)):
            with contextlib.suppress(AudioProblem):
                words.add(check_word(word, corpus))
    elif lm.text is not None:
        for sentence in read_extra_text(experiment.named(lm.text), corpus, lm.text_sentences):
            words.update(sentence.split())
    return words

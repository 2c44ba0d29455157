"""Perplexity of a text under an ARPA model."""

import dataclasses
from pathlib import Path
from typing import Any, Iterable, List, Optional, Tuple

from asrkit.errors import UserError
from asrkit.lm.arpa import ngram_counts, read_arpa
from asrkit.lm.tokens import END, UNKNOWN, split_sentences

BINARY = ".binary"  # ends the name of an ARPA model's binary form


@dataclasses.dataclass(frozen=True)
class Perplexity:
    """How well a model predicts a text; each sentence's </s> is predicted too."""

    perplexity: float  # words outside the vocabulary count with the probability of <unk>
    perplexity_known: Optional[float]  # over the other tokens only; None where there are none
    tokens: int  # words and one </s> a sentence
    oov: int  # words outside the vocabulary
    sentences: int

    @property
    def words(self) -> int:
        """Words without the ends of sentences."""
        return self.tokens - self.sentences


def perplexity(arpa: Path, sentences: Iterable[str], where: str = "the text to predict") -> Perplexity:
    """10 to the mean negative log10 probability of a token.

    Raises UserError when kenlm isn't installed or can't read the model, and for a text without
    words or with <s>, </s>, <unk> as a word.
    """
    score = _unigram_scores if len(ngram_counts(arpa)) == 1 else _kenlm_scores
    total = known = 0.0
    tokens = oov = lines = 0
    for scores in score(arpa, split_sentences(sentences, where)):
        lines += 1
        for log_probability, unknown in scores:
            tokens += 1
            oov += unknown
            total += log_probability
            known += 0.0 if unknown else log_probability
    return Perplexity(
        10 ** (-total / tokens),
        10 ** (-known / (tokens - oov)) if tokens > oov else None,
        tokens,
        oov,
        lines,
    )


def load_kenlm(arpa: Path) -> Any:
    """kenlm's model; raises UserError without kenlm, or for a file that isn't a model of order 2 or more.

    Its binary form is taken where it is beside the ARPA file, and not older.
    """
    try:
        import kenlm
    except ImportError:
        raise UserError(
            "kenlm isn't installed",
            expected="its Python module, to score text",
            where="import kenlm",
            todo="make setup, or: pip install kenlm (a C++ compiler and cmake are needed)",
        ) from None
    file, binary = arpa, arpa.with_suffix(BINARY)
    if binary.exists() and binary.stat().st_mtime_ns >= arpa.stat().st_mtime_ns:
        file = binary
    config = kenlm.Config()
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    try:
        return kenlm.Model(str(file), config)
    except OSError as error:
        raise UserError(
            f"kenlm can't read {file}: {error}",
            expected="a model of order 2 or more",
            where=str(file),
            todo="run.sh --stage 4 makes it anew",
        ) from None


def _kenlm_scores(arpa: Path, sentences: Iterable[List[str]]) -> Iterable[List[Tuple[float, bool]]]:
    """(log10 probability, is it unknown) of each token of each sentence."""
    model = load_kenlm(arpa)
    for words in sentences:
        scores = model.full_scores(" ".join(words), bos=True, eos=True)
        yield [(log_probability, unknown) for log_probability, _, unknown in scores]


def _unigram_scores(arpa: Path, sentences: Iterable[List[str]]) -> Iterable[List[Tuple[float, bool]]]:
    # kenlm refuses models of order 1; they need no search.
    model = read_arpa(arpa)
    scores = dict(zip(model.vocabulary, model.tables[0].log_probability.tolist()))
    lost = [word for word in (UNKNOWN, END) if word not in scores]
    if lost:
        raise UserError(f"{arpa} lacks {' and '.join(lost)}", expected="both as unigrams", where=str(arpa))
    for words in sentences:
        yield [(scores.get(word, scores[UNKNOWN]), word not in scores) for word in [*words, END]]

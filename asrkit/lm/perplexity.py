"""Perplexity of a text under an ARPA model."""

from pathlib import Path
from typing import Iterable, List, NamedTuple, Optional, Tuple

from asrkit.config.symbols import END, UNKNOWN
from asrkit.errors import UserError
from asrkit.lm.arpa import ngram_counts, read_arpa
from asrkit.lm.kenlm import load_kenlm
from asrkit.lm.tokens import split_sentences

_Scores = Iterable[List[Tuple[float, bool]]]  # per sentence and token: log10 probability, is it OOV


class Perplexity(NamedTuple):
    """How well a model predicts a text, including the </s> of each sentence."""

    perplexity: float  # OOV words count with the probability of <unk>
    perplexity_known: Optional[float]  # without OOV words; None if no token is left
    oov: int  # out-of-vocabulary words
    words: int


def perplexity(arpa: Path, sentences: Iterable[str], where: str = "the text to predict") -> Perplexity:
    """10 to the power of the mean negative log10 probability per token.

    Raises UserError if kenlm isn't installed or can't read the model, and for a text without words or with
    a reserved word such as <s>.
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
    try:
        of_all = 10 ** (-total / tokens)
        of_known = 10 ** (-known / (tokens - oov)) if tokens > oov else None
    except OverflowError:
        found = f"a mean log10 probability of {total / tokens:.0f} per token"
        raise UserError(found, "a higher one", f"{arpa}, on {where}", "use another language model") from None
    return Perplexity(of_all, of_known, oov, words=tokens - lines)


def _kenlm_scores(arpa: Path, sentences: Iterable[List[str]]) -> _Scores:
    model = load_kenlm(arpa)
    for words in sentences:
        scores = model.full_scores(" ".join(words), bos=True, eos=True)
        yield [(log_probability, unknown) for log_probability, _, unknown in scores]


def _unigram_scores(arpa: Path, sentences: Iterable[List[str]]) -> _Scores:  # kenlm refuses models of order 1
    model = read_arpa(arpa)
    scores = dict(zip(model.vocabulary, model.tables[0].log_probability.tolist()))
    lost = [word for word in (UNKNOWN, END) if word not in scores]
    if lost:
        raise UserError(f"{arpa} lacks {' and '.join(lost)}", "both as unigrams", str(arpa))
    for words in sentences:
        yield [(scores.get(word, scores[UNKNOWN]), word not in scores) for word in [*words, END]]

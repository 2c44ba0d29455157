"""Linear interpolation of two n-gram models, its weight found on held-out text."""

import dataclasses
from typing import Iterable, List, Sequence

import numpy as np

from asrkit.lm.backoff import index_ngrams, log_probabilities, model_of
from asrkit.lm.model import NgramIndex, NgramModel, NgramTable
from asrkit.lm.pairs import pair_keys
from asrkit.lm.tokens import END_ID, SPECIAL_WORDS, START_ID, UNKNOWN, UNKNOWN_ID, split_sentences

_SMALLEST_CHANGE = 1e-6  # of the weight, at which expectation maximisation ends
_WEIGHT_LIMIT = 1e-3  # the weight stays this far from 0 and 1, where the words of one model would be lost


@dataclasses.dataclass(frozen=True)
class Interpolation:
    """A mixture of two models; perplexities are of the held-out words that one of them has, and </s>."""

    model: NgramModel
    weight: float  # of the first model
    perplexities: List[float]  # of the first, the second, and the mixture


def interpolate(
    first: NgramModel, second: NgramModel, sentences: Iterable[str], where: str = "the held-out text"
) -> Interpolation:
    """The mixture of two models of one order that predicts `sentences` best.

    The vocabulary is the union. A word that only the other model has gets an even share of the
    probability of <unk>, so that each model still sums to one. Raises UserError for a text without words.
    """
    vocabulary = SPECIAL_WORDS + sorted({*first.vocabulary, *second.vocabulary}.difference(SPECIAL_WORDS))
    models = [extend_vocabulary(model, vocabulary) for model in (first, second)]
    words = predicted_ngrams(sentences, vocabulary, len(first.tables), where)
    scores = [log_probabilities(model, index_ngrams(model), words) for model in models]
    weight = best_weight(10 ** scores[0], 10 ** scores[1])
    mixture = mix(models[0], models[1], weight)
    scores.append(log_probabilities(mixture, index_ngrams(mixture), words))
    return Interpolation(mixture, weight, [float(10 ** -np.mean(score)) for score in scores])


def extend_vocabulary(model: NgramModel, vocabulary: Sequence[str]) -> NgramModel:
    """The model over a larger vocabulary: <unk> shares its probability evenly with the words that are new."""
    number = {word: row for row, word in enumerate(vocabulary)}
    ids = np.array([number[word] for word in model.vocabulary], dtype=np.int32)
    unigrams = model.tables[0]
    unknown = unigrams.log_probability[model.vocabulary.index(UNKNOWN)]
    share = unknown - np.log10(1 + len(vocabulary) - len(ids))
    probability, backoff = np.full(len(vocabulary), share), np.zeros(len(vocabulary))
    probability[ids] = unigrams.log_probability
    probability[number[UNKNOWN]] = share
    backoff[ids] = unigrams.log_backoff
    words = np.arange(len(vocabulary), dtype=np.int32)[:, None]
    longer = [dataclasses.replace(table, words=ids[table.words]) for table in model.tables[1:]]
    return NgramModel(list(vocabulary), [NgramTable(words, probability, backoff), *longer])


def predicted_ngrams(
    sentences: Iterable[str], vocabulary: Sequence[str], order: int, where: str
) -> np.ndarray:
    """Ids (tokens, order) of each word and </s> with what comes before it, -1 before <s>.

    Words outside the vocabulary are left out, but stand in what comes before others.
    """
    number = {word: row for row, word in enumerate(vocabulary)}
    rows: List[List[int]] = []
    for words in split_sentences(sentences, where):
        ids = [-1] * (order - 2) + [START_ID, *(number.get(word, UNKNOWN_ID) for word in words), END_ID]
        rows += [ids[end - order : end] for end in range(max(order, 2), len(ids) + 1)]
    found = np.array(rows, dtype=np.int64)
    return found[found[:, -1] != UNKNOWN_ID]


def best_weight(first: np.ndarray, second: np.ndarray) -> float:
    """The weight of `first` that makes a text most probable, from both models' probabilities of it (tokens,).

    By expectation maximisation: the new weight is the mean share of the first model in the mixture.
    """
    weight = 0.5
    for _ in range(1000):
        before, weight = weight, float(np.mean(weight * first / (weight * first + (1 - weight) * second)))
        if abs(weight - before) < _SMALLEST_CHANGE:
            break
    return min(max(weight, _WEIGHT_LIMIT), 1 - _WEIGHT_LIMIT)


def mix(first: NgramModel, second: NgramModel, weight: float) -> NgramModel:
    """The back-off model that is weight * first + (1 - weight) * second on every n-gram that either lists.

    Both have one vocabulary and order. Source: A. Stolcke, "SRILM - an extensible language modeling
    toolkit", ICSLP 2002 (static interpolation).
    """
    models = (first, second)
    indices = [index_ngrams(model) for model in models]
    united = NgramIndex(len(first.vocabulary))
    words: List[np.ndarray] = []
    log_probability: List[np.ndarray] = []
    for length in range(1, len(first.tables) + 1):
        if length == 1:
            words.append(first.tables[0].words)
        else:
            tables = [model.tables[length - 1].words for model in models]
            words.append(_unite(tables, words[-1], united, len(first.vocabulary)))
        scores = [log_probabilities(model, index, words[-1]) for model, index in zip(models, indices)]
        log_probability.append(np.log10(weight * 10 ** scores[0] + (1 - weight) * 10 ** scores[1]))
    return model_of(first.vocabulary, words, log_probability)


def _unite(
    tables: Sequence[np.ndarray], below: np.ndarray, united: NgramIndex, vocabulary: int
) -> np.ndarray:
    """The n-grams (n-grams, length) of either table, sorted by first word, then second, also in `united`."""
    keys = [pair_keys(united.locate(words[:, :-1]), words[:, -1], vocabulary) for words in tables]
    context, last = np.divmod(np.union1d(*keys), vocabulary)
    united.add(context, last)
    return np.concatenate([below[context], last[:, None].astype(np.int32)], axis=1)

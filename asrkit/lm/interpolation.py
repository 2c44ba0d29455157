"""Linear interpolation of two n-gram models, with the weight tuned on held-out text."""

import dataclasses
from typing import Iterable, List, NamedTuple, Sequence

import numpy as np

from asrkit.config.symbols import UNKNOWN
from asrkit.lm.model import (
    NgramIndex,
    NgramModel,
    NgramTable,
    index_ngrams,
    log_probabilities,
    make_backoff_model,
    pair_keys,
)
from asrkit.lm.tokens import END_ID, SPECIAL_WORDS, START_ID, UNKNOWN_ID, split_sentences

_SMALLEST_CHANGE = 1e-6  # of the weight, at which expectation maximisation stops
_WEIGHT_LIMIT = 1e-3  # distance of the weight from 0 and 1, where one model's words would be lost


class Interpolation(NamedTuple):
    """A mixture of two models; perplexities are over held-out words that either model has, and </s>."""

    model: NgramModel
    weight: float  # of the first model
    perplexities: List[float]  # of the first, the second, and the mixture


def interpolate(
    first: NgramModel, second: NgramModel, sentences: Iterable[str], where: str = "the held-out text"
) -> Interpolation:
    """The mixture of two models of one order with the lowest perplexity on `sentences`.

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
    """The model over a larger vocabulary: <unk> shares its probability evenly with the new words."""
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
    """Ids (tokens, order) of each word and </s> with its history, -1 before <s>.

    Words outside the vocabulary aren't predicted, but are <unk> in histories.
    """
    number = {word: row for row, word in enumerate(vocabulary)}
    rows: List[List[int]] = []
    for words in split_sentences(sentences, where):
        ids = [-1] * (order - 2) + [START_ID, *(number.get(word, UNKNOWN_ID) for word in words), END_ID]
        rows += [ids[end - order : end] for end in range(max(order, 2), len(ids) + 1)]
    found = np.array(rows, dtype=np.int64)
    return found[found[:, -1] != UNKNOWN_ID]


def best_weight(first: np.ndarray, second: np.ndarray) -> float:
    """The weight of `first` with the highest likelihood, from both models' probabilities (tokens,).

    By expectation maximisation: the new weight is the mean share of the first model in the mixture.
    """
    weight = 0.5
    for _ in range(1000):
        before, weight = weight, float(np.mean(weight * first / (weight * first + (1 - weight) * second)))
        if abs(weight - before) < _SMALLEST_CHANGE:
            break
    return min(max(weight, _WEIGHT_LIMIT), 1 - _WEIGHT_LIMIT)


def mix(first: NgramModel, second: NgramModel, weight: float) -> NgramModel:
    """The back-off model with weight * first + (1 - weight) * second for every n-gram that either lists.

    Both have one vocabulary and order. Source: A. Stolcke, "SRILM - an extensible language modeling
    toolkit", ICSLP 2002 (static interpolation).
    """
    indexed = [(model, index_ngrams(model)) for model in (first, second)]
    size = len(first.vocabulary)
    united = NgramIndex(size)
    words = [first.tables[0].words]
    for tables in zip(first.tables[1:], second.tables[1:]):
        keys = [pair_keys(united.locate(table.words[:, :-1]), table.words[:, -1], size) for table in tables]
        context, last = np.divmod(np.union1d(*keys), size)
        united.add(context, last)
        words.append(np.concatenate([words[-1][context], last[:, None].astype(np.int32)], axis=1))
    log_probability = []
    for rows in words:
        scores = [10 ** log_probabilities(model, index, rows) for model, index in indexed]
        log_probability.append(np.log10(weight * scores[0] + (1 - weight) * scores[1]))
    return make_backoff_model(first.vocabulary, words, log_probability)

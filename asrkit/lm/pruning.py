"""Entropy pruning of n-gram models."""

from typing import List

import numpy as np

from asrkit.config.symbols import END, START
from asrkit.lm.model import (
    NgramIndex,
    NgramModel,
    index_ngrams,
    log_probabilities,
    make_backoff_model,
    mass_left,
)


def prune(model: NgramModel, threshold: float) -> NgramModel:
    """The model without n-grams whose removal raises its perplexity by a smaller factor than 1 + `threshold`.

    Unigrams and contexts of longer n-grams stay; orders without n-grams are dropped. Source: A. Stolcke,
    "Entropy-based pruning of backoff language models", DARPA Broadcast News Workshop 1998.
    """
    index = index_ngrams(model)
    changes = perplexity_changes(model, index)
    words, log_probability = [], []
    needed = np.zeros(len(model.tables[-1].words), dtype=bool)
    for table, change in zip(model.tables[:0:-1], changes[::-1]):
        kept = needed | (change >= threshold)
        words.append(table.words[kept])
        log_probability.append(table.log_probability[kept])
        needed = np.zeros(len(model.tables[table.words.shape[1] - 2].words), dtype=bool)
        needed[index.locate(words[-1][:, :-1])] = True
    left = sum(len(rows) > 0 for rows in words)  # orders; contexts are kept, so none is missing in between
    longer = slice(len(words) - left, None)
    unigrams = model.tables[0]
    return make_backoff_model(
        model.vocabulary,
        [unigrams.words, *words[longer][::-1]],
        [unigrams.log_probability, *log_probability[longer][::-1]],
    )


def perplexity_changes(model: NgramModel, index: NgramIndex) -> List[np.ndarray]:
    """For each order from 2, the relative rise in perplexity if one n-gram alone is removed (n-grams,).

    exp(D) - 1 with D = -p(h) (p(w|h) (ln p(w|h') + ln g' - ln p(w|h)) + (ln g' - ln g) (1 - s)), where h'
    is h without its first word, g and g' the back-off weight of h with the n-gram and without it, and s
    the sum of p(w|h) over the words listed after h. A history that begins with <s> is as frequent as
    </s> is among words.
    """
    history = model.tables[0].log_probability.copy()  # log10 p(h) of all n-grams of one order
    history[model.vocabulary.index(START)] = history[model.vocabulary.index(END)]
    changes: List[np.ndarray] = []
    for table in model.tables[1:]:
        context = index.locate(table.words[:, :-1])
        log_shorter = log_probabilities(model, index, table.words[:, 1:])
        p, shorter = 10.0**table.log_probability, 10.0**log_shorter
        left = mass_left(context, table.log_probability, len(history))[context]
        left_shorter = mass_left(context, log_shorter, len(history))[context]
        weight, weight_without = left / left_shorter, (left + p) / (left_shorter + shorter)
        lost = p * np.log(shorter * weight_without / p) + left * np.log(weight_without / weight)
        changes.append(np.expm1(-(10.0 ** history[context]) * lost))
        history = history[context] + table.log_probability
    return changes

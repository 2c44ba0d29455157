"""Pseudo-log-likelihoods of sentences under a masked language model (Salazar et al. 2020).

The rest of a word is masked with its token, else long rare words score too well (Kauf and Ivanova 2023):

    GO HOME, tokens GO HO ME          GO HOUSE, tokens GO HO USE
    _  HO ME   log p(GO)              _  HO USE  log p(GO)
    GO _  _    log p(HO)              GO _  _    log p(HO)     the same copy as of GO HOME: computed once
    GO HO _    log p(ME)              GO HO _    log p(USE)    this one too

A sentence's score is the sum of its rows. A limited context makes copies shorter, and more of them the same,
since hypotheses of a list differ in few places: with one token on either side

    _ HO       GO _ _      GO HO _    of GO HO ME THEN and of GO HO ME NOW
"""

from typing import Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from asrkit.lm.tokeniser import NO_WORD, Row

TOKENS_AT_ONCE = 1024  # of masked copies, with their padding; 4096 leave a core's cache
LARGEST_OUTPUT = 16_000_000  # values: copies * vocabulary

# Token ids (copy, token), lengths (copy,) and the places (copy,) to predict, to log-probabilities
# (copy, vocabulary) there
Predict = Callable[[Tensor, Tensor, Tensor], Tensor]


def pseudo_log_probs(
    rows: Sequence[Row],
    mask: int,
    vocabulary: int,
    padding: int,
    predict: Predict,
    context: Optional[int] = None,
) -> np.ndarray:
    """Log-probabilities (sentence, word) of the words of each row, 0 after its last one.

    All distinct masked copies are sorted by length and predicted in batches of similar lengths. `context`:
    tokens on either side of the masked ones; None: the sentence.
    """
    longest_row = max(len(row.ids) for row in rows)
    context = longest_row if context is None else context
    copies: Dict[Tuple[int, ...], int] = {}
    wanted: List[Tuple[int, int, int, int]] = []  # copy, token, sentence, word
    for sentence, (ids, words) in enumerate(rows):
        for place, word in enumerate(words):
            if word != NO_WORD:
                rest = place + words[place:].count(word)  # a word's tokens are adjacent
                before = ids[max(0, place - context) : place]
                copy = (*before, *[mask] * (rest - place), *ids[rest : rest + context])
                wanted.append((copies.setdefault(copy, len(copies)), ids[place], sentence, word))
    scores = np.zeros((len(rows), max(max(row.words, default=NO_WORD) + 1 for row in rows)))
    order = sorted(copies, key=len)  # stable
    rank = np.empty(len(order), dtype=np.int64)
    rank[[copies[copy] for copy in order]] = np.arange(len(order))
    table = np.array(wanted, dtype=np.int64).reshape(-1, 4)
    table[:, 0] = rank[table[:, 0]]
    table = table[table[:, 0].argsort(kind="stable")]
    end = len(order)
    while end:  # from the longest on
        longest = len(order[end - 1])
        start = max(0, end - max(1, min(TOKENS_AT_ONCE // longest, LARGEST_OUTPUT // vocabulary)))
        batch = order[start:end]
        ids = torch.tensor([[*copy, *[padding] * (longest - len(copy))] for copy in batch])
        lengths = torch.tensor([len(copy) for copy in batch])
        log_probs = predict(ids, lengths, torch.tensor([copy.index(mask) for copy in batch]))
        first, last = np.searchsorted(table[:, 0], [start, end])
        copy, token, sentence, word = table[first:last].T
        values = log_probs[torch.from_numpy(copy - start), torch.from_numpy(token)]
        np.add.at(scores, (sentence, word), values.double().numpy())
        end = start
    return scores

"""Words of the best token per frame, with their times and confidences."""

import math
from typing import List

from torch import Tensor

from asrkit.config.symbols import BLANK
from asrkit.recognise.transcript import Word
from asrkit.text.units import Units


def greedy_words(log_probs: Tensor, units: Units, step: float, offset: float = 0.0) -> List[Word]:
    """Words of log-probabilities (frame, token), whose frames are `step` seconds apart.

    A word goes from the first frame of its first token to the last one of its last. Its confidence is the
    geometric mean, over its tokens, of each token's highest probability.

    Tokens per frame, blanks as -, and the words of BPE:   - ▁I - - ▁S S EE -   ->   I (1 to 1), SEE (4 to 6)
    """
    best = log_probs.argmax(dim=-1).tolist()
    tokens: List[int] = []
    spans: List[List[int]] = []  # first and last frame of each token
    for frame, token in enumerate(best):
        if token == BLANK:
            continue
        if frame and best[frame - 1] == token:
            spans[-1][1] = frame
        else:
            tokens.append(token)
            spans.append([frame, frame])
    peaks = [float(log_probs[a : b + 1, token].max()) for (a, b), token in zip(spans, tokens)]
    words: List[Word] = []
    for word, start, end in units.word_spans(tokens):
        first, last = spans[start][0], spans[end - 1][1]
        mean = sum(peaks[start:end]) / (end - start)
        words.append(Word(word, offset + first * step, (last + 1 - first) * step, math.exp(mean)))
    return words

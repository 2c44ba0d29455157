#!/usr/bin/env python3
"""Time and memory of the built-in n-gram estimation, and the ratio to lmplz if that is built.

Text: words drawn from a Zipf distribution, each with probability 1/2 from one that depends on
the word before; both programs go from a text file to an ARPA file.
"""

import resource
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, Tuple

import numpy as np
from measure import make_parser, print_figure, run_measurement

from asrkit.errors import UserError
from asrkit.lm.arpa import ngram_counts, write_arpa
from asrkit.lm.kenlm import estimate_with_lmplz, find_program
from asrkit.lm.kneser_ney import estimate
from asrkit.pipeline.parallel import run_parallel

_WORDS_AT_ONCE = 1_000_000


def generate(words: int, vocabulary: int, seed: int) -> Iterator[str]:
    """Sentences of 5 to 30 words, `words` in all."""
    random = np.random.default_rng(seed)
    weights = 1.0 / np.arange(1, vocabulary + 1)
    for begun in range(0, words, _WORDS_AT_ONCE):
        size = min(_WORDS_AT_ONCE, words - begun)
        drawn = random.choice(vocabulary, size=size, p=weights / weights.sum())
        follows = random.random(size) < 0.5
        # What follows a word is the same distribution, moved by an amount that the word fixes.
        drawn[1:] = np.where(follows[1:], (drawn[1:] + drawn[:-1] * 7919) % vocabulary, drawn[1:])
        ends = np.cumsum(random.integers(5, 31, size=size // 5))
        for sentence in np.split(drawn, ends[ends < size]):
            yield " ".join([f"w{word}" for word in sentence.tolist()])


def cost_of(action: Callable[[], object]) -> Tuple[float, float]:
    """Wall seconds and peak memory in MB of a process that does it, and of programs that it starts."""
    costs: Dict[int, Tuple[float, float]] = {}

    def measured(_: int) -> Tuple[float, float]:
        begun = time.perf_counter()
        action()
        seconds = time.perf_counter() - begun
        peaks = [
            resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        ]
        return seconds, max(peaks) / 1e3

    run_parallel(measured, 1, 1, costs.__setitem__)
    return costs[0]


def measure() -> None:
    """Estimate with each program that is there; seconds of the built-in one last."""
    parser = make_parser(__doc__)
    parser.add_argument("--words", type=int, default=20_000_000)
    parser.add_argument("--vocabulary", type=int, default=50_000)
    parser.add_argument("--order", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        text, ours, theirs = (Path(name) / part for part in ("text", "builtin.arpa", "lmplz.arpa"))
        with open(text, "w", encoding="utf-8") as stream:
            stream.writelines(f"{line}\n" for line in generate(options.words, options.vocabulary, seed=1))

        def builtin() -> None:
            with open(text, encoding="utf-8") as lines:
                write_arpa(estimate(lines, options.order, scratch=Path(name)).model, ours)

        def lmplz() -> None:
            with open(text, encoding="utf-8") as lines:
                estimate_with_lmplz(lines, options.order, theirs, scratch=Path(name))

        seconds, megabytes = cost_of(builtin)
        listing = ", ".join(f"{count:,} {order}-grams" for order, count in enumerate(ngram_counts(ours), 1))
        print(f"built-in: {seconds:.1f} s, {megabytes:.0f} MB for {options.words:,} words: {listing}")
        if find_program("lmplz"):
            reference, megabytes = cost_of(lmplz)
            print(f"lmplz: {reference:.1f} s, {megabytes:.0f} MB")
            if ngram_counts(ours) != ngram_counts(theirs):
                raise UserError("the two models differ in their numbers of n-grams")
            print_figure("lm_estimate_over_lmplz", seconds / reference, digits=3)
    print_figure("lm_estimate_seconds", seconds, digits=3)


if __name__ == "__main__":
    run_measurement(measure)

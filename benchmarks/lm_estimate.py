#!/usr/bin/env python3
"""How long the built-in n-gram estimation takes, as a multiple of lmplz's time.

Text: words drawn from a Zipf distribution, each with probability 1/2 from one that depends on
the word before; both programs go from a text file to an ARPA file.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, List

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from asrkit.errors import UserError
from asrkit.lm.arpa import ngram_counts, write_arpa
from asrkit.lm.kneser_ney import estimate
from asrkit.lm.lmplz import estimate_with_lmplz


def generate(words: int, vocabulary: int, seed: int) -> List[str]:
    """Sentences of 5 to 30 words, `words` in all."""
    random = np.random.default_rng(seed)
    weights = 1.0 / np.arange(1, vocabulary + 1)
    drawn = random.choice(vocabulary, size=words, p=weights / weights.sum())
    follows = random.random(words) < 0.5
    # What follows a word is the same distribution, moved by an amount that the word fixes.
    drawn[1:] = np.where(follows[1:], (drawn[1:] + drawn[:-1] * 7919) % vocabulary, drawn[1:])
    ends = np.cumsum(random.integers(5, 31, size=words // 5))
    text = [f"w{word}" for word in drawn.tolist()]
    starts = [0, *ends[ends < words].tolist()]
    return [" ".join(text[start:end]) for start, end in zip(starts, [*starts[1:], words])]


def seconds_of(action: Callable[[], object], repetitions: int) -> float:
    """The shortest of some runs, for other work on the machine only ever adds time."""
    times = []
    for _ in range(repetitions):
        begun = time.perf_counter()
        action()
        times.append(time.perf_counter() - begun)
    return min(times)


def main() -> int:
    """Measure and print `lm_estimate_over_lmplz: RATIO` last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--words", type=int, default=1_000_000)
    parser.add_argument("--vocabulary", type=int, default=50_000)
    parser.add_argument("--order", type=int, default=3)
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        text, ours, theirs = (Path(name) / part for part in ("text", "builtin.arpa", "lmplz.arpa"))
        text.write_text("\n".join(generate(options.words, options.vocabulary, seed=1)) + "\n")

        def builtin() -> None:
            with open(text, encoding="utf-8") as lines:
                write_arpa(estimate(lines, options.order).model, ours)

        def lmplz() -> None:
            with open(text, encoding="utf-8") as lines:
                estimate_with_lmplz(lines, options.order, theirs)

        try:
            reference = seconds_of(lmplz, options.repetitions)
        except UserError as error:
            print(error, file=sys.stderr)
            return 1
        found = seconds_of(builtin, options.repetitions)
        if ngram_counts(ours) != ngram_counts(theirs):
            print("the two models differ in their numbers of n-grams", file=sys.stderr)
            return 1
        print(f"n-grams: {' '.join(map(str, ngram_counts(ours)))}")
    print(f"{options.words} words, order {options.order}: lmplz {reference:.2f} s, built-in {found:.2f} s")
    print(f"lm_estimate_over_lmplz: {found / reference:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Largest difference in log10 between the n-grams of the built-in estimation and of lmplz."""

import tempfile
from pathlib import Path
from typing import Dict, Tuple

import numpy as np
from lm_estimate import generate
from measure import make_parser, print_figure, run_measurement

from asrkit.errors import UserError
from asrkit.lm.arpa import write_arpa
from asrkit.lm.kenlm import estimate_with_lmplz
from asrkit.lm.kneser_ney import estimate


def weights(file: Path) -> Dict[Tuple[str, ...], np.ndarray]:
    """Log10 probability, and back-off where there is one, by n-gram."""
    ngrams: Dict[Tuple[str, ...], np.ndarray] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        fields = line.split("\t")
        if len(fields) > 1:
            ngrams[tuple(fields[1].split())] = np.array([float(fields[0]), float("".join(fields[2:]) or 0)])
    return ngrams


def measure() -> None:
    """Estimate both from the same text, and compare n-gram by n-gram."""
    parser = make_parser(__doc__)
    parser.add_argument("--text", type=Path, metavar="FILE", help="a sentence a line; default: drawn words")
    parser.add_argument("--words", type=int, default=100_000)
    parser.add_argument("--order", type=int, default=3)
    options = parser.parse_args()
    lines = list(generate(options.words, 5_000, seed=1))
    if options.text:
        lines = options.text.read_text(encoding="utf-8").splitlines()
    with tempfile.TemporaryDirectory() as name:
        ours, theirs = Path(name) / "builtin.arpa", Path(name) / "lmplz.arpa"
        estimate_with_lmplz(lines, options.order, theirs)
        write_arpa(estimate(lines, options.order).model, ours)
        found, expected = weights(ours), weights(theirs)
    if found.keys() != expected.keys():
        raise UserError(f"{len(found)} n-grams", expected=f"the {len(expected)} that lmplz finds")
    # The probability of <s>, which is never predicted, is a convention: -99 or 0.
    expected[("<s>",)][0] = found[("<s>",)][0]
    print(f"{len(found)} n-grams")
    largest = max(float(np.abs(found[key] - expected[key]).max()) for key in found)
    print_figure("lm_difference_log10", largest, digits=2)


if __name__ == "__main__":
    run_measurement(measure)

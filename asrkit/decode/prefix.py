"""CTC prefix beam search with an n-gram language model and no lexicon, by pyctcdecode."""

import logging
from pathlib import Path
from typing import Any, Callable

import numpy as np
from torch import Tensor

from asrkit.config import DecodeConfig
from asrkit.decode.nbest import NBest
from asrkit.decode.rescore import make_ngram_scorer
from asrkit.errors import UserError
from asrkit.lm.kenlm import load_kenlm
from asrkit.text.units import Units


def import_pyctcdecode() -> Any:
    """The module pyctcdecode; raises UserError if it isn't installed."""
    try:
        import pyctcdecode
    except ImportError:
        raise UserError(
            "pyctcdecode isn't installed",
            expected="it, for method prefix",
            where="decode.methods",
            todo="pip install pyctcdecode",
        ) from None
    return pyctcdecode


def make_prefix_search(units: Units, arpa: Path, config: DecodeConfig) -> Callable[[Tensor], NBest]:
    """Search of an utterance's log-probabilities (frame, unit) for its n-best list.

    Prefixes are summed over their alignments (Hannun et al. 2014). The units must spell words. Raises
    UserError where pyctcdecode isn't installed.
    """
    pyctcdecode = import_pyctcdecode()
    logging.getLogger("pyctcdecode").setLevel(logging.ERROR)  # it warns of an unknown unit that CTC never has
    model = pyctcdecode.LanguageModel(
        load_kenlm(arpa), {entry.word for entry in units.lexicon}, alpha=config.search_lm_scale, beta=0.0
    )
    alphabet = pyctcdecode.Alphabet.build_alphabet(["", *units.symbols[1:]])  # "" is the blank
    decoder = pyctcdecode.BeamSearchDecoderCTC(alphabet, model)
    score = make_ngram_scorer(arpa)

    def search(log_probs: Tensor) -> NBest:
        beams = decoder.decode_beams(log_probs.numpy(), beam_width=config.prefix_beams)
        words = [beam[0].split() for beam in beams]
        acoustic = [beam[3] for beam in beams]
        counts = [len(each) for each in words]
        return NBest(words, np.column_stack([acoustic, score(words), counts]), "prefix")

    return search

"""Times of known words: the best path, and the edges of words beside pauses."""

from pathlib import Path
from typing import List, Tuple

import numpy as np
import pytest
import soundfile
import torch

from asrkit.config.symbols import BLANK_SYMBOL
from asrkit.errors import UserError
from asrkit.recognise.forced_alignment import align_tokens, align_words, snap_to_pauses
from asrkit.recognise.transcript import Word
from asrkit.text.lexicon import Pronunciation
from asrkit.text.units import Units

RATE = 16000


def sure_of(path: str, symbols: str) -> np.ndarray:
    """Log-probabilities (frame, token) of a model that is sure of a path, "-" for blanks."""
    table = np.full((len(path), len(symbols)), -9.0)
    table[range(len(path)), [symbols.index(token) for token in path]] = -0.1
    return table


def recording(*parts: Tuple[float, float]) -> np.ndarray:
    """Noise of parts of (seconds, level)."""
    generator = np.random.default_rng(0)
    return np.concatenate([level * generator.normal(size=round(seconds * RATE)) for seconds, level in parts])


def times(words: List[Word]) -> List[Tuple[float, float]]:
    return [(round(word.start, 2), round(word.end, 2)) for word in words]


def test_tokens_have_the_frames_of_the_best_path() -> None:
    assert align_tokens(sure_of("-CC-ATT", "-ACT"), [2, 1, 3]) == [(1, 2), (4, 4), (5, 6)]


def test_equal_neighbours_need_a_frame_between_them() -> None:
    assert align_tokens(sure_of("A-A", "-A"), [1, 1]) == [(0, 0), (2, 2)]
    with pytest.raises(UserError, match="2 tokens for 2 frames"):
        align_tokens(sure_of("AA", "-A"), [1, 1])


def test_words_share_the_blanks_between_them() -> None:
    units = Units([BLANK_SYMBOL, "A", "B"], [Pronunciation("a", ("A",)), Pronunciation("b", ("B",))])
    first, second = align_words(torch.from_numpy(sure_of("-A----B-", "-AB")), units, "a b", 0.04)
    assert first.start < 0.04 and 0.08 < first.end < 0.24
    assert second.start == pytest.approx(first.end)


@pytest.mark.parametrize("noise", [0.0, 1e-4, 0.01])
def test_edges_beside_pauses_are_those_of_the_sound(noise: float) -> None:
    samples = recording((0.3, noise), (0.5, 0.2), (0.4, noise), (0.3, 0.1), (0.2, noise))
    by_ctc = [Word("a", 0.25, 0.4, 1.0), Word("b", 0.9, 0.7, 1.0)]
    assert times(snap_to_pauses(by_ctc, samples, RATE)) == [(0.3, 0.8), (1.2, 1.5)]


def test_edges_without_a_pause_stay() -> None:
    samples = recording((0.5, 0.2), (0.04, 0.0), (0.5, 0.2))  # as short as the closure of a plosive
    by_ctc = [Word("a", 0.0, 0.4, 1.0), Word("b", 0.4, 0.6, 1.0)]
    assert times(snap_to_pauses(by_ctc, samples, RATE)) == times(by_ctc)


@pytest.mark.parametrize("samples", [np.zeros(5), np.zeros(RATE), np.ones(RATE)])
def test_sound_without_pauses_or_without_sound_moves_no_word_out_of_it(samples: np.ndarray) -> None:
    (word,) = snap_to_pauses([Word("a", 0.0, len(samples) / RATE, 1.0)], samples, RATE)
    assert 0.0 <= word.start <= word.end <= len(samples) / RATE
    assert snap_to_pauses([], samples, RATE) == []


@pytest.mark.k2
def test_words_of_a_model_that_misses_some_stay_in_order_and_inside(finished_yesno: Path) -> None:
    from lhotse import load_manifest

    from asrkit.pipeline.experiment import open_experiment
    from asrkit.recognise.recognizer import Recognizer

    recognizer = Recognizer.open(finished_yesno, "greedy")  # of two epochs
    corpus = open_experiment(finished_yesno).corpus_directory
    for cut in load_manifest(finished_yesno / "manifests" / "test_cuts.jsonl.gz"):
        samples, rate = soundfile.read(corpus / cut.recording.sources[0].source, dtype="float32")
        words = recognizer.align(samples, rate, cut.supervisions[0].text)
        edges = [round(edge, 6) for word in words for edge in (word.start, word.end)]
        assert [word.word for word in words] == cut.supervisions[0].text.split()
        assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= cut.duration

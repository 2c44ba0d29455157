"""Settings to begin with on a new corpus, each with the reason, from what its training split holds."""

import dataclasses
import math
import re
from typing import Any, List, Sequence

from asrkit.config import FeaturesConfig, TrainConfig
from asrkit.corpus.text import HAN_RUN
from asrkit.corpus.validation import ValidUtterance

STEPS = 5000  # that recipes/an4 takes from a random start
LEAST_EPOCHS, MOST_EPOCHS = 15, 60
# Seconds a step below so many hours, as in recipes/yesno, an4, mini_librispeech, librispeech (100 h, 960 h)
BATCHES = ((0.25, 10.0), (2.0, 40.0), (20.0, 100.0), (200.0, 400.0), (math.inf, 1600.0))
MOST_WARMUP = 2000  # steps, as in recipes/librispeech
UNKNOWN = 0.05  # share of dev's words, from which on a vocabulary isn't enough
LARGE_ALPHABET = 200  # symbols: more are syllables or words rather than letters
PIECE_COUNT = 300  # letters of text for each word piece, so that a piece is seen about a hundred times
MOST_PIECES = 500
# Hours up to which a size is meant, what is like it, and its settings
SIZES = (
    (
        5.0,
        "as in recipes/an4: 1.2 million numbers, narrow at high resolution, where most of the work is",
        {
            "stem_channels": 16,
            "stage_channels": [16, 32, 64, 96],
            "attention_blocks": 3,
            "attention_dim": 144,
            "feedforward_dim": 576,
        },
    ),
    (50.0, "3 million numbers, the default size", {"attention_blocks": 4}),
    (
        300.0,
        "9 million numbers",
        {
            "stage_channels": [32, 64, 128, 192],
            "attention_blocks": 8,
            "attention_dim": 256,
            "feedforward_dim": 1024,
        },
    ),
    (
        math.inf,
        "50 million numbers",
        {
            "stage_channels": [48, 96, 160, 256],
            "attention_blocks": 12,
            "attention_dim": 512,
            "attention_heads": 8,
            "feedforward_dim": 2048,
        },
    ),
)


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """A setting; with a section's name and no value, a remark on all of the section."""

    key: str
    value: Any
    reason: str = ""


def suggest_text(texts: Sequence[str]) -> List[Suggestion]:
    """What is a word of these texts, and whether letter case matters."""
    words = {word for text in texts for word in text.split()}
    folded = len({word.lower() for word in words})
    suggestions = []
    if folded < len(words):
        reason = f"{len(words):,} different words in training, {folded:,} without letter case"
        suggestions.append(Suggestion("corpus.case", "lower", reason))
    symbols = len({symbol for word in words for symbol in word})
    runs = [run for text in texts for run in HAN_RUN.findall(text)]
    unspaced = len("".join(runs)) > 3 * len(runs)  # Chinese words have one or two characters, seldom four
    if symbols > LARGE_ALPHABET and unspaced and any(re.search("[A-Za-z]", word) for word in words):
        reason = "Chinese characters without spaces between words, and Latin words"
        suggestions.append(Suggestion("corpus.words", "mixed", reason))
    elif symbols > LARGE_ALPHABET and sum(len(text.split()) for text in texts) < 1.5 * len(texts):
        reason = f"{symbols} different ones, and no spaces between words"
        suggestions.append(Suggestion("corpus.words", "characters", reason))
        suggestions.append(Suggestion("score.unit", "character"))
    return suggestions


def suggest_settings(train: Sequence[ValidUtterance], dev: Sequence[ValidUtterance]) -> List[Suggestion]:
    """Features, units, model size, training, decoding for these utterances, their texts as they will be."""
    hours = sum(valid.seconds for valid in train) / 3600
    texts = [valid.text for valid in train]
    return [
        *_suggest_features(train),
        *_suggest_units(texts),
        *_suggest_model(hours),
        *_suggest_training(hours),
        *_suggest_vocabulary(texts, [valid.text for valid in dev]),
    ]


def _suggest_features(train: Sequence[ValidUtterance]) -> List[Suggestion]:
    rate = min(valid.audio.sampling_rate for valid in train)
    if rate >= FeaturesConfig().sampling_rate:
        return []
    return [
        Suggestion("features.sampling_rate", rate, "as recorded: a higher one adds bins without content"),
        Suggestion("features.bins", 40, f"over the {rate // 2} Hz that there are"),
    ]


def _suggest_units(texts: Sequence[str]) -> List[Suggestion]:
    words = [word for text in texts for word in text.split()]
    symbols = len({symbol for word in words for symbol in word})
    letters = sum(map(len, words))
    pieces = min(MOST_PIECES, letters // PIECE_COUNT)
    found = f"{symbols} different symbols, {len(words):,} words of training text"
    if symbols > LARGE_ALPHABET:
        return [Suggestion("units.kind", "characters", f"{found}: each is a syllable or a word")]
    if pieces < 2 * symbols:
        return [Suggestion("units.kind", "characters", f"{found}: longer pieces would be seen too rarely")]
    return [
        Suggestion("units.kind", "bpe", found),
        Suggestion("units.vocabulary_size", pieces, "so that each piece is seen a hundred times or more"),
    ]


def _suggest_model(hours: float) -> List[Suggestion]:
    about, settings = next((about, settings) for most, about, settings in SIZES if hours <= most)
    remark = Suggestion("model", None, f"for {hours:.2f} hours, {about}")
    return [remark, *(Suggestion(f"model.{name}", value) for name, value in settings.items())]


def _suggest_training(hours: float) -> List[Suggestion]:
    batch = next(size for most, size in BATCHES if hours < most)
    copies = len(FeaturesConfig().speed_factors)
    steps = max(1.0, copies * 3600 * hours / batch)
    epochs = min(MOST_EPOCHS, max(LEAST_EPOCHS, round(STEPS / steps)))
    about = f"of about {math.ceil(steps):,} steps, with every utterance at {copies} speeds"
    suggestions = [Suggestion("train.epochs", epochs, about)]
    default = TrainConfig()
    if batch != default.batch_duration:
        little = batch < default.batch_duration
        reason = "small, since there is little speech" if little else "if memory is short, train.accumulate"
        suggestions.append(Suggestion("train.batch_duration", int(batch), f"seconds; {reason}"))
    warmup = max(1, min(MOST_WARMUP, round(epochs * steps / 20)))
    if not default.warmup_steps / 2 <= warmup <= default.warmup_steps * 5:
        reason = f"a twentieth of all steps, {MOST_WARMUP:,} at most"
        suggestions.append(Suggestion("train.warmup_steps", warmup, reason))
    return suggestions


def _suggest_vocabulary(train: Sequence[str], dev: Sequence[str]) -> List[Suggestion]:
    """A search without lexicon, where dev has many words that training lacks but could spell."""
    known = {word for text in train for word in text.split()}
    symbols = {symbol for word in known for symbol in word}
    words = [word for text in dev for word in text.split()]
    unknown = sum(word not in known and symbols.issuperset(word) for word in words)
    if unknown <= UNKNOWN * len(words):
        return []
    reason = f"training lacks {unknown:,} of {len(words):,} words of dev, which 1best finds only with lm.text"
    return [Suggestion("decode.methods", ["greedy", "prefix-beam-search", "1best"], reason)]

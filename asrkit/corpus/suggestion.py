"""Settings to begin with on a new corpus, each with the reason, from what its training split holds."""

import dataclasses
import math
from typing import Any, List, Sequence

from asrkit.config import FeaturesConfig, TrainConfig
from asrkit.corpus.validation import ValidUtterance

STEPS = 5000  # that recipes/an4 takes from a random start
LEAST_EPOCHS, MOST_EPOCHS = 15, 60
BATCHES = ((900.0, 10.0), (7200.0, 40.0))  # seconds a step where there are fewer than so many in all
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
    if symbols > LARGE_ALPHABET and sum(len(text.split()) for text in texts) < 1.5 * len(texts):
        reason = f"{symbols} different ones, and no spaces between words"
        suggestions.append(Suggestion("corpus.words", "characters", reason))
        suggestions.append(Suggestion("score.unit", "character"))
    return suggestions


def suggest_settings(train: Sequence[ValidUtterance]) -> List[Suggestion]:
    """Features, units, model size and training for these training utterances, their texts as they will be."""
    seconds = sum(valid.seconds for valid in train)
    return [
        *_suggest_features(train),
        *_suggest_units([valid.text for valid in train]),
        *_suggest_model(seconds / 3600),
        *_suggest_training(seconds),
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


def _suggest_training(seconds: float) -> List[Suggestion]:
    batch = next((size for most, size in BATCHES if seconds < most), TrainConfig().batch_duration)
    copies = len(FeaturesConfig().speed_factors)
    steps = max(1.0, copies * seconds / batch)
    epochs = min(MOST_EPOCHS, max(LEAST_EPOCHS, round(STEPS / steps)))
    about = f"of about {math.ceil(steps):,} steps, with every utterance at {copies} speeds"
    suggestions = [Suggestion("train.epochs", epochs, about)]
    if batch != TrainConfig().batch_duration:
        suggestions.append(
            Suggestion("train.batch_duration", int(batch), "seconds; small, since there is little speech")
        )
    if epochs * steps < 10 * TrainConfig().warmup_steps:
        warmup = max(1, round(epochs * steps / 20))
        suggestions.append(Suggestion("train.warmup_steps", warmup, "a twentieth of all steps"))
    return suggestions

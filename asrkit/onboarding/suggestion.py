"""Initial settings for a new corpus, each with its reason, from the text and hours of its training split."""

import math
import re
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

from asrkit.config import FeaturesConfig, TrainConfig
from asrkit.corpus.text import HAN_RUN
from asrkit.corpus.validation import ValidUtterance

STEPS = 5000  # recipes/an4 trains for as many from random weights
MIN_EPOCHS, MAX_EPOCHS = 15, 60
# (hours below, batch in seconds), as in recipes/yesno, an4, mini_librispeech, librispeech (100 h, 960 h)
BATCHES = ((0.25, 10.0), (2.0, 40.0), (20.0, 100.0), (200.0, 400.0), (math.inf, 1600.0))
MAX_WARMUP = 2000  # steps, as in recipes/librispeech
MAX_OOV = 0.05  # OOV rate on dev above which decoding with a fixed vocabulary isn't enough
LARGE_ALPHABET = 200  # characters; a larger set is syllables or words, not letters
LETTERS_PER_PIECE = 300  # letters of training text per word piece, so that each occurs about 100 times
MAX_PIECES = 500
SIZE_SETTINGS = ("stem_channels", "stage_channels", "attention_blocks", "attention_dim", "attention_heads")
# (hours up to, description, values of SIZE_SETTINGS; None: the default). feedforward_dim is 4 attention_dim
SIZES: Sequence[Tuple[float, str, Sequence[Any]]] = (
    (
        5.0,
        "as in recipes/an4: 1.2 M parameters, narrow where the resolution is high, which is most of the work",
        (16, [16, 32, 64, 96], 3, 144, None),
    ),
    (50.0, "3 M parameters, the default size", (None, None, 4, None, None)),
    (300.0, "9 M parameters", (None, [32, 64, 128, 192], 8, 256, None)),
    (math.inf, "50 M parameters", (None, [48, 96, 160, 256], 12, 512, 8)),
)


class Suggestion(NamedTuple):
    """A setting with its reason; a section's name as key makes the reason a comment on the section."""

    key: str
    value: Any
    reason: str = ""


def suggest_text(texts: Sequence[str]) -> List[Suggestion]:
    """corpus.case and corpus.words for these training texts."""
    words = {word for text in texts for word in text.split()}
    folded = len({word.lower() for word in words})
    suggestions = []
    if folded < len(words):
        reason = f"{len(words):,} distinct words in training, {folded:,} without letter case"
        suggestions.append(Suggestion("corpus.case", "lower", reason))
    symbols = len({symbol for word in words for symbol in word})
    runs = [run for text in texts for run in HAN_RUN.findall(text)]
    unspaced = len("".join(runs)) > 3 * len(runs)  # Chinese words have 1 or 2 characters, rarely 4
    if symbols > LARGE_ALPHABET and unspaced and any(re.search("[A-Za-z]", word) for word in words):
        reason = "Chinese characters without spaces between words, and Latin words"
        suggestions.append(Suggestion("corpus.words", "mixed", reason))
    elif symbols > LARGE_ALPHABET and sum(len(text.split()) for text in texts) < 1.5 * len(texts):
        reason = f"{symbols} distinct characters, and no spaces between words"
        suggestions.append(Suggestion("corpus.words", "characters", reason))
        suggestions.append(Suggestion("score.unit", "character"))
    return suggestions


def suggest_settings(
    train: Sequence[ValidUtterance], dev: Sequence[ValidUtterance], units: Optional[str] = None
) -> List[Suggestion]:
    """Features, units, model size, training and decoding, for utterances with normalised text.

    `units`: units.kind, if it is given; phones don't spell words.
    """
    hours = sum(valid.seconds for valid in train) / 3600
    texts = [valid.text for valid in train]
    about, sizes = next((about, sizes) for most, about, sizes in SIZES if hours <= most)
    size = {name: value for name, value in zip(SIZE_SETTINGS, sizes) if value is not None}
    if "attention_dim" in size:
        size["feedforward_dim"] = 4 * size["attention_dim"]
    suggested = _suggest_units([word for text in texts for word in text.split()])
    return [
        *_suggest_features(min(valid.audio.sampling_rate for valid in train)),
        *(each for each in suggested if units in (None, "bpe") or each.key != "units.vocabulary_size"),
        Suggestion("model", None, f"for {hours:.2f} hours, {about}"),
        *(Suggestion(f"model.{name}", value) for name, value in size.items()),
        *_suggest_training(hours),
        *([] if units == "phones" else _suggest_methods(texts, [valid.text for valid in dev])),
    ]


def _suggest_features(rate: int) -> List[Suggestion]:
    if rate >= FeaturesConfig().sampling_rate:
        return []
    return [
        Suggestion("features.sampling_rate", rate, "as recorded: a higher one adds empty bins"),
        Suggestion("features.bins", 40, f"for the {rate // 2} Hz of bandwidth"),
    ]


def _suggest_units(words: Sequence[str]) -> List[Suggestion]:
    symbols = len({symbol for word in words for symbol in word})
    pieces = min(MAX_PIECES, sum(map(len, words)) // LETTERS_PER_PIECE)
    found = f"{symbols} distinct characters, {len(words):,} words of training text"
    if symbols > LARGE_ALPHABET:
        return [Suggestion("units.kind", "characters", f"{found}: each is a syllable or a word")]
    if pieces < 2 * symbols:
        return [Suggestion("units.kind", "characters", f"{found}: word pieces would be too rare")]
    return [
        Suggestion("units.kind", "bpe", found),
        Suggestion("units.vocabulary_size", pieces, "so that each piece occurs about 100 times or more"),
    ]


def _suggest_training(hours: float) -> List[Suggestion]:
    default, factors = TrainConfig(), len(FeaturesConfig().speed_factors)
    batch = next(size for most, size in BATCHES if hours < most)
    steps = max(1.0, factors * 3600 * hours / batch)
    epochs = min(MAX_EPOCHS, max(MIN_EPOCHS, round(STEPS / steps)))
    about = f"of about {math.ceil(steps):,} steps, each utterance at {factors} speeds"
    suggestions = [Suggestion("train.epochs", epochs, about)]
    if batch != default.batch_duration:
        small = batch < default.batch_duration
        reason = "small, because there is little speech"
        if not small:
            reason = "if memory is short, train.gradient_accumulation"
        suggestions.append(Suggestion("train.batch_duration", int(batch), f"seconds; {reason}"))
    warmup = max(1, min(MAX_WARMUP, round(epochs * steps / 20)))
    if not default.warmup_steps / 2 <= warmup <= default.warmup_steps * 5:
        reason = f"5 % of all steps, at most {MAX_WARMUP:,}"
        suggestions.append(Suggestion("train.warmup_steps", warmup, reason))
    return suggestions


def _suggest_methods(train: Sequence[str], dev: Sequence[str]) -> List[Suggestion]:
    """Lexicon-free decoding too, if dev has many OOV words whose characters occur in training."""
    known = {word for text in train for word in text.split()}
    symbols = {symbol for word in known for symbol in word}
    words = [word for text in dev for word in text.split()]
    unknown = sum(word not in known and symbols.issuperset(word) for word in words)
    if unknown <= MAX_OOV * len(words):
        return []
    reason = f"{unknown:,} of {len(words):,} words of dev are OOV; 1best decodes those of lm.text only"
    return [Suggestion("decode.methods", ["greedy", "prefix-beam-search", "1best"], reason)]

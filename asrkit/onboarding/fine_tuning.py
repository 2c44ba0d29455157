"""Settings for fine-tuning the model of an experiment: the model's own, and the letter case of its words."""

import collections
from pathlib import Path
from typing import Iterable, List, Literal, Optional, Sequence, Set

from asrkit.config import CorpusConfig, RecipeConfig, flatten
from asrkit.config.checks import DEFAULTS, settings_without_effect
from asrkit.corpus.text import normalise_text
from asrkit.errors import UserError
from asrkit.onboarding.suggestion import Suggestion
from asrkit.pipeline.experiment import open_experiment
from asrkit.storage.tensors import read_metadata
from asrkit.text.lexicon import read_lexicon

COPIED = (
    *("features.", "signal.", "units.", "model.", "average.prior_scale"),
    *("corpus.case", "corpus.words"),  # otherwise the model's units couldn't spell the new text
)
# These define what the model's outputs mean, or how it can be decoded; copied unless they have defaults
OF_TRAINING = (
    *("train.chunk", "train.criterion", "train.ctc", "train.ctc_weight"),
    *("train.topology", "train.optional_silence"),
    *("graph.topology", "graph.optional_silence", "graph.silence_probability"),
)
OWN = ("features.speed_factors", "features.shard_utterances")
EPOCHS = 5
ONE_CASE = 0.99  # share of letters in one case; words such as <unk> and sil may be in the other
LARGEST_NEW = 0.5  # share of new characters in the training text; if it is larger, the script is another

Case = Literal["upper", "lower"]


def settings_of_model(place: Path) -> List[Suggestion]:
    """Settings to fine-tune a model: its own, its lexicon if it has phones, and its language models."""
    config = open_experiment(place).config
    settings = [
        Suggestion("train.init_from", str(place), "the model to fine-tune"),
        Suggestion("model", None, "that of train.init_from"),
        *_training(place, config),
    ]
    if config.units.kind == "phones":
        lexicon = str(place / "units" / "lexicon.txt")
        settings.append(Suggestion("units.lexicon", lexicon, "with the units of the model"))
    return settings + _language_models(place, config) + _copied(config)


def _training(place: Path, config: RecipeConfig) -> List[Suggestion]:
    """A lower learning rate, and what counters forgetting, unless the model was pruned."""
    rate, model = config.train.learning_rate, place / "average" / "model.safetensors"
    epochs = Suggestion("train.epochs", EPOCHS, "few, against forgetting; choose their number on dev")
    if model.is_file() and "pruned" in read_metadata(model, check=False).get("made_of", {}):
        # Its weights make many errors until they are trained, so the average has no share of them
        reason = "two fifths of the model's, since pruning changed it"
        return [epochs, Suggestion("train.learning_rate", round(0.4 * rate, 6), reason)]
    settings = [
        epochs,
        Suggestion("train.learning_rate", round(rate / 10, 6), "a tenth of the model's"),
        Suggestion("average.initial_share", 0.3, "share of the initial model, against forgetting"),
    ]
    if (place / "features" / f"{config.corpus.train}_cuts.jsonl.gz").is_file():
        reason = "share of the model's own training data, against forgetting"
        settings.append(Suggestion("train.replay", 0.3, reason))
    return settings


def _language_models(place: Path, config: RecipeConfig) -> List[Suggestion]:
    """The model's n-grams, interpolated with those of the new transcripts: a few minutes of speech have few
    of the words that the model can recognise."""
    if not (place / "lm" / "lm.arpa").is_file():
        return []
    settings = [
        Suggestion("lm.arpa", str(place / "lm" / "lm.arpa"), "that of the model to fine-tune"),
        Suggestion("lm.interpolate", True, "with the n-grams of the new transcripts, weighted on dev"),
    ]
    order = config.lm.rescore_order
    larger = place / "lm" / f"rescore.{order}.arpa"
    if order is not None and larger.is_file():
        settings += [Suggestion("lm.rescore_order", order), Suggestion("lm.rescore_arpa", str(larger))]
    return settings


def _copied(config: RecipeConfig) -> List[Suggestion]:
    """Settings that must stay as in the model to fine-tune."""
    defaults = flatten(DEFAULTS)
    left_out = {*OWN, *settings_without_effect(config)}  # load_config refuses the latter
    return [
        Suggestion(key, value, "as in the model to fine-tune")
        for key, value in flatten(config).items()
        if (key.startswith(COPIED) or (key in OF_TRAINING and value != defaults[key]))
        and value is not None
        and key not in left_out
    ]


def fit_to_model(
    place: Path, texts: Sequence[str], corpus: CorpusConfig, case_given: bool
) -> List[Suggestion]:
    """Suggest corpus.case if all words of the model have one letter case and `texts` another.

    `case_given`: the user chose corpus.case, so it stays. Raises UserError if most characters of the texts
    are in no word of the model.
    """
    file = place / "units" / "lexicon.txt"
    if not file.is_file():
        todo = "run the stages of that experiment, or correct --init-from"
        raise UserError(f"{place} has no units", "an experiment with a trained model", str(file), todo)
    words = [entry.word for entry in read_lexicon(file)]
    case = None if case_given else _only_case(words)
    fitted = corpus if case is None else CorpusConfig(module="", case=case, words=corpus.words)
    normalised = [normalise_text(text, fitted) for text in texts]
    _refuse_new_script(place, set().union(*words), normalised)
    if case is None or normalised == list(texts):
        return []
    return [Suggestion("corpus.case", case, "letter case of the model's words")]


def describe_new_characters(place: Path, texts: Iterable[str]) -> List[str]:
    """A line about characters of normalised texts that no word of the model has, such as punctuation."""
    known = set().union(*(entry.word for entry in read_lexicon(place / "units" / "lexicon.txt")))
    new = collections.Counter(character for text in texts for character in text if character not in known)
    new.pop(" ", None)
    if not new:
        return []
    shown = "  ".join(f"{character} ({count})" for character, count in new.most_common(10))
    found = f"{len(new)} character{'s' * (len(new) > 1)} that no word of the model has: {shown}"
    return [f"{found}; remove punctuation from the transcripts: the model doesn't know it"]


def _only_case(words: Iterable[str]) -> Optional[Case]:
    cases = collections.Counter(
        letter == letter.upper() for word in words for letter in word if letter.lower() != letter.upper()
    )
    for is_upper, count in cases.items():
        if count >= ONE_CASE * sum(cases.values()):
            return "upper" if is_upper else "lower"
    return None


def _refuse_new_script(place: Path, known: Set[str], texts: Iterable[str]) -> None:
    counts = collections.Counter(character for text in texts for character in "".join(text.split()))
    new = collections.Counter({one: count for one, count in counts.items() if one not in known})
    share = sum(new.values()) / max(1, sum(counts.values()))
    if share > LARGEST_NEW:
        shown = " ".join(character for character, _ in new.most_common(10))
        raise UserError(
            f"{share:.0%} of the characters of the training text are new to the model: {shown}",
            f"the letters of the words in {place}",
            "--init-from",
            "set corpus.case or correct --from; or leave out --init-from, for a new model",
        )

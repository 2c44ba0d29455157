"""The language models of a recipe: from training text, with their perplexity on dev."""

import functools
import random
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional, Set, Tuple

from asrkit.config.methods import beyond_unigrams
from asrkit.config.recipe import LmConfig, NeuralLmConfig, RecipeConfig
from asrkit.config.symbols import UNKNOWN
from asrkit.corpus.cuts import read_transcripts
from asrkit.corpus.text import normalise_word
from asrkit.errors import UserError
from asrkit.lm.arpa import copy_arpa, ngram_counts, read_arpa, write_arpa
from asrkit.lm.interpolation import interpolate
from asrkit.lm.kenlm import BINARY, estimate_with_lmplz, load_kenlm, write_binary
from asrkit.lm.kneser_ney import estimate
from asrkit.lm.model import NgramModel
from asrkit.lm.perplexity import perplexity
from asrkit.lm.pruning import prune
from asrkit.pipeline.experiment import Experiment
from asrkit.storage.files import scratch_folder, write_json, write_text
from asrkit.text.bpe import bpe_spelling, train_bpe
from asrkit.text.extra_text import read_extra_text
from asrkit.text.units import load_units, read_symbols

SEED = 1
BPE_SENTENCES = 100_000  # that pieces are trained on


def build_language_models(experiment: Experiment) -> None:
    """Write lm/lm.arpa, those of lm.rescore_order and lm.neural if they are set, and lm/report.json."""
    config, lm, folder = experiment.config, experiment.config.lm, experiment.folder("lm")
    dev = read_transcripts(experiment, config.corpus.dev)
    interpolation: List[Dict[str, Any]] = []
    word_rule = functools.partial(normalise_word, config=config.corpus)
    models: List[Tuple[Path, Optional[str], Optional[int], int, float]]
    models = [(folder / "lm.arpa", lm.arpa, None, lm.order, lm.prune)]
    if (larger := lm.rescore_order) is not None:
        models.append((folder / f"rescore.{larger}.arpa", lm.rescore_arpa, larger, larger, 0.0))
    with scratch_folder(folder / "sorting") as scratch:
        texts, sentences, held_out = write_texts(experiment, scratch)
        for arpa, given, wanted, order, threshold in models:
            if given is None:
                interpolation += _write_model(lm, order, texts, dev, arpa, threshold)
            else:
                found = copy_given_model(experiment.named(given), arpa, wanted, word_rule)
                print(f"lm: {given}, of order {found}")
                if lm.interpolate:
                    interpolation += _add_transcripts(lm, given, found, texts[0], dev, arpa)
            if arpa.name == "lm.arpa":
                _refuse_unigrams(config, arpa)
            if write_binary(arpa):
                print(f"lm: {arpa.stem}{BINARY}, which kenlm maps into memory")
        report = _measure(config, folder / "lm.arpa", sentences, dev)
        report.update(heldout_in_text=held_out, interpolation=interpolation)
        ((split, ngram),) = report["perplexity_known"].items()
        for name, neural in (("neural", lm.neural), ("second_neural", lm.second_neural)):
            if neural.layers is not None or neural.path is not None:
                known = _write_neural(experiment, neural, texts, dev, folder / f"{name}.safetensors")
                report[name] = {"perplexity_known": {split: known}}
                by = f"{known:.2f} by lm.{name}, {ngram:.2f} by n-grams"
                print(f"lm: {split}: perplexity of known words {by}")
        write_json(folder / "report.json", report)


def _refuse_unigrams(config: RecipeConfig, arpa: Path) -> None:
    """Raise UserError for a unigram model if a method needs more, before hours of training."""
    methods = beyond_unigrams(config.decode.methods)
    if methods and len(ngram_counts(arpa)) == 1:
        given, prune = config.lm.arpa, config.lm.prune
        setting, todo = (
            ("lm.arpa", "name a larger model in lm.arpa") if given else ("lm.prune", "set a smaller lm.prune")
        )
        found = f"{given} is an n-gram model of order 1" if given else f"lm.prune {prune:g} left no 2-grams"
        expected = f"a model of order 2 or more, for {', '.join(methods)}"
        raise UserError(found, expected, setting, f"{todo}, or choose other decode.methods")


def _write_neural(
    experiment: Experiment, neural: NeuralLmConfig, texts: List[Path], dev: List[str], file: Path
) -> float:
    """Train a neural model or refer to the one of lm.neural.path; its perplexity of known words."""
    from asrkit.lm.neural import train_neural, write_pretrained  # imports torch, unlike all else here

    if neural.path is not None:
        return write_pretrained(experiment.named(neural.path), dev, file)
    lines = [line for text in texts for line in text.read_text(encoding="utf-8").splitlines()]
    return train_neural(neural, lines, dev, file, spell_words(experiment, neural, lines, dev))


def spell_words(
    experiment: Experiment, neural: NeuralLmConfig, lines: List[str], dev: List[str]
) -> Optional[Dict[str, List[str]]]:
    """The tokens of each word of text, dev and graph; None: each word is one. See lm.neural.tokens."""
    if neural.tokens == "words":
        return None
    units = load_units(experiment.folder("units"))
    words = dict.fromkeys(word for line in [*lines, *dev] for word in line.split())
    words.update(dict.fromkeys(entry.word for entry in units.lexicon))
    if neural.tokens == "pieces":
        return _spell_by_pieces(words, lines, neural.pieces)
    return {word: [units.symbols[unit] for unit in units.encode(word)] for word in words}


def _spell_by_pieces(words: Iterable[str], lines: List[str], pieces: int) -> Dict[str, List[str]]:
    """BPE pieces of each word, trained on some of the text; a word with other characters has none."""
    few = random.Random(SEED).sample(lines, min(len(lines), BPE_SENTENCES))
    spell = bpe_spelling(train_bpe(pieces, few, "lm.neural.pieces"))
    known = set("".join(few))
    spelled = {word: list(spell(word)) for word in words if known.issuperset(word)}
    others = [word for word in words if word not in spelled]
    if others:
        some = " ".join(others[:5])
        print(f"lm: neural, {len(others):,} words with characters that no piece has are <unk>: {some}")
    return spelled


def copy_given_model(
    source: Path, arpa: Path, order: Optional[int] = None, normalise: Callable[[str], str] = str
) -> int:
    """copy_arpa, and UserError for a model that kenlm can't read either."""
    found = copy_arpa(source, arpa, order, normalise)
    if found > 1:
        load_kenlm(arpa, given=source)
    return found


def _measure(config: RecipeConfig, arpa: Path, sentences: int, dev: List[str]) -> Dict[str, Any]:
    """The n-gram model's part of lm/report.json."""
    split, counts = config.corpus.dev, ngram_counts(arpa)
    measured = perplexity(arpa, dev, where=f"the transcripts of {split}")
    listing = ", ".join(f"{count:,} {order}-grams" for order, count in enumerate(counts, start=1))
    print(
        f"lm: {listing} by {config.lm.arpa or config.lm.estimator}; {split}: perplexity "
        f"{measured.perplexity:.2f}, {measured.oov} of {measured.words} words out of vocabulary"
    )
    return {
        "order": len(counts),
        "estimator": config.lm.arpa or config.lm.estimator,
        "sentences": sentences,
        "ngrams": counts,
        "perplexity": {split: measured.perplexity},
        "perplexity_known": {split: measured.perplexity_known},
        "oov": {split: [measured.oov, measured.words]},
    }


def write_texts(experiment: Experiment, scratch: Path) -> Tuple[List[Path], int, Dict[str, Tuple[int, int]]]:
    """Files of training text, one sentence per line: one, or two to interpolate the models of; the number of
    sentences; and for dev and each test set, how many sentences occur in lm.text, and of how many.
    """
    config = experiment.config
    transcripts = read_transcripts(experiment, config.corpus.train)
    texts = [scratch / "transcripts"]
    replaced = _unknown_replaced(experiment)
    write_text(texts[0], "".join(f"{replaced(text)}\n" for text in transcripts))
    if config.lm.text is None:
        return texts, len(transcripts), {}
    splits = dict.fromkeys([config.corpus.dev, *config.corpus.tests])
    held_out = {split: read_transcripts(experiment, split) for split in splits}
    watched = {text for of in held_out.values() for text in of}
    found: Set[str] = set()
    sentences = len(transcripts)
    if config.lm.interpolate:
        texts.append(scratch / "text")
    extra_text = read_extra_text(experiment.named(config.lm.text), config.corpus, config.lm.text_sentences)
    with open(texts[-1], "a", encoding="utf-8", newline="\n") as stream:
        for sentence in extra_text:
            sentences += 1
            if sentence in watched:
                found.add(sentence)
            stream.write(replaced(sentence) + "\n")
    counts = {split: (sum(text in found for text in of), len(of)) for split, of in held_out.items()}
    print(f"lm: {sentences - len(transcripts):,} sentences of {config.lm.text}")
    for split, (shared, total) in counts.items():
        print(f"lm: {shared} of {total} sentences of {split} occur in {config.lm.text}")
    return texts, sentences, counts


def _unknown_replaced(experiment: Experiment) -> Callable[[str], str]:
    """Replaces words that words.txt lacks by units.unknown_word, and white space by single spaces."""
    given = experiment.config.units.unknown_word
    if given is None:
        return lambda text: " ".join(text.split())
    unknown = normalise_word(given, experiment.config.corpus)
    known = set(read_symbols(experiment.folder("units") / "words.txt"))
    return lambda text: " ".join(word if word in known else unknown for word in text.split())


def _write_model(
    lm: LmConfig, order: int, texts: List[Path], dev: List[str], arpa: Path, threshold: float
) -> List[Dict[str, Any]]:
    """Write the pruned model of one text, or mixture of two; returns the mixture's entry in the report."""
    if len(texts) == 1 and threshold == 0 and lm.estimator == "lmplz":
        _write_with_lmplz(lm, order, texts[0], arpa)
        return []
    models = [_estimate(lm, order, text, arpa) for text in texts]
    report: List[Dict[str, Any]] = []
    if len(texts) == 2:
        mixture, report = _mix(models[0], models[1], dev, ("text", f"those of {lm.text}"))
        models = [mixture]
    if threshold > 0:
        before = sum(models[0].counts)
        models = [prune(models[0], threshold)]
        print(f"lm: {sum(models[0].counts):,} of {before:,} n-grams are left by lm.prune {threshold:g}")
    write_arpa(models[0], arpa)
    return report


def _add_transcripts(
    lm: LmConfig, given: str, order: int, transcripts: Path, dev: List[str], arpa: Path
) -> List[Dict[str, Any]]:
    """Replace the copy of a given model by its mixture with the transcripts'; its entry in the report."""
    model = read_arpa(arpa)
    if UNKNOWN not in model.vocabulary:
        found, todo = f"{given} has no {UNKNOWN}", "--set lm.interpolate=false uses it as it is"
        raise UserError(found, f"a model with {UNKNOWN}, to interpolate it", "lm.interpolate", todo)
    own = _estimate(lm, order, transcripts, transcripts.with_suffix(".arpa"))
    mixture, report = _mix(own, model, dev, ("given", given))
    write_arpa(mixture, arpa)
    return report


def _estimate(lm: LmConfig, order: int, text: Path, arpa: Path) -> NgramModel:
    """The model of a text by lm.estimator; lmplz writes it to `arpa`."""
    if lm.estimator == "lmplz":
        _write_with_lmplz(lm, order, text, arpa)
        return read_arpa(arpa)
    with open(text, encoding="utf-8", newline="\n") as sentences:
        model, discounts = estimate(sentences, order, _min_counts(lm, order), scratch=text.parent)
    for length, one in enumerate(discounts, start=1):
        if one.fallback:
            values = " ".join(map(str, one.values))
            print(f"lm: {length}-grams: {one.fallback}; fallback discounts {values}")
    return model


def _write_with_lmplz(lm: LmConfig, order: int, text: Path, arpa: Path) -> None:
    with open(text, encoding="utf-8", newline="\n") as sentences:
        for line in estimate_with_lmplz(sentences, order, arpa, _min_counts(lm, order), scratch=text.parent):
            print(f"lm: {line}")


def _min_counts(lm: LmConfig, order: int) -> List[int]:
    """One count per order; the last that is set is also that of higher orders."""
    return [*lm.min_counts, *lm.min_counts[-1:] * order][:order]


def _mix(
    own: NgramModel, other: NgramModel, dev: List[str], named: Tuple[str, str]
) -> Tuple[NgramModel, List[Dict[str, Any]]]:
    """The mixture of the transcripts' model and another, and its entry in the report.

    `named`: the other one's name in the report, and in print.
    """
    mixture, weight, perplexities = interpolate(own, other, dev, "the transcripts of corpus.dev")
    first, second, both = perplexities
    print(
        f"lm: {len(own.tables)}-grams of the transcripts (perplexity {first:.2f} on dev) weigh {weight:.3f}, "
        f"{named[1]} ({second:.2f}) {1 - weight:.3f}: {both:.2f} together"
    )
    of_models = dict(zip(("transcripts", named[0], "mixture"), perplexities))
    order = len(own.tables)
    return mixture, [{"order": order, "weight_of_transcripts": weight, "perplexity_known": of_models}]

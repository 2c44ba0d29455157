"""The language models of a recipe: from training text, with their perplexity on dev."""

import functools
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Set, Tuple

from asrkit.config.recipe import LmConfig
from asrkit.corpus.cuts import Supervision
from asrkit.corpus.text import normalise_word
from asrkit.lm.arpa import copy_arpa, ngram_counts, read_arpa, write_arpa
from asrkit.lm.interpolation import Interpolation, interpolate
from asrkit.lm.kenlm_model import BINARY
from asrkit.lm.kneser_ney import Discounts, estimate
from asrkit.lm.lmplz import estimate_with_lmplz, write_binary
from asrkit.lm.model import NgramModel
from asrkit.lm.perplexity import perplexity
from asrkit.lm.pruning import prune
from asrkit.pipeline.experiment import Experiment
from asrkit.storage.files import read_json, read_jsonl, scratch_folder, write_json, write_text
from asrkit.text.further_text import read_further_text
from asrkit.text.units import read_symbols


def build_language_models(experiment: Experiment) -> None:
    """Write lm/lm.arpa, that of lm.rescore_order where it is set, and lm/report.json."""
    lm = experiment.config.lm
    arpa = experiment.folder("lm") / "lm.arpa"
    dev = _transcripts(experiment, experiment.config.corpus.dev)
    interpolation: List[Dict[str, Any]] = []
    word_rule = functools.partial(normalise_word, config=experiment.config.corpus)
    with scratch_folder(experiment.folder("lm") / "sorting") as scratch:
        texts, sentences, held_out = _write_texts(experiment, scratch)
        if lm.arpa is not None:
            order = copy_arpa(experiment.named(lm.arpa), arpa, normalise=word_rule)
            print(f"lm: {lm.arpa}, of order {order}")
        else:
            interpolation += _write_model(lm, lm.order, texts, dev, arpa, lm.prune)
        if lm.rescore_order is not None:
            larger = experiment.folder("lm") / f"rescore.{lm.rescore_order}.arpa"
            if lm.rescore_arpa is not None:
                copy_arpa(experiment.named(lm.rescore_arpa), larger, lm.rescore_order, word_rule)
            else:
                interpolation += _write_model(lm, lm.rescore_order, texts, dev, larger, threshold=0)
        for file in (arpa, *([larger] if lm.rescore_order is not None else [])):
            if write_binary(file):
                print(f"lm: {file.stem}{BINARY}, which kenlm maps into memory")
        further_report = {"heldout_in_text": held_out, "interpolation": interpolation}
        _report(experiment, arpa, sentences, dev, further_report)
        if lm.neural.layers is not None:
            _train_neural(experiment, texts, dev)


def _write_texts(experiment: Experiment, scratch: Path) -> Tuple[List[Path], int, Dict[str, Tuple[int, int]]]:
    """Files of training text, one for each model to mix, a sentence a line; the number of sentences; and how
    many of the sentences of dev and each test set are in lm.text, of how many.
    """
    config = experiment.config
    transcripts = _transcripts(experiment, config.corpus.train)
    texts = [scratch / "transcripts"]
    replaced = _unknown_replaced(experiment)
    write_text(texts[0], "".join(f"{replaced(text)}\n" for text in transcripts))
    if config.lm.text is None:
        return texts, len(transcripts), {}
    splits = dict.fromkeys([config.corpus.dev, *config.corpus.tests])
    held_out = {split: _transcripts(experiment, split) for split in splits}
    watched = {text for of in held_out.values() for text in of}
    found: Set[str] = set()
    read = left_out = 0
    if config.lm.interpolate:
        texts.append(scratch / "text")
    with open(texts[-1], "a", encoding="utf-8", newline="\n") as stream:
        for sentence in read_further_text(
            experiment.named(config.lm.text), config.corpus, config.lm.text_sentences
        ):
            read += 1
            if sentence in watched:
                found.add(sentence)
                if config.lm.exclude_heldout:
                    left_out += 1
                    continue
            stream.write(replaced(sentence) + "\n")
    counts = {split: (sum(text in found for text in of), len(of)) for split, of in held_out.items()}
    print(f"lm: {read:,} sentences of {config.lm.text}")
    for split, (shared, total) in counts.items():
        print(f"lm: {shared} of {total} sentences of {split} occur in {config.lm.text}")
    if left_out:
        print(f"lm: {left_out:,} sentences of {config.lm.text} are left out for that")
    return texts, len(transcripts) + read - left_out, counts


def _unknown_replaced(experiment: Experiment) -> Callable[[str], str]:
    """A text with units.unknown_word in the place of words that words.txt lacks, and single spaces."""
    given = experiment.config.units.unknown_word
    if given is None:
        return lambda text: " ".join(text.split())
    unknown = normalise_word(given, experiment.config.corpus)
    known = set(read_symbols(experiment.folder("units") / "words.txt"))
    return lambda text: " ".join(word if word in known else unknown for word in text.split())


def _write_model(
    lm: LmConfig, order: int, texts: List[Path], dev: List[str], arpa: Path, threshold: float
) -> List[Dict[str, Any]]:
    """Write the pruned model of one text, or mixture of two; gives what the report says of a mixture."""
    # The last count stands for higher orders too
    min_counts = [*lm.min_counts, *lm.min_counts[-1:] * order][:order]
    whole = len(texts) == 1 and threshold == 0 and lm.estimator == "lmplz"  # the file is ready then
    models: List[NgramModel] = []
    for text in texts:
        with open(text, encoding="utf-8", newline="\n") as sentences:
            if lm.estimator == "lmplz":
                fallbacks = estimate_with_lmplz(
                    sentences, order, arpa, min_counts=min_counts, scratch=text.parent
                )
                models += [] if whole else [read_arpa(arpa)]
            else:
                result = estimate(sentences, order, min_counts=min_counts, scratch=text.parent)
                fallbacks = _fallbacks(result.discounts)
                models.append(result.model)
        for line in fallbacks:
            print(f"lm: {line}")
    report: List[Dict[str, Any]] = []
    if len(texts) == 2:
        mixture = interpolate(models[0], models[1], dev, where="the transcripts of corpus.dev")
        models = [mixture.model]
        report = [_report_mixture(mixture, order, str(lm.text))]
    if threshold > 0:
        before = sum(models[0].counts)
        models = [prune(models[0], threshold)]
        print(f"lm: {sum(models[0].counts):,} of {before:,} n-grams are left by lm.prune {threshold:g}")
    if not whole:
        write_arpa(models[0], arpa)
    return report


def _fallbacks(discounts: Sequence[Discounts]) -> List[str]:
    return [
        f"{order}-grams: {one.fallback}; took the fall-back discounts {' '.join(map(str, one.values))}"
        for order, one in enumerate(discounts, start=1)
        if one.fallback
    ]


def _report_mixture(mixture: Interpolation, order: int, text: str) -> Dict[str, Any]:
    first, second, both = mixture.perplexities
    print(
        f"lm: {order}-grams of the transcripts (perplexity {first:.2f} on dev) weigh {mixture.weight:.3f}, "
        f"those of {text} ({second:.2f}) {1 - mixture.weight:.3f}: {both:.2f} together"
    )
    perplexities = {"transcripts": first, "text": second, "mixture": both}
    return {"order": order, "weight_of_transcripts": mixture.weight, "perplexity_known": perplexities}


def _train_neural(experiment: Experiment, texts: List[Path], dev: List[str]) -> None:
    """Write lm/neural.safetensors, and to the report its perplexity beside that of the n-gram."""
    from asrkit.lm.neural import train_neural  # torch, which this stage else does without

    split, report = experiment.config.corpus.dev, read_json(experiment.folder("lm") / "report.json")
    file = experiment.folder("lm") / "neural.safetensors"
    sentences = [line for text in texts for line in text.read_text(encoding="utf-8").splitlines()]
    perplexity = train_neural(experiment.config.lm.neural, sentences, dev, file)
    report["neural"] = {"perplexity_known": {split: perplexity}}
    write_json(experiment.folder("lm") / "report.json", report)
    ngram = report["perplexity_known"][split]
    print(f"lm: {split}: perplexity of known words {perplexity:.2f} by lm.neural, {ngram:.2f} by n-grams")


def _transcripts(experiment: Experiment, split: str) -> List[str]:
    rows = read_jsonl(experiment.folder("manifests") / f"{split}_supervisions.jsonl.gz", Supervision)
    return [str(row["text"]) for row in rows]


def _report(
    experiment: Experiment, arpa: Path, sentences: int, dev: List[str], further: Dict[str, Any]
) -> None:
    config = experiment.config
    split = config.corpus.dev
    counts = ngram_counts(arpa)
    measured = perplexity(arpa, dev, where=f"the transcripts of {split}")
    report = {
        "order": len(counts),
        "estimator": config.lm.arpa or config.lm.estimator,
        "sentences": sentences,
        "ngrams": counts,
        "perplexity": {split: measured.perplexity},
        "perplexity_known": {split: measured.perplexity_known},
        "oov": {split: [measured.oov, measured.words]},
        **further,
    }
    write_json(experiment.folder("lm") / "report.json", report)
    listing = ", ".join(f"{count:,} {order}-grams" for order, count in enumerate(counts, start=1))
    print(
        f"lm: {listing} by {config.lm.arpa or config.lm.estimator}; {split}: perplexity "
        f"{measured.perplexity:.2f}, {measured.oov} of {measured.words} words out of vocabulary"
    )

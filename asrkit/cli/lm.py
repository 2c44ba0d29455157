"""Stage 4: the n-gram language model from training text, and its perplexity on dev."""

from pathlib import Path
from typing import List

from asrkit.lm.arpa import copy_arpa, ngram_counts, write_arpa
from asrkit.lm.kneser_ney import estimate
from asrkit.lm.lmplz import estimate_with_lmplz
from asrkit.lm.perplexity import perplexity
from asrkit.pipeline.experiment import Experiment
from asrkit.storage.files import read_jsonl, write_json
from asrkit.text.further_text import read_further_text


def run(experiment: Experiment) -> None:
    """Write lm/lm.arpa, that of lm.rescore_order where it is set, and lm/report.json."""
    config = experiment.config
    arpa = experiment.lm / "lm.arpa"
    sentences = _transcripts(experiment, config.corpus.train)
    if config.lm.text is not None:
        further = read_further_text(experiment.named(config.lm.text), config.corpus)
        print(f"lm: {len(further):,} sentences of {config.lm.text}")
        sentences += further
    if config.lm.arpa is not None:
        print(f"lm: {config.lm.arpa}, of order {copy_arpa(experiment.named(config.lm.arpa), arpa)}")
    else:
        _estimate(config.lm.estimator, config.lm.order, sentences, arpa)
    if config.lm.rescore_order is not None:
        larger = experiment.lm / f"rescore.{config.lm.rescore_order}.arpa"
        if config.lm.rescore_arpa is not None:
            given = experiment.named(config.lm.rescore_arpa)
            copy_arpa(given, larger, config.lm.rescore_order)
        else:
            _estimate(config.lm.estimator, config.lm.rescore_order, sentences, larger)
    _report(experiment, arpa, len(sentences))


def _estimate(estimator: str, order: int, sentences: List[str], arpa: Path) -> None:
    fallbacks: List[str]
    if estimator == "lmplz":
        fallbacks = estimate_with_lmplz(sentences, order, arpa)
    else:
        result = estimate(sentences, order)
        write_arpa(result.model, arpa)
        fallbacks = [
            f"{row}-grams: {discounts.fallback}; took the fall-back discounts "
            + " ".join(map(str, discounts.values))
            for row, discounts in enumerate(result.discounts, start=1)
            if discounts.fallback
        ]
    for line in fallbacks:
        print(f"lm: {line}")


def _transcripts(experiment: Experiment, split: str) -> List[str]:
    rows = read_jsonl(experiment.manifests / f"{split}_supervisions.jsonl.gz")
    return [str(row["text"]) for row in rows]


def _report(experiment: Experiment, arpa: Path, sentences: int) -> None:
    config = experiment.config
    split = config.corpus.dev
    counts = ngram_counts(arpa)
    measured = perplexity(arpa, _transcripts(experiment, split), where=f"the transcripts of {split}")
    report = {
        "order": len(counts),
        "estimator": config.lm.arpa or config.lm.estimator,
        "sentences": sentences,
        "ngrams": counts,
        "perplexity": {split: measured.perplexity},
        "perplexity_known": {split: measured.perplexity_known},
        "oov": {split: [measured.oov, measured.words]},
    }
    write_json(experiment.lm / "report.json", report)
    listing = ", ".join(f"{count:,} {order}-grams" for order, count in enumerate(counts, start=1))
    print(
        f"lm: {listing} by {config.lm.arpa or config.lm.estimator}; {split}: perplexity "
        f"{measured.perplexity:.2f}, {measured.oov} of {measured.words} words out of vocabulary"
    )

"""Stage 4: the n-gram language model from training text, and its perplexity on dev."""

from pathlib import Path
from typing import List

from asrkit.lm.arpa import ngram_counts, write_arpa
from asrkit.lm.kneser_ney import estimate
from asrkit.lm.lmplz import estimate_with_lmplz
from asrkit.lm.perplexity import perplexity
from asrkit.pipeline.experiment import Experiment
from asrkit.storage.files import read_json, read_jsonl, write_json
from asrkit.text.further_text import read_further_text


def run(experiment: Experiment) -> None:
    """Write lm/lm.arpa, that of lm.rescore_order where it is set, and lm/report.json."""
    config = experiment.config
    arpa = experiment.lm / "lm.arpa"
    sentences = _transcripts(experiment, config.corpus.train)
    if config.lm.text is not None:
        further = read_further_text(experiment.recipe_directory / config.lm.text, config.corpus.case)
        print(f"lm: {len(further):,} sentences of {config.lm.text}")
        sentences += further
    _estimate(config.lm.estimator, config.lm.order, sentences, arpa)
    if config.lm.rescore_order is not None:
        larger = experiment.lm / f"rescore.{config.lm.rescore_order}.arpa"
        _estimate(config.lm.estimator, config.lm.rescore_order, sentences, larger)
    _report(experiment, arpa, len(sentences))
    if config.lm.neural.layers is not None:
        _train_neural(experiment, sentences)


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


def _train_neural(experiment: Experiment, sentences: List[str]) -> None:
    """Write lm/neural.safetensors, and to the report its perplexity beside that of the n-gram."""
    from asrkit.lm.neural import train_neural  # torch, which this stage else does without

    split, report = experiment.config.corpus.dev, read_json(experiment.lm / "report.json")
    file = experiment.lm / "neural.safetensors"
    perplexity = train_neural(experiment.config.lm.neural, sentences, _transcripts(experiment, split), file)
    report["neural"] = {"perplexity_known": {split: perplexity}}
    write_json(experiment.lm / "report.json", report)
    ngram = report["perplexity_known"][split]
    print(f"lm: {split}: perplexity of known words {perplexity:.2f} by lm.neural, {ngram:.2f} by n-grams")


def _transcripts(experiment: Experiment, split: str) -> List[str]:
    rows = read_jsonl(experiment.manifests / f"{split}_supervisions.jsonl.gz")
    return [str(row["text"]) for row in rows]


def _report(experiment: Experiment, arpa: Path, sentences: int) -> None:
    config = experiment.config
    split = config.corpus.dev
    counts = ngram_counts(arpa)
    measured = perplexity(arpa, _transcripts(experiment, split), where=f"the transcripts of {split}")
    report = {
        "order": config.lm.order,
        "estimator": config.lm.estimator,
        "sentences": sentences,
        "ngrams": counts,
        "perplexity": {split: measured.perplexity},
        "perplexity_known": {split: measured.perplexity_known},
        "oov": {split: [measured.oov, measured.words]},
    }
    write_json(experiment.lm / "report.json", report)
    listing = ", ".join(f"{count:,} {order}-grams" for order, count in enumerate(counts, start=1))
    print(
        f"lm: {listing} from {sentences:,} sentences by {config.lm.estimator}; {split}: perplexity "
        f"{measured.perplexity:.2f}, {measured.oov} of {measured.words} words out of vocabulary"
    )

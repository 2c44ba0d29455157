"""Stage 4: the n-gram language model from training text, and its perplexity on dev."""

from pathlib import Path
from typing import Any, Dict, List

from asrkit.config.recipe import LmConfig
from asrkit.lm.arpa import ngram_counts, read_arpa, write_arpa
from asrkit.lm.interpolation import interpolate
from asrkit.lm.kneser_ney import estimate
from asrkit.lm.lmplz import estimate_with_lmplz
from asrkit.lm.model import NgramModel
from asrkit.lm.perplexity import perplexity
from asrkit.pipeline.experiment import Experiment
from asrkit.storage.files import read_jsonl, write_json
from asrkit.text.further_text import read_further_text


def run(experiment: Experiment) -> None:
    """Write lm/lm.arpa, that of lm.rescore_order where it is set, and lm/report.json."""
    lm = experiment.config.lm
    arpa = experiment.lm / "lm.arpa"
    transcripts = _transcripts(experiment, experiment.config.corpus.train)
    further = _further_text(experiment)
    texts = [transcripts, further] if lm.interpolate else [transcripts + further]
    dev = _transcripts(experiment, experiment.config.corpus.dev)
    interpolation = _write_model(lm, lm.order, texts, dev, arpa)
    if lm.rescore_order is not None:
        larger = experiment.lm / f"rescore.{lm.rescore_order}.arpa"
        interpolation += _write_model(lm, lm.rescore_order, texts, dev, larger)
    _report(experiment, arpa, len(transcripts) + len(further), dev, interpolation)


def _further_text(experiment: Experiment) -> List[str]:
    config = experiment.config
    if config.lm.text is None:
        return []
    file = experiment.recipe_directory / config.lm.text
    sentences = read_further_text(file, config.corpus.case, config.lm.text_sentences)
    print(f"lm: {len(sentences):,} sentences of {config.lm.text}")
    return sentences


def _write_model(
    lm: LmConfig, order: int, texts: List[List[str]], dev: List[str], arpa: Path
) -> List[Dict[str, Any]]:
    """Estimate a model of each text; write it, or the mixture of two and what the report says of that."""
    models: List[NgramModel] = []
    for sentences in texts:
        if lm.estimator == "lmplz":
            fallbacks = estimate_with_lmplz(sentences, order, arpa)
            models += [read_arpa(arpa)] if lm.interpolate else []
        else:
            result = estimate(sentences, order)
            fallbacks = [
                f"{row}-grams: {discounts.fallback}; took the fall-back discounts "
                + " ".join(map(str, discounts.values))
                for row, discounts in enumerate(result.discounts, start=1)
                if discounts.fallback
            ]
            models.append(result.model)
        for line in fallbacks:
            print(f"lm: {line}")
    if not lm.interpolate:
        for model in models:
            write_arpa(model, arpa)
        return []
    mixture = interpolate(models[0], models[1], dev, where="the transcripts of corpus.dev")
    write_arpa(mixture.model, arpa)
    first, second, both = mixture.perplexities
    print(
        f"lm: {order}-grams of the transcripts (perplexity {first:.2f} on dev) weigh {mixture.weight:.3f}, "
        f"those of {lm.text} ({second:.2f}) {1 - mixture.weight:.3f}: {both:.2f} together"
    )
    perplexity = {"transcripts": first, "text": second, "mixture": both}
    return [{"order": order, "weight_of_transcripts": mixture.weight, "perplexity_known": perplexity}]


def _transcripts(experiment: Experiment, split: str) -> List[str]:
    rows = read_jsonl(experiment.manifests / f"{split}_supervisions.jsonl.gz")
    return [str(row["text"]) for row in rows]


def _report(
    experiment: Experiment, arpa: Path, sentences: int, dev: List[str], interpolation: List[Dict[str, Any]]
) -> None:
    config = experiment.config
    split = config.corpus.dev
    counts = ngram_counts(arpa)
    measured = perplexity(arpa, dev, where=f"the transcripts of {split}")
    report = {
        "order": config.lm.order,
        "estimator": config.lm.estimator,
        "sentences": sentences,
        "ngrams": counts,
        "perplexity": {split: measured.perplexity},
        "perplexity_known": {split: measured.perplexity_known},
        "oov": {split: [measured.oov, measured.words]},
        "interpolation": interpolation,
    }
    write_json(experiment.lm / "report.json", report)
    listing = ", ".join(f"{count:,} {order}-grams" for order, count in enumerate(counts, start=1))
    print(
        f"lm: {listing} from {sentences:,} sentences by {config.lm.estimator}; {split}: perplexity "
        f"{measured.perplexity:.2f}, {measured.oov} of {measured.words} words out of vocabulary"
    )

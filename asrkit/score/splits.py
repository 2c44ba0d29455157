"""Score every decoded set: listings, files for sclite, results.json and RESULTS.md."""

from typing import Any, Dict, List, Sequence, Tuple

from asrkit.config.methods import METHODS, method_order
from asrkit.errors import UserError
from asrkit.pipeline.cost import read_cost
from asrkit.pipeline.experiment import Experiment
from asrkit.score.breakdown import break_down, calibrate
from asrkit.score.ctm import make_ctm, make_stm, make_trn
from asrkit.score.evaluation import Evaluation, evaluate
from asrkit.score.listing import make_listing
from asrkit.score.normalisation import Tokenise, characters, normalise_transcripts, unit_tokeniser
from asrkit.score.records import RATES, Timing, make_record, summary_lines
from asrkit.score.report import render_results
from asrkit.score.robustness import FOLDER, read_measurements, render_robustness
from asrkit.score.transcripts import Transcript, load_transcripts
from asrkit.storage.files import read_json, write_json, write_text
from asrkit.text.units import load_units
from asrkit.train.earlier_training import count_trained_before


def score_all(experiment: Experiment, methods: Sequence[str] = ()) -> None:
    """Score the test sets, then dev if it was decoded; print the summary last.

    `methods`: those to score; empty: every method that was used to decode.
    """
    corpus = experiment.config.corpus
    results: List[Dict[str, Any]] = []
    for split in dict.fromkeys([*corpus.tests, corpus.dev]):
        folder = experiment.folder("decode") / split
        found = [file.stem.partition("_")[2] for file in folder.glob("hypotheses_*.jsonl")]
        if not found and split in corpus.tests:
            raise UserError(
                f"{split} has not been decoded",
                "hypotheses_{method}.jsonl",
                str(folder),
                "run.sh --stage decode",
            )
        for method in sorted(found, key=method_order):
            if not methods or method in methods:
                results += _score(experiment, split, method)
    facts_file = experiment.folder("manifests") / "statistics.json"
    partial = read_json(facts_file, Dict[str, Any]).get("partial") if facts_file.exists() else None
    counts = count_trained_before(experiment)
    known = {name: f"{number} of {count} utterances" for name, (number, count) in counts.items()}
    results = [
        {**record, "partial": partial, "in_training_data": known.get(record["set"])} for record in results
    ]
    # Not in score/, whose content is reproducible: these hold times
    write_json(experiment.directory / "results.json", results)
    cost = read_cost(experiment)
    robustness = [
        render_robustness(each, f"{FOLDER}/{name}.svg")
        for name, each in read_measurements(experiment).items()
    ]
    text = "\n".join([render_results(experiment.config.name, results, cost), *robustness])
    write_text(experiment.directory / "RESULTS.md", text)
    print("\n".join(summary_lines(results)), flush=True)


def evaluate_transcripts(
    experiment: Experiment, transcripts: Sequence[Transcript], units: Sequence[str]
) -> List[Evaluation]:
    """Evaluations in some of "word", "character" and "unit"; the first two on normalised text."""
    settings = experiment.config.score
    normalised = normalise_transcripts(transcripts, settings.normalise)
    tokenisers: Dict[str, Tuple[Tokenise, Sequence[Transcript]]] = {
        "word": (list, normalised),
        "character": (characters, normalised),
        "unit": (unit_tokeniser(load_units(experiment.folder("units"))), transcripts),
    }
    return [
        evaluate(of, unit, tokenise, settings.bootstrap_samples, settings.confidence)
        for unit in units
        for tokenise, of in [tokenisers[unit]]
    ]


def _score(experiment: Experiment, split: str, method: str) -> List[Dict[str, Any]]:
    """Write the files of a set and method; return a record per unit, that of score.unit first."""
    settings, folder = experiment.config.score, experiment.folder("score")
    transcripts, lost = load_transcripts(experiment, split, method)
    units = sorted(RATES, key=lambda unit: unit != settings.unit)
    evaluations = evaluate_transcripts(experiment, transcripts, units)
    name = f"{split}_{method}"
    of_words = next(each for each in evaluations if each.unit == "word")
    counted, calibration = of_words.transcripts, calibrate(of_words)
    write_text(folder / f"{name}.txt", make_listing(split, method, evaluations, lost, calibration))
    write_json(folder / f"{name}.json", {each.unit: break_down(each) for each in evaluations})
    write_text(folder / f"{name}.ref.trn", make_trn(counted, hypothesis=False))
    write_text(folder / f"{name}.hyp.trn", make_trn(counted, hypothesis=True))
    if any(each.timed for each in counted):
        write_text(folder / f"{name}.hyp.ctm", make_ctm(counted))
        write_text(folder / f"{name}.ref.stm", make_stm(counted))
    timing = read_json(experiment.folder("decode") / split / f"timing_{method}.json", Timing)
    is_bound = method in METHODS and METHODS[method].is_bound
    role = "bound" if is_bound else "test" if split in experiment.config.corpus.tests else "dev"
    return [
        make_record(each, split, role, method, timing, len(lost), settings.normalise, calibration)
        for each in evaluations
    ]

"""Score every decoded set: listings, results.json and RESULTS.md."""

from pathlib import Path
from typing import Any, Dict, List, Sequence

from asrkit.config.methods import METHODS, method_order
from asrkit.errors import UserError
from asrkit.pipeline.cost import read_cost
from asrkit.pipeline.experiment import Experiment
from asrkit.score.breakdown import break_down, calibrate
from asrkit.score.ctm import make_ctm, make_stm, make_trn
from asrkit.score.evaluation import Evaluation, evaluate
from asrkit.score.listing import make_listing
from asrkit.score.normalisation import characters, normalise_transcripts, unit_tokeniser, words
from asrkit.score.records import Timing, make_record, summary_lines
from asrkit.score.report import render_results
from asrkit.score.transcripts import Transcript, load_transcripts
from asrkit.storage.files import read_json, write_json, write_text
from asrkit.text.units import load_units


def score_all(experiment: Experiment, methods: Sequence[str] = ()) -> None:
    """Score the test sets, then dev where it was decoded; the table is printed last.

    `methods` are those to score; all that were used to decode if it is empty.
    """
    corpus = experiment.config.corpus
    results: List[Dict[str, Any]] = []
    for split in [*corpus.tests, *([] if corpus.dev in corpus.tests else [corpus.dev])]:
        found = (experiment.folder("decode") / split).glob("hypotheses_*.jsonl")
        files = sorted(found, key=lambda file: method_order(_method_of(file)))
        if not files and split in corpus.tests:
            raise UserError(
                f"{split} has not been decoded",
                expected="hypotheses_{method}.jsonl",
                where=str(experiment.folder("decode") / split),
                todo="run.sh --stage decode",
            )
        for file in files:
            if methods and _method_of(file) not in methods:
                continue
            results += _score(experiment, split, file)
    facts_file = experiment.folder("manifests") / "statistics.json"
    partial = read_json(facts_file, Dict[str, Any]).get("partial") if facts_file.exists() else None
    results = [{**record, "partial": partial} for record in results]
    # Last, and not in score/: they hold times, and all in score/ is the same whenever it is made
    write_json(experiment.directory / "results.json", results)
    cost = read_cost(experiment)
    write_text(experiment.directory / "RESULTS.md", render_results(experiment.config.name, results, cost))
    print("\n".join(summary_lines(results)), flush=True)


def evaluate_transcripts(
    experiment: Experiment, transcripts: Sequence[Transcript], units: Sequence[str]
) -> List[Evaluation]:
    """Evaluations in some of "word", "character" and "unit"; only the first two on normalised text."""
    settings = experiment.config.score
    normalised = normalise_transcripts(transcripts, settings.normalise)
    ways = {
        "word": (words, normalised),
        "character": (characters, normalised),
        "unit": (unit_tokeniser(load_units(experiment.folder("units"))), transcripts),
    }
    return [
        evaluate(of, unit, tokenise, settings.bootstrap_samples, settings.confidence)
        for unit in units
        for tokenise, of in [ways[unit]]
    ]


def _method_of(hypotheses: Path) -> str:
    return hypotheses.stem[len("hypotheses_") :]


def _score(experiment: Experiment, split: str, hypotheses: Path) -> List[Dict[str, Any]]:
    method = _method_of(hypotheses)
    settings = experiment.config.score
    transcripts, lost = load_transcripts(experiment, split, method)
    units = sorted(["word", "character", "unit"], key=lambda unit: unit != settings.unit)
    evaluations = evaluate_transcripts(experiment, transcripts, units)
    name = f"{split}_{method}"
    of_words = next(each for each in evaluations if each.unit == "word")
    counted, calibration = of_words.transcripts, calibrate(of_words)
    write_text(
        experiment.folder("score") / f"{name}.txt",
        make_listing(split, method, evaluations, lost, calibration),
    )
    write_json(
        experiment.folder("score") / f"{name}.json", {each.unit: break_down(each) for each in evaluations}
    )
    write_text(experiment.folder("score") / f"{name}.ref.trn", make_trn(counted, hypothesis=False))
    write_text(experiment.folder("score") / f"{name}.hyp.trn", make_trn(counted, hypothesis=True))
    if any(each.timed for each in counted):
        write_text(experiment.folder("score") / f"{name}.hyp.ctm", make_ctm(counted))
        write_text(experiment.folder("score") / f"{name}.ref.stm", make_stm(counted))
    timing = read_json(hypotheses.with_name(f"timing_{method}.json"), Timing)
    # The oracle knows the references: a bound on what rescoring can reach, and no result.
    is_bound = method in METHODS and METHODS[method].is_bound
    role = "bound" if is_bound else "test" if split in experiment.config.corpus.tests else "dev"
    return [
        make_record(each, split, role, method, timing, len(lost), settings.normalise, calibration)
        for each in evaluations
    ]

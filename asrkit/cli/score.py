"""Stage 9: count errors of every decoded set, write listings, results.json and RESULTS.md."""

from pathlib import Path
from typing import Any, Dict, List

from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.score.evaluation import evaluate, make_record
from asrkit.score.listing import make_listing
from asrkit.score.records import summary_lines
from asrkit.score.report import render_results
from asrkit.score.transcripts import join_transcripts, read_rejected, uncounted
from asrkit.storage.files import read_json, write_json, write_text


def run(experiment: Experiment) -> None:
    """Score the test sets, then dev where it was decoded; the table is printed last."""
    corpus = experiment.config.corpus
    results: List[Dict[str, Any]] = []
    for split in [*corpus.tests, *([] if corpus.dev in corpus.tests else [corpus.dev])]:
        files = sorted((experiment.decoding / split).glob("hypotheses_*.jsonl"))
        if not files and split in corpus.tests:
            raise UserError(
                f"{split} has not been decoded",
                expected="hypotheses_{method}.jsonl",
                where=str(experiment.decoding / split),
                todo="run.sh --stage 8",
            )
        for file in files:
            results += _score(experiment, split, file)
    write_json(experiment.directory / "results.json", results)
    cost_file = experiment.directory / "cost.json"
    cost = read_json(cost_file) if cost_file.exists() else {}
    write_text(experiment.directory / "RESULTS.md", render_results(experiment.config.name, results, cost))
    print("\n".join(summary_lines(results)), flush=True)


def _score(experiment: Experiment, split: str, hypotheses: Path) -> List[Dict[str, Any]]:
    method = hypotheses.stem[len("hypotheses_") :]
    settings = experiment.config.score
    stages = (experiment.manifests, experiment.features, experiment.decoding)
    rejected = read_rejected([stage / "rejected.jsonl" for stage in stages], split)
    supervisions = experiment.manifests / f"{split}_supervisions.jsonl.gz"
    transcripts = join_transcripts(supervisions, hypotheses, rejected)
    lost = uncounted(rejected, transcripts)
    units = sorted(["word", "character"], key=lambda unit: unit != settings.unit)
    evaluations = [
        evaluate(transcripts, unit, settings.bootstrap_samples, settings.confidence) for unit in units
    ]
    listing = make_listing(split, method, evaluations, lost)
    write_text(experiment.scores / f"{split}_{method}.txt", listing)
    timing = read_json(hypotheses.with_name(f"timing_{method}.json"))
    # The oracle knows the references: a bound on what rescoring can reach, and no result.
    role = "bound" if method == "oracle" else "test" if split in experiment.config.corpus.tests else "dev"
    return [make_record(each, split, role, method, timing, len(lost)) for each in evaluations]

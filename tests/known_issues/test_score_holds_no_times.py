"""results.json lay in score/, so two runs that ended with the same errors had other files there."""

from typing import Dict

from asrkit.pipeline.experiment import Experiment
from asrkit.stages import score
from asrkit.storage.files import read_json, write_json
from tests.score.test_stage import experiment as experiment


def contents(made: Experiment) -> Dict[str, bytes]:
    return {file.name: file.read_bytes() for file in made.folder("score").iterdir()}


def test_time_that_decoding_took_changes_no_file_of_score(experiment: Experiment) -> None:
    score.run(experiment)
    before, results = contents(experiment), read_json(experiment.directory / "results.json")
    timing = experiment.folder("decode") / "test" / "timing_1best.json"
    write_json(timing, {**read_json(timing), "seconds": 9.0})
    (experiment.directory / "results.json").unlink()
    (experiment.directory / "results.json").mkdir()  # which a file may replace
    score.run(experiment)
    assert contents(experiment) == before
    assert read_json(experiment.directory / "results.json") != results

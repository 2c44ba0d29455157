"""A recipe with corpus.tests: [] was trained, decoded and scored, and then stage show failed."""

from asrkit.pipeline.experiment import Experiment
from asrkit.show.data import collect
from asrkit.storage.files import read_json, write_json
from tests.show.conftest import experiment

__all__ = ["experiment"]


def test_dev_is_shown_if_there_is_no_test_set(experiment: Experiment) -> None:
    file = experiment.directory / "results.json"
    write_json(file, [record for record in read_json(file) if record["role"] == "dev"])
    assert [each["name"] for each in collect({"tiny": experiment}).main["sets"]] == ["dev"]

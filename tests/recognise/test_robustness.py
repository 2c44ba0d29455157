"""asrkit robustness on a model of yesno."""

import subprocess
import sys

import pytest

from asrkit.pipeline.experiment import open_experiment
from asrkit.score.robustness import read_measurement, read_measurements
from asrkit.score.splits import score_all
from asrkit.show.systems import open_system, overview
from asrkit.storage.files import read_json
from tests.known_issues.conftest import Finished
from tests.known_issues.conftest import finished_yesno as finished_yesno
from tests.known_issues.conftest import yesno as yesno

pytestmark = pytest.mark.k2


def test_each_condition_is_decoded_and_clean_speech_is_that_of_stage_decode(yesno: Finished) -> None:
    # a process of its own: k2's threads, which earlier tests started in this one, don't survive a fork
    code = "from asrkit.cli.main import main; main()"
    arguments = [sys.executable, "-c", code, "robustness", "--exp", str(yesno.exp)]
    printed = subprocess.run(arguments, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert "| clean | " in printed and "| hiss 0 dB | " in printed
    (system,) = read_measurement(yesno.exp / "robustness" / "test.json").systems
    assert len(system.rows) == 1 + 4 + 8 + 3 + 6
    assert all(row.reference == 240 and not row.unusable for row in system.rows)
    (record,) = [
        each
        for each in read_json(yesno.exp / "results.json")
        if (each["set"], each["method"], each["unit"]) == ("test", "1best", "word")
    ]
    assert (system.rows[0].condition, system.rows[0].errors) == ("clean", record["errors"])
    assert (yesno.exp / "robustness" / "test.svg").read_text().lstrip().startswith("<?xml")
    experiment = open_experiment(yesno.exp)
    score_all(experiment)
    assert "## Robustness: test, 1best" in (yesno.exp / "RESULTS.md").read_text()
    (shown,) = overview(open_system("yesno", experiment))["robustness"]
    assert shown["rows"][0]["errors"] == record["errors"] and shown["picture"].startswith("data:image/svg")
    model = yesno.exp / "average" / "model.safetensors"
    model.write_bytes(model.read_bytes() + b" ")  # of another model nothing was measured
    assert not read_measurements(experiment)

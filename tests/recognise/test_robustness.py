"""asrkit robustness on a model of yesno."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from asrkit.storage.files import read_json
from tests.known_issues.conftest import finished_yesno as finished_yesno

pytestmark = pytest.mark.k2


def test_each_condition_is_decoded_and_clean_speech_is_that_of_stage_decode(finished_yesno: Path) -> None:
    # a process of its own: k2's threads, which earlier tests started in this one, don't survive a fork
    code = "from asrkit.cli.main import main; main()"
    arguments = [sys.executable, "-c", code, "robustness", "--exp", str(finished_yesno)]
    printed = subprocess.run(arguments, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert "| clean | " in printed and "| hiss 0 dB | " in printed
    rows = json.loads((finished_yesno / "robustness" / "test.json").read_text())["rows"]
    assert len(rows) == 1 + 4 + 8 + 3 + 6
    assert all(row["reference"] == 240 and not row["unusable"] for row in rows)
    (record,) = [
        each
        for each in read_json(finished_yesno / "results.json")
        if (each["set"], each["method"], each["unit"]) == ("test", "1best", "word")
    ]
    assert (rows[0]["condition"], rows[0]["errors"]) == ("clean", record["errors"])
    assert (finished_yesno / "robustness" / "test.svg").read_text().lstrip().startswith("<?xml")
    assert len((finished_yesno / "robustness" / "test.md").read_text().splitlines()) == 2 + len(rows)

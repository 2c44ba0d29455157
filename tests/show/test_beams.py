"""The sweep of search beams on dev."""

from pathlib import Path

import pytest

from asrkit.errors import UserError
from asrkit.pipeline.experiment import open_experiment
from asrkit.storage.files import read_json
from tests.known_issues.conftest import finished_yesno as finished_yesno

pytestmark = pytest.mark.k2


def test_the_recipes_own_beam_makes_the_errors_of_stage_decode(finished_yesno: Path) -> None:
    from asrkit.show.beams import sweep_beams

    experiment = open_experiment(finished_yesno)
    own = experiment.config.decode.search_beam
    found = sweep_beams(experiment, [own, 2.0])
    assert (found["set"], found["words"]) == ("dev", 48)
    assert [point["beam"] for point in found["points"]] == [2.0, own]
    (record,) = [
        each
        for each in read_json(finished_yesno / "results.json")
        if (each["set"], each["method"], each["unit"]) == ("dev", "1best", "word")
    ]
    assert found["points"][1]["errors"] == record["errors"]
    assert all(point["rtf"] > 0 for point in found["points"])


def test_without_posteriors_there_are_words(finished_yesno: Path, tmp_path: Path) -> None:
    from asrkit.show.beams import sweep_beams

    for name in ("recipe.yaml", "decode", "stages"):
        (tmp_path / name).symlink_to(finished_yesno / name)
    with pytest.raises(UserError, match="no posteriors of dev"):
        sweep_beams(open_experiment(tmp_path), [4.0])

"""asrkit plan --measured with a run that had not finished stage train raised KeyError."""

import json
from pathlib import Path
from typing import Any, Callable, Dict

import pytest
from click.testing import CliRunner

from asrkit.cli.plan import command
from asrkit.errors import UserError
from tests.onboarding.test_plan import COST, HOURS, RESULT, SETTINGS


@pytest.mark.parametrize(
    ("change", "absent"),
    [
        (lambda cost: cost["stages"].pop("train"), "no stage train"),
        (lambda cost: cost["stages"].clear(), "no stage features, stage train"),
        (lambda cost: cost.pop("audio_hours"), "no audio_hours"),
        (lambda cost: cost.pop("cores"), "no cores"),
        (lambda cost: cost.update(stages=[]), "no stage features, stage train"),
    ],
)
def test_what_the_records_lack_is_named(
    tmp_path: Path, change: Callable[[Dict[str, Any]], Any], absent: str
) -> None:
    cost: Dict[str, Any] = json.loads(json.dumps(COST))
    change(cost)
    (tmp_path / "recipe.yaml").write_text(SETTINGS)
    for name, content in (("expect", HOURS), ("cost", cost), ("results", [RESULT])):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    options = ["--recipe", str(tmp_path), "--measured", str(tmp_path)]
    with pytest.raises(UserError, match=absent) as caught:
        CliRunner().invoke(command, options, catch_exceptions=False)
    assert caught.value.where == str(tmp_path / "cost.json")
    if absent in ("no stage train", "no cores"):
        assert "--throughput" in caught.value.todo
        assert CliRunner().invoke(command, [*options, "--throughput", "99"]).exit_code == 0

"""After a kill between results.json and its record, or with a lost output, the refusal gave no command."""

import pytest

from asrkit.errors import UserError
from asrkit.pipeline.experiment import open_experiment
from asrkit.pipeline.finished import refuse_changed
from asrkit.pipeline.runner import cache_of
from tests.pipeline.toy import STAGES, Toy


@pytest.mark.parametrize("lost", [False, True])
def test_the_refusal_gives_the_command(finished: Toy, lost: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(finished.folder))
    file = finished.exp / "count/counts.json"
    file.unlink() if lost else file.write_text("{}")  # as if killed before the record
    experiment = open_experiment(finished.exp)
    with pytest.raises(UserError) as caught:
        refuse_changed(STAGES[2], experiment, cache_of(experiment))
    assert caught.value.found == "count/counts.json isn't as stage 2 (count) left it"
    assert caught.value.todo.startswith(f"run.sh --exp {finished.exp}, ")
    reason = "is missing" if lost else "was changed"
    assert finished.states()["count"] == f"stale: output count/counts.json {reason}"
    assert finished.ran(finished.run()) == ["count"]

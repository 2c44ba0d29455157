"""A stage was refused because an earlier one, whose outputs it can do without, was never run."""

import dataclasses

from asrkit.pipeline.requirements import check_earlier_stages
from asrkit.pipeline.runner import cache_of
from tests.pipeline.toy import STAGES, Toy


def test_outputs_that_may_be_absent_are_not_asked_for(finished: Toy) -> None:
    (finished.exp / "stages/count.json").unlink()
    tell = dataclasses.replace(STAGES[3], reads=("collect/words.txt", "count/counts.json?"))
    experiment = finished.experiment()
    check_earlier_stages([*STAGES[:3], tell], experiment, [tell], cache_of(experiment))

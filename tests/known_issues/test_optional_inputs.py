"""A stage was refused because an earlier one had not run, although it needs none of its outputs."""

import dataclasses

from asrkit.pipeline.requirements import check_earlier_stages
from asrkit.pipeline.runner import cache_of
from tests.pipeline.toy import STAGES, Toy


def test_optional_inputs_are_not_required(finished: Toy) -> None:
    (finished.exp / "stages/count.json").unlink()
    tell = dataclasses.replace(STAGES[3], reads=("collect/words.txt", "count/counts.json?"))
    experiment = finished.experiment()
    check_earlier_stages([*STAGES[:3], tell], experiment, [tell], cache_of(experiment))

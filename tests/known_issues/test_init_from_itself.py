"""--init-from with the experiment itself trained again at each run, from its own last result."""

from pathlib import Path

import msgspec
import pytest

from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.requirements import check_places
from asrkit.stages.table import STAGES
from tests.pipeline.toy import settings


@pytest.mark.parametrize("name", ["{exp}", "{exp}/../exp", "../exp"])
def test_it_is_refused(tmp_path: Path, name: str) -> None:
    exp, recipe = tmp_path / "exp", tmp_path / "recipe"
    (exp / "stages").mkdir(parents=True)
    recipe.mkdir()
    train = msgspec.structs.replace(settings().train, init_from=name.format(exp=exp))
    config = msgspec.structs.replace(settings(), train=train)
    experiment = Experiment(config, exp, tmp_path / "corpus", recipe, jobs=1)
    with pytest.raises(UserError, match=r"train\.init_from is .*exp, the experiment itself") as caught:
        check_places(STAGES, experiment)
    assert caught.value.todo == "give another folder with --exp"

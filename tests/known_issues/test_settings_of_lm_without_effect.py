"""Settings of language models without effect were accepted, as was a retry_beam_factor that narrows beams."""

from pathlib import Path
from typing import List

import pytest

from asrkit.cli.evaluate import _open_trained
from asrkit.config import load_config
from asrkit.errors import UserError
from asrkit.pipeline.cluster import LOCAL
from asrkit.pipeline.experiment import REPOSITORY

RECIPE = REPOSITORY / "recipes" / "yesno" / "recipe.yaml"
LARGER = ("lm.rescore_order=4", "lm.rescore_arpa=b.arpa")


def having(*settings: str) -> List[str]:
    return [f"lm.{setting}" for setting in settings]


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        (having("arpa=a.arpa", "text=more.txt"), "lm.text is set, and lm.arpa gives a ready model"),
        ([*having("arpa=a.arpa", "text=more.txt"), *LARGER], "lm.text is set"),
        (having("arpa=a.arpa", "estimator=lmplz"), "lm.estimator is set, and lm.arpa gives a ready model"),
        (having("neural.layers=1", "neural.kernel=7"), "lm.neural.kernel is set, and lm.neural.kind is lstm"),
        (having("neural.layers=1", "neural.heads=8"), "lm.neural.heads is set"),
        (having("neural.layers=1", "neural.mask_share=0.5"), "lm.neural.mask_share is set"),
        (having("neural.layers=1", "neural.kind=masked", "neural.kernel=7"), "lm.neural.kernel is set"),
        (having("neural.kind=masked", "neural.path=bert", "neural.epochs=3"), "lm.neural.epochs is set"),
        (having("order=2", "min_counts=[1, 1, 5]"), "lm.min_counts has 3 counts, and the highest order is 2"),
        (having("estimator=lmplz", "order=7"), "lm.order is 7"),
        (having("estimator=lmplz", "rescore_order=7"), "lm.rescore_order is 7"),
        (having("rescore_order=7", "rescore_arpa=b.arpa"), "lm.rescore_order is 7"),
        (["decode.retry_beam_factor=1"], "decode.retry_beam_factor is 1"),
        (["decode.retry_beam_factor=0.5"], "decode.retry_beam_factor is 0.5"),
    ],
)
def test_they_are_refused(settings: List[str], found: str) -> None:
    with pytest.raises(UserError) as refusal:
        load_config(RECIPE, None, settings)
    assert refusal.value.found.startswith(found)


@pytest.mark.parametrize(
    "settings",
    [
        having("arpa=a.arpa", "text=more.txt", "rescore_order=4", "min_counts=[1, 1, 2, 3]"),
        having("arpa=a.arpa", "text=more.txt", "neural.layers=1"),
        having("arpa=a.arpa", "rescore_order=6", "estimator=lmplz"),
        having("neural.layers=1", "neural.kind=residual", "neural.kernel=7"),
        having("neural.layers=1", "neural.kind=masked", "neural.heads=2", "neural.mask_share=0.5"),
        having("neural.kind=masked", "neural.path=bert"),
        having("neural.kind=residual", "neural.layers=null"),  # switched off
        having("estimator=lmplz", "order=6"),
        ["decode.retry_beam_factor=1.5"],
    ],
)
def test_they_are_accepted_if_they_have_an_effect(settings: List[str]) -> None:
    load_config(RECIPE, None, settings)


def test_an_experiment_that_has_them_can_be_evaluated(tmp_path: Path) -> None:
    more = "lm: {neural: {heads: 8}}\ndecode: {retry_beam_factor: 1.0}\n"
    (tmp_path / "recipe.yaml").write_text(f"name: x\ncorpus: {{module: yesno}}\n{more}")
    assert _open_trained(tmp_path, 1, LOCAL, None).config.lm.neural.heads == 8

"""Infinity was accepted as the value of a setting, but the record of the finished stage couldn't be read."""

import pytest

from tests.pipeline.toy import Toy

SETTINGS = ("corpus.max_duration=.inf", "train.gradient_clip=.inf", "decode.lm_scales=[1, .inf]")


@pytest.mark.parametrize("setting", SETTINGS)
def test_only_finite_numbers_are_accepted(toy: Toy, setting: str) -> None:
    output = toy.run("--set", setting, status=1)
    assert f"error: {setting.partition('=')[0]} is " in output and "expected: finite numbers" in output
    assert not (toy.exp / "stages").exists()

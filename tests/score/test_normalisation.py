"""Steps of text normalisation before scoring."""

from pathlib import Path
from typing import Sequence

import pytest

from asrkit.config.load import load_config
from asrkit.errors import UserError
from asrkit.score.normalisation import STEPS, normalise, normalise_transcripts
from asrkit.score.transcripts import Transcript


@pytest.mark.parametrize(
    ("text", "steps", "expected"),
    [
        ("It IS", ["lower"], "it is"),
        ("Ｇｏ ﬁve", ["nfkc"], "Go five"),
        ("“Don’t,” he said: 'tis twenty-one.", ["strip-punctuation"], "Don’t he said tis twenty one"),
        ("今天，好。", ["strip-punctuation"], "今天 好"),
        ("ＤＯＮ'Ｔ！", ["nfkc", "lower", "strip-punctuation"], "don't"),
        ("A, b", [], "A, b"),
        ("- -", ["strip-punctuation"], ""),
    ],
)
def test_steps(text: str, steps: Sequence[str], expected: str) -> None:
    assert normalise(text.split(), steps) == expected.split()


def test_unknown_step_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="unknown normalisation step 'stem'") as error:
        normalise(["a"], ["lower", "stem"])
    assert error.value.expected == f"one of {', '.join(STEPS)}"


def test_unknown_step_is_refused_before_anything_runs(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("name: x\ncorpus: {module: x}\n")
    with pytest.raises(UserError, match="'stem'") as error:
        load_config(file, assignments=["score.normalise=[lower, stem]"])
    assert "score.normalise" in error.value.found
    for step in STEPS:
        assert load_config(file, assignments=[f"score.normalise=[{step}]"]).score.normalise == (step,)


def test_reference_that_vanishes_is_refused() -> None:
    with pytest.raises(UserError, match="no word of the reference is left") as error:
        normalise_transcripts([Transcript("a", "s", ["..."], ["x"])], ["strip-punctuation"])
    assert "strip-punctuation" in error.value.where

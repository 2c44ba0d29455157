"""Python code in a Hugging Face folder ran if the user answered a question with y, and a word that the
tokeniser removes, such as a zero-width space, had probability 1."""

import json
from pathlib import Path

import pytest

from asrkit.errors import UserError
from asrkit.lm.pretrained import PretrainedLm
from tests.lm.test_masked import bert

__all__ = ["bert"]  # a small model; skips without transformers

CODE = """
import pathlib
pathlib.Path({mark!r}).touch()
from transformers import BertConfig, BertForMaskedLM
class Config(BertConfig):
    model_type = "own"
class Model(BertForMaskedLM):
    config_class = Config
"""


def test_their_code_does_not_run(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, mark = bert / "config.json", tmp_path / "ran"
    own = {"AutoConfig": "own.Config", "AutoModelForMaskedLM": "own.Model"}
    file.write_text(json.dumps({**json.loads(file.read_text()), "model_type": "own", "auto_map": own}))
    (bert / "own.py").write_text(CODE.format(mark=str(mark)))
    monkeypatch.setattr("builtins.input", lambda *prompt: "y")
    with pytest.raises(UserError, match="needs its own Python code, which is never run") as refusal:
        PretrainedLm(bert)
    assert "lm.neural.path" in refusal.value.todo and not mark.exists()


def test_a_word_without_tokens_costs_as_much_as_the_unknown_token(bert: Path) -> None:
    ((scores, known),) = PretrainedLm(bert).score([["go", "\u200b", "home"], ["go", "[UNK]", "home"]])
    assert scores[0].tolist() == pytest.approx(scores[1].tolist(), abs=1e-5) and scores[0, 1] < -1
    assert known.tolist() == [[True, False, True]] * 2

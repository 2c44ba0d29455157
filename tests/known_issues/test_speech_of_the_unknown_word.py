"""With units.unknown_word, asrkit speak spoke the unknown word's phones for any word outside the
lexicon, and the table of --lines named them by that word."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from asrkit.cli.speak import command
from asrkit.config.recipe import FeaturesConfig, SynthesisConfig
from asrkit.errors import UserError
from asrkit.synthesis import speaking
from asrkit.synthesis.network import SpeechNetwork, Voice
from asrkit.synthesis.speaking import Speaker
from asrkit.text.lexicon import Pronunciation
from asrkit.text.units import Units

LEXICON = [Pronunciation("AB", ("a", "b")), Pronunciation("<OOV>", ("spn",))]
UNITS = Units(["<blk>", "a", "b", "spn"], LEXICON, unknown_word="<OOV>")


@pytest.fixture
def speaker() -> Speaker:
    torch.manual_seed(1)
    config = SynthesisConfig(dim=16, unit_blocks=1, frame_blocks=1)
    voice = Voice(SpeechNetwork(config, 20, len(UNITS), 1).eval(), ["x"])
    return Speaker(voice, UNITS, FeaturesConfig(bins=20))


def test_words_outside_the_lexicon_are_refused_with_what_to_type(speaker: Speaker) -> None:
    with pytest.raises(UserError, match="no units for QWERTY") as error:
        speaker.speak("AB QWERTY")
    assert "lexicon" in error.value.todo
    with pytest.raises(UserError, match="no units for ab") as error:
        speaker.speak("ab")
    assert "type AB" in error.value.todo
    assert len(speaker.speak("AB")) > 0


def test_no_table_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speaker: Speaker) -> None:
    monkeypatch.setattr(speaking, "open_speaker", lambda place: speaker)
    (tmp_path / "lines.txt").write_text("AB\nAB QWERTY\n")
    words = [str(tmp_path / "lines.txt"), str(tmp_path / "out"), "--exp", "EXP", "--lines"]
    with pytest.raises(UserError, match="no units for QWERTY"):
        CliRunner().invoke(command, words, catch_exceptions=False)
    assert not (tmp_path / "out").exists()


def test_stage_synthesise_still_speaks_test_sentences_with_such_words(speaker: Speaker) -> None:
    assert len(speaker.synthesise("AB QWERTY", "x")) > 0

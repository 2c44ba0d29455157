"""A command with endless output filled the disk."""

from pathlib import Path

import pytest

from asrkit.corpus import derived_audio
from asrkit.errors import AudioProblem


def test_output_of_a_command_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derived_audio, "LARGEST_FILE", 1 << 20)
    derived_audio.run_command("printf '%s' \"it's $((1 + 1))\"", tmp_path, tmp_path / "small.wav")
    assert (tmp_path / "small.wav").read_text() == "it's 2"
    for command in ("yes", "yes | cat"):
        with pytest.raises(AudioProblem, match="command failed"):
            derived_audio.run_command(command, tmp_path, tmp_path / "large.wav")
    assert [file.name for file in tmp_path.iterdir()] == ["small.wav"]

"""`asrkit speak --lines`, interrupted over earlier output, left the earlier table with other recordings."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from asrkit.cli.speak import command
from asrkit.storage.files import write_text
from asrkit.synthesis import speaking


def test_an_interrupted_run_leaves_no_table_of_earlier_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []

    def speak(text: str, name: str, speed: float) -> np.ndarray:
        said.append(text)
        if text == "KILLED":
            raise KeyboardInterrupt
        return np.zeros(800, np.float32)

    voice = SimpleNamespace(
        config=SimpleNamespace(sampling_rate=8000),
        voice=SimpleNamespace(speakers=["a"]),
        refuse_unknown=lambda text: None,
        refuse_unknown_speaker=lambda name: None,
        speak=speak,
    )
    monkeypatch.setattr(speaking, "open_speaker", lambda place: voice)
    texts, output = tmp_path / "texts.txt", tmp_path / "spoken"
    for lines in ("ONE\nTWO\n", "THREE\nKILLED\n"):
        write_text(texts, lines)
        CliRunner().invoke(command, [str(texts), str(output), "--exp", str(tmp_path), "--lines"])
        assert (output / "synthetic.tsv").exists() == ("KILLED" not in lines)
    assert said == ["ONE", "TWO", "THREE", "KILLED"]

"""safetensors writes the entries of a file's metadata in an order that differs from process to process,
so two runs gave models that were equal but for their bytes. All metadata is now one entry."""

import subprocess
import sys
from pathlib import Path

SAVE = """
import sys
from pathlib import Path
import torch
from asrkit.storage.tensors import save_tensors
save_tensors(Path(sys.argv[1]), {"w": torch.zeros(3)}, {name: 1 for name in "abcdefgh"})
"""


def test_every_process_writes_the_same_bytes(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.safetensors" for number in range(4)]
    for file in files:
        subprocess.run([sys.executable, "-c", SAVE, str(file)], check=True)
    assert len({file.read_bytes() for file in files}) == 1

"""Seeded mutations of bytes, and bundles with them, opened in a process that may end."""

import contextlib
import json
import random
import shutil
import sys
from pathlib import Path
from typing import List

import numpy as np

from asrkit.errors import AudioProblem, UserError
from asrkit.recognise.bundle import DESCRIPTION, open_bundle, write_bundle

HUGE = (b"\xff\xff\xff\x7f", b"\xff" * 8, b"99999999999999999999", b"-1", b"\x00" * 16, b"\xef\xbb\xbf")


def mutate(content: bytes, draw: random.Random) -> bytes:
    """One to four changes: bits, a range lost, doubled or overwritten by extreme numbers, a new end."""
    changed = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        place, size = draw.randrange(len(changed) + 1), draw.choice((1, 4, 64, 1000))
        kind = draw.randrange(6)
        if kind == 0 and place < len(changed):
            changed[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del changed[place : place + size]
        elif kind == 2:
            changed[place:place] = changed[place : place + size]
        elif kind == 3:
            number = draw.choice(HUGE)
            changed[place : place + len(number)] = number
        elif kind == 4:
            del changed[place:]
        else:
            changed[place:place] = draw.randbytes(size)
    return bytes(changed)


def open_mutated(bundle: Path, folder: Path, seeds: List[int]) -> None:
    """Open a mutated copy of a bundle per seed and recognise a second of noise; UserError is an answer.

    In three of four the checksums are those of the mutated file, as a stranger could write them.
    """
    from asrkit.recognise.recognizer import Recognizer
    from asrkit.recognise.segmentation import SegmentOptions

    noise = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    names = sorted([*open_bundle(bundle).files, DESCRIPTION])
    for seed in seeds:
        draw = random.Random(seed)
        copy = folder / "mutated"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(bundle, copy)
        name = draw.choice([each for each in names if each not in ("README.md", "model.pt", "rules.fst")])
        print(f"seed {seed}: {name}", flush=True)  # the last line names what ended the process
        (copy / name).write_bytes(mutate((copy / name).read_bytes(), draw))
        with contextlib.suppress(UserError):
            if draw.random() < 0.75 and name != DESCRIPTION:
                write_bundle(copy, open_bundle(bundle))
            recognizer = Recognizer.open(copy, draw.choice(("greedy", "1best")))
            with contextlib.suppress(AudioProblem):
                recognizer.transcribe((noise, 8000), SegmentOptions(whole=True))


if __name__ == "__main__":
    open_mutated(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))

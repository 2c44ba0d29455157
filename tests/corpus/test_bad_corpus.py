"""A corpus with every kind of damage: each problem is listed by id, training uses the rest."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import numpy as np
import pytest

from asrkit.pipeline.experiment import REPOSITORY
from asrkit.storage.files import read_json, read_jsonl
from asrkit.storage.fingerprint import hash_file
from tests.corpus.sound import noise, write_audio

pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = [pytest.mark.k2, pytest.mark.recipe]

GOOD = {"train": 60, "dev": 6, "test": 6}
SETTINGS = (
    *("corpus.max_bad_fraction=0.5", "features.speed_factors=[1.0]", "units.kind=characters"),
    *(
        "model.stem_channels=4",
        "model.stage_blocks=[1]",
        "model.stage_channels=[4]",
        "model.attention_blocks=1",
    ),
    *("model.stage_time_strides=[2]", "model.stage_frequency_strides=[2]", "model.attention_dim=16"),
    *("model.attention_heads=2", "model.feedforward_dim=16", "train.epochs=1", "train.threads=1"),
)


def patched_flac(file: Path, samples: int) -> None:
    """A FLAC file of 1 s with another number of samples in its header (36 bits of STREAMINFO)."""
    content = bytearray(write_audio(file, noise(1, 31)).read_bytes())
    field = int.from_bytes(content[18:26], "big") >> 36 << 36 | samples
    content[18:26] = field.to_bytes(8, "big")
    file.write_bytes(content)


def without_end(file: Path) -> None:
    content = write_audio(file, noise(1, 32)).read_bytes()
    file.write_bytes(content[: len(content) // 2])


def wrong_header(file: Path) -> None:
    """A WAV file with an unknown format code."""
    content = bytearray(write_audio(file, noise(1, 33)).read_bytes())
    content[20:22] = b"\x77\x77"
    file.write_bytes(content)


def link_to_itself(file: Path) -> None:
    file.symlink_to(file.name)


# File below the corpus's folder, what makes it, and the fault
AUDIO: Dict[str, Tuple[Callable[[Path], Any], str]] = {
    "truncated.wav": (without_end, "truncated"),
    "header.wav": (wrong_header, "not readable audio"),
    "garbage.flac": (lambda file: file.write_bytes(b"fLaC" + bytes(range(256)) * 9), "not readable audio"),
    "empty.wav": (lambda file: file.write_bytes(b""), "empty file"),
    "minutes.wav": (lambda file: write_audio(file, np.tile(noise(10, 34), 60)), "too long"),
    "telephone.wav": (lambda file: write_audio(file, noise(1, 35, 8000), 8000), "other sampling rate"),
    "stereo.wav": (lambda file: write_audio(file, noise(1, 36, channels=2)), "more than one channel"),
    "silent.flac": (lambda file: write_audio(file, np.zeros(16000)), "silence"),
    "bomb.flac": (lambda file: patched_flac(file, 2**36 - 1), "too long"),
    "stream.flac": (lambda file: patched_flac(file, 0), "no length in the header"),
    "circle.wav": (link_to_itself, "unreadable audio file"),
    "pipe.wav": (os.mkfifo, "not a regular file"),
    "absent.wav": (lambda file: None, "missing audio file"),
}
TEXTS = {
    "\ufeffone two": "control characters in text",
    "one \u202etwo": "control characters in text",
    "one \u200ftwo": "control characters in text",
    "one \ufffd": "control characters in text",
    "one\x00two": "control characters in text",
    "": "empty text",
}
# What is unusual and may stay, with what becomes of it
SOUND_TEXTS = {"שלום עולם": "שלום עולם", "e\u0301te\u0301": "été", "one １２": "one 12", "ＯＫ one": "OK one"}


class BadCorpus:
    """A folder with the corpus and other files, and the kind of each rejection by id."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.directory = root / "corpus"
        self.faults: List[Tuple[str, str]] = []
        self.texts: Dict[str, str] = {}
        self.rows = ["path\ttext\tspeaker\tsplit"]
        for split, count in GOOD.items():
            for number in range(count):
                self.add(f"{split}{number:02d}.wav", "one two three" if number % 2 else "two one", split)
        for name, (make, kind) in AUDIO.items():
            self.add(name, "one two", fault=kind, make=make)
        for number, (text, kind) in enumerate(TEXTS.items()):
            self.add(f"text{number}.wav", text, fault=kind)
        for number, (text, expected) in enumerate(SOUND_TEXTS.items()):
            self.add(f"sound{number}.wav", text)
            self.texts[f"sound{number}.wav"] = expected
        self.rows.append("train00.wav\tthe second of an id\ts0\ttrain")
        self.faults.append(("train00.wav", "duplicate id"))
        write_audio(root / "beside" / "secret.wav", noise(1, 37))
        self.rows.append("../beside/secret.wav\tone two\ts0\ttrain")
        self.faults.append(("../beside/secret.wav", "path outside the corpus"))
        (self.directory / "loop").symlink_to(".")
        (self.directory / "up").symlink_to("..")
        content = "\r\n".join(self.rows) + "\r\n"
        (self.directory / "list.tsv").write_bytes(b"\xef\xbb\xbf" + content.encode())

    def add(self, name: str, text: str, split: str = "train", fault: str = "", make: Any = None) -> None:
        """A file with this name, which is also the utterance's id."""
        file = self.directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        (make or (lambda file: write_audio(file, noise(1, len(self.rows)))))(file)
        self.rows.append(f"{file.name}\t{text}\tspeaker{len(self.rows) % 5}-{split}\t{split}")
        if fault:
            self.faults.append((name, fault))

    def state(self) -> Dict[str, Any]:
        """Every file below the root except the experiment: content, size, time, link target."""
        found: Dict[str, Any] = {}
        for folder, folders, files in os.walk(self.root):
            folders[:] = [name for name in folders if name not in ("exp", "recipe")]
            for name in [*files, *folders]:
                file = Path(folder, name)
                status = file.lstat()
                content = hash_file(file) if file.is_file() and not file.is_symlink() else ""
                found[str(file)] = (
                    status.st_mode,
                    status.st_size,
                    status.st_mtime_ns,
                    status.st_ino,
                    content,
                )
        return found


def asrkit_run(corpus: BadCorpus, *options: str) -> str:
    done = subprocess.run(
        [
            *(sys.executable, "-c", "from asrkit.cli.main import main; main()", "run", "--nj", "2"),
            *("--recipe", str(corpus.root / "recipe"), "--corpus-dir", str(corpus.directory)),
            *("--exp", str(corpus.root / "exp"), *options),
            *(word for setting in SETTINGS for word in ("--set", setting)),
        ],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        cwd=corpus.root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Tuple[BadCorpus, Dict[str, Any], str]:
    """The corpus, its state before, and what a run up to training printed."""
    corpus = BadCorpus(tmp_path_factory.mktemp("bad"))
    (corpus.root / "recipe").mkdir()
    (corpus.root / "recipe" / "recipe.yaml").write_text("name: bad\ncorpus:\n  module: tsv\n")
    before = corpus.state()
    return corpus, before, asrkit_run(corpus, "--stop-stage", "train")


def test_exactly_the_damaged_utterances_are_rejected_with_their_kind(run: Any) -> None:
    corpus, _, output = run
    rows = read_jsonl(corpus.root / "exp" / "manifests" / "rejected.jsonl")
    assert sorted((row["id"], row["kind"]) for row in rows) == sorted(corpus.faults)
    assert "train: 5 rejected: control characters in text" in output


def test_training_uses_the_rest(run: Any) -> None:
    corpus, _, _ = run
    splits = read_json(corpus.root / "exp" / "manifests" / "statistics.json")["splits"]
    assert {name: of["utterances"] for name, of in splits.items()} == {**GOOD, "train": 60 + len(SOUND_TEXTS)}
    assert len(read_jsonl(corpus.root / "exp" / "features" / "train_cuts.jsonl.gz")) == 60 + len(SOUND_TEXTS)
    (row,) = read_jsonl(corpus.root / "exp" / "train" / "log.jsonl")
    assert np.isfinite(row["train_loss"])


def test_text_is_normalised(run: Any) -> None:
    corpus, _, _ = run
    rows = read_jsonl(corpus.root / "exp" / "manifests" / "train_supervisions.jsonl.gz")
    texts = {row["id"]: row["text"] for row in rows}
    assert {id: texts[id] for id in corpus.texts} == corpus.texts


def test_other_files_are_unchanged_and_outside_paths_are_not_printed(run: Any) -> None:
    corpus, before, _ = run
    assert corpus.state() == before
    for kind in ("recordings", "cuts"):
        rows = read_jsonl(corpus.root / "exp" / "manifests" / f"train_{kind}.jsonl.gz")
        assert "secret" not in str(rows)


def test_circular_links_make_nothing_stale(run: Any) -> None:
    """One of them contains the experiment."""
    rows = [line.split()[1:3] for line in asrkit_run(run[0], "--status").splitlines()[1:8]]
    assert rows == [
        [name, "fresh"] for name in ("download", "manifests", "features", "units", "lm", "graph", "train")
    ]

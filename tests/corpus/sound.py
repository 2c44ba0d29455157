"""Small corpora for tests: noise in any audio format, and experiments with them."""

import zlib
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
import soundfile

from asrkit.config.recipe import CorpusConfig, FeaturesConfig, RecipeConfig
from asrkit.pipeline.experiment import Experiment

MODULE = """
from pathlib import Path
from asrkit.corpus.transcripts import read_lines
from asrkit.corpus.utterance import Utterance

def download(corpus_directory, config):
    pass

def utterances(corpus_directory, config):
    for _, line in read_lines(corpus_directory / "list.tsv"):
        id, audio, speaker, split, start, duration, *text = line.split("\\t", 6)
        yield Utterance(id=id, audio=corpus_directory / audio, text=text[0], speaker=speaker, split=split,
                        start=float(start) if start else None, duration=float(duration) if duration else None)
"""


def noise(seconds: float, seed: int, rate: int = 16000, channels: int = 1) -> np.ndarray:
    """Quiet noise, different per seed: (sample,) or (sample, channel)."""
    samples = np.random.default_rng(seed).normal(0.0, 0.05, (round(seconds * rate), channels))
    return samples[:, 0] if channels == 1 else samples


def write_audio(file: Path, samples: np.ndarray, rate: int = 16000, subtype: str = "PCM_16") -> Path:
    """Write samples in the format of the file's suffix; .sph is NIST SPHERE."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if subtype == "PCM_16":  # rounded here, because libsndfile rounds differently for FLAC and WAV
        samples = np.round(samples * 32767).astype(np.int16)
    soundfile.write(file, samples, rate, subtype, format="NIST" if file.suffix == ".sph" else None)
    return file


class SmallCorpus:
    """A folder with audio and a listing, and a recipe that reads it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.directory = root / "corpus"
        self.rows: List[str] = []
        (root / "local").mkdir(parents=True)
        (root / "local" / "small.py").write_text(MODULE)
        (root / "recipes" / "small").mkdir(parents=True)

    def add(
        self, id: str, split: str, text: str = "ONE TWO", audio: Optional[str] = None, **place: Any
    ) -> None:
        """Add an utterance; without `audio`, write 0.5 s of noise for it."""
        if audio is None:
            audio = f"{split}/{id}.wav"
            write_audio(self.directory / audio, noise(0.5, zlib.crc32(f"{split} {id}".encode())))
        start, duration = place.get("start", ""), place.get("duration", "")
        speaker = place.get("speaker", f"speaker-{split}")
        self.rows.append("\t".join([id, audio, speaker, split, str(start), str(duration), text]))

    def add_splits(self, counts: Dict[str, int]) -> None:
        """Add valid utterances to each split."""
        for split, count in counts.items():
            for number in range(count):
                self.add(f"{split}-{number:02d}", split, text=f"WORD {split.upper()}")

    def write_list(self) -> None:
        """Write the listing."""
        self.directory.mkdir(exist_ok=True)
        (self.directory / "list.tsv").write_text("\n".join(self.rows) + "\n", encoding="utf-8")

    def experiment(self, jobs: int = 1, name: str = "exp", **sections: Dict[str, Any]) -> Experiment:
        """Write the listing; returns an experiment with the corpus."""
        self.write_list()
        return experiment_over(self.root, jobs, name, **sections)


def experiment_over(
    root: Path,
    jobs: int = 1,
    name: str = "exp",
    corpus: Optional[Dict[str, Any]] = None,
    features: Optional[Dict[str, Any]] = None,
) -> Experiment:
    """An experiment with the SmallCorpus in `root` and these settings."""
    config = RecipeConfig(
        name="small",
        corpus=CorpusConfig(**{"module": "small", "max_bad_fraction": 0.9, **(corpus or {})}),
        features=FeaturesConfig(**{"shard_utterances": 3, **(features or {})}),
    )
    return Experiment(
        config=config,
        directory=root / name,
        corpus_directory=root / "corpus",
        recipe_directory=root / "recipes" / "small",
        jobs=jobs,
    )


def kinds(rows: Sequence[Dict[str, Any]]) -> Dict[str, str]:
    """Kind by id, from rows of rejected.jsonl."""
    return {row["id"]: row["kind"] for row in rows}

"""The demo corpus: sentences of a small grammar, spoken by py-nanotts. Synthetic speech, no download.

Pico, the engine, has six voices. The four that aren't English read English by their own language's
letter-to-sound rules: the same word always sounds the same in one voice, and different between voices.
"""

import contextlib
import ctypes
import dataclasses
import functools
import multiprocessing
import os
import random
import re
import wave
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Sequence, Set

import numpy as np
import yaml

from asrkit.corpus.transcripts import read_lines
from asrkit.corpus.utterance import Utterance
from asrkit.errors import UserError
from asrkit.pipeline.progress import Progress
from asrkit.storage.files import read_json, whole_file, write_json, write_text
from asrkit.storage.fingerprint import hash_value

GRAMMAR_FILE = Path(__file__).resolve().parent.parent / "recipes" / "demo" / "grammar.yaml"
SAMPLING_RATE = 16000  # Pico's own
SEED = 20240229

# Sentences a voice. The unseen voice is American English: its British twin is in training with a larger share
# than the others, since no other training voice applies English letter-to-sound rules.
SPLITS: Dict[str, Dict[str, int]] = {
    "train": {"en-GB": 600, "de-DE": 350, "es-ES": 350, "fr-FR": 350, "it-IT": 350},
    "dev": {"en-GB": 20, "de-DE": 20, "es-ES": 20, "fr-FR": 20, "it-IT": 20},
    "test-seen": {"en-GB": 40, "de-DE": 40, "es-ES": 40, "fr-FR": 40, "it-IT": 40},
    "test-unseen": {"en-US": 100},
}
PITCH = (80, 125)  # percent of the voice's own, drawn evenly
SPEED = (90, 125)
VOLUME = 0.5  # at 1.0 loud vowels clip
NOISE = 16  # of 32768: even noise under the speech, since digital silence is nothing a microphone gives
TAIL = 0.2  # seconds kept after the last sound; some voices add 0.6 of silence
QUIET = 200  # of 32768; an utterance ends at the last sample above it
RENDERING = 1  # raise this when the same row is to sound different

MARKER = "corpus.json"  # written last: the corpus is complete
TRANSCRIPTS = "transcripts.tsv"
OWN_FILE = re.compile(r"[a-z]{2}-[A-Z]{2}-[0-9a-f]{12}\.wav")
COLUMNS = ("id", "split", "speaker", "pitch", "speed", "text")


@dataclasses.dataclass(frozen=True)
class Line:
    """What is to be spoken, by whom and how; pitch and speed in percent of the voice's own."""

    split: str
    voice: str
    pitch: int
    speed: int
    text: str

    @property
    def id(self) -> str:
        """Names all that the audio depends on, so that a file that exists is the right one."""
        key = [self.voice, self.pitch, self.speed, self.text, RENDERING, _engine_version()]
        return f"{self.voice}-{hash_value(key)[:12]}"

    def audio(self, corpus_directory: Path) -> Path:
        """Where its audio lies."""
        return corpus_directory / "audio" / self.split / f"{self.id}.wav"


def download(corpus_directory: Path) -> None:
    """Speak the corpus into the folder; what an interrupted run left there is kept."""
    speak_corpus(corpus_directory, sample_lines(read_grammar()), len(os.sched_getaffinity(0)))


def utterances(corpus_directory: Path) -> Iterable[Utterance]:
    """Every utterance of every split, as the transcript file lists them. Raises UserError when unfinished."""
    marker = corpus_directory / MARKER
    if not marker.is_file():
        raise UserError(
            f"no finished demo corpus in {corpus_directory}",
            expected=f"the file {MARKER}, written when all is spoken",
            where=str(marker),
            todo="recipes/demo/run.sh --stage 0 --stop-stage 0",
        )
    for line in _read_transcripts(corpus_directory / TRANSCRIPTS):
        audio = corpus_directory / "audio" / line["split"] / f"{line['id']}.wav"
        yield Utterance(line["id"], audio, line["text"], line["speaker"], line["split"])


def read_grammar(file: Path = GRAMMAR_FILE) -> Dict[str, Any]:
    """The grammar: `kinds` with weights and sentences, `rules` with alternatives."""
    grammar: Dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return grammar


def sample_lines(grammar: Dict[str, Any], share: float = 1.0) -> List[Line]:
    """Sentences for every split and voice, no sentence twice; `share` takes that part of each count.

    Training comes first: a sentence for dev or test with a word not in training is drawn again.
    """
    generator = random.Random(SEED)
    used: Set[str] = set()
    trained: Set[str] = set()
    lines: List[Line] = []
    for split, counts in SPLITS.items():
        voices = [voice for voice, count in counts.items() for _ in range(max(1, round(count * share)))]
        generator.shuffle(voices)  # else the first voice would take most of the sentences that are few
        for voice in voices:
            text = sample_sentence(grammar, generator)
            while text in used or (split != "train" and not trained.issuperset(text.split())):
                text = sample_sentence(grammar, generator)
            used.add(text)
            if split == "train":
                trained.update(text.split())
            lines.append(Line(split, voice, generator.randint(*PITCH), generator.randint(*SPEED), text))
    return lines


def sample_sentence(grammar: Dict[str, Any], generator: random.Random) -> str:
    """One sentence, its kind drawn by weight and every alternative evenly."""
    kinds = list(grammar["kinds"].values())
    kind = generator.choices(kinds, weights=[kind["weight"] for kind in kinds])[0]

    def expand(text: str) -> str:
        return re.sub(r"\{(\w+)(:spelled)?\}", alternative, text)

    def alternative(match: "re.Match[str]") -> str:
        chosen = expand(generator.choice(grammar["rules"][match.group(1)]))
        return " ".join(chosen) if match.group(2) else chosen

    return expand(generator.choice(kind["sentences"]))


def speak_corpus(corpus_directory: Path, lines: Sequence[Line], processes: int) -> None:
    """Write audio/<split>/<id>.wav, transcripts.tsv, and corpus.json when all of it is there.

    Audio that an earlier grammar gave is removed.
    """
    rows = [[line.id, line.split, line.voice, line.pitch, line.speed, line.text] for line in lines]
    state = {"lines": len(lines), "fingerprint": hash_value(rows)}
    marker = corpus_directory / MARKER
    wanted = {line.audio(corpus_directory): line for line in lines}
    missing = [line for file, line in wanted.items() if not file.is_file()]
    if not missing and marker.is_file() and read_json(marker) == state:
        return
    with contextlib.suppress(FileNotFoundError):
        marker.unlink()
    for line in lines:
        line.audio(corpus_directory).parent.mkdir(parents=True, exist_ok=True)
    _speak_all(corpus_directory, missing, processes)
    for file in corpus_directory.glob("audio/*/*.wav"):
        if OWN_FILE.fullmatch(file.name) and file not in wanted:
            file.unlink()
    table = ["\t".join(COLUMNS), *("\t".join(map(str, row)) for row in rows)]
    write_text(corpus_directory / TRANSCRIPTS, "\n".join(table) + "\n")
    write_json(marker, state)


def _speak_all(corpus_directory: Path, lines: Sequence[Line], processes: int) -> None:
    context = multiprocessing.get_context("fork")  # a spawned process couldn't import local/demo.py by name
    jobs = [(line, line.audio(corpus_directory)) for line in lines]
    workers = max(1, min(processes, len(jobs)))
    with context.Pool(workers, _use_clear_memory) as pool, Progress("speaking", total=len(jobs)) as bar:
        for seconds in pool.imap_unordered(_speak_file, jobs, chunksize=8):
            bar.advance(audio_seconds=seconds)


def _speak_file(job: Any) -> float:
    """Speak one line into its file, whole or not at all. Returns seconds of audio."""
    line, file = job
    samples = speak(line)
    with whole_file(file) as temporary, wave.open(str(temporary), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(SAMPLING_RATE)
        stream.writeframes(samples.tobytes())
    return len(samples) / SAMPLING_RATE


def speak(line: Line) -> "np.ndarray[Any, Any]":
    """Samples (n,) of int16 at 16 kHz; the same for the same line in a process with clear memory."""
    from py_nanotts import NanoTTS

    # Capital letters, so that "y" or "a" is read as a letter's name and not as a word.
    spoken = " ".join(word.upper() if len(word) == 1 else word for word in line.text.split())
    pcm = NanoTTS().speak(spoken, line.voice, line.speed / 100, line.pitch / 100, VOLUME)
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.int32)
    loud = np.flatnonzero(np.abs(samples) > QUIET)
    if not len(loud):
        raise RuntimeError(f"{line.voice} gave silence for {line.text!r}")
    samples = samples[: loud[-1] + round(TAIL * SAMPLING_RATE)]
    generator = np.random.default_rng(int(hash_value([line.id, line.text]), 16))
    noisy = samples + generator.integers(-NOISE, NOISE + 1, len(samples))
    clipped: np.ndarray[Any, Any] = np.clip(noisy, -32768, 32767).astype("<i2")
    return clipped


def _use_clear_memory() -> None:
    """Make speech repeatable.

    py-nanotts hands Pico 2.5 MB from malloc uncleared, and Pico's result depends on what was there: the
    same sentence twice in one process differs. Blocks above the mmap threshold come cleared from the kernel,
    but glibc raises the threshold above 2.5 MB when the first is freed; a threshold set by hand stays.
    """
    m_mmap_threshold = -3  # malloc.h
    with contextlib.suppress(AttributeError):  # other C libraries have no mallopt, nor a moving threshold
        ctypes.CDLL(None).mallopt(m_mmap_threshold, 1 << 17)


@functools.cache
def _engine_version() -> str:
    try:
        return version("py-nanotts")
    except PackageNotFoundError:
        raise UserError(
            "py-nanotts isn't installed",
            expected="the speech synthesis that the demo corpus is spoken by",
            where="local/demo.py",
            todo="make setup, or pip install py-nanotts",
        ) from None


def _read_transcripts(file: Path) -> Iterator[Dict[str, str]]:
    rows = [line.split("\t") for _, line in read_lines(file)]
    if not rows or tuple(rows[0]) != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        raise UserError(
            f"{file} is damaged",
            expected=f"columns {', '.join(COLUMNS)}",
            where=str(file),
            todo="delete it and run recipes/demo/run.sh --stage 0",
        )
    for row in rows[1:]:
        yield dict(zip(COLUMNS, row))

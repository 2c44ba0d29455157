"""The demo corpus: sentences of a small grammar, synthesised with py-nanotts; needs no download."""

import dataclasses
import os
import random
import re
from pathlib import Path
from typing import Dict, Iterable, List, Sequence, Set

from asrkit.config import CorpusConfig, RecipeConfig
from asrkit.corpus.synthesis import Speech, speak_files
from asrkit.corpus.transcripts import read_table
from asrkit.corpus.utterance import Utterance
from asrkit.errors import UserError
from asrkit.storage.files import read_json, write_json, write_text
from asrkit.storage.fingerprint import hash_value
from asrkit.text.grammar import Grammar, draw_sentence, read_grammar

GRAMMAR_FILE = Path(__file__).resolve().parent.parent / "recipes" / "demo" / "grammar.yaml"
SEED = 20240229

# Sentences per voice. The unseen voice is American English. British English has a larger share of train,
# because no other training voice uses English letter-to-sound rules.
SPLITS: Dict[str, Dict[str, int]] = {
    "train": {"en-GB": 600, "de-DE": 350, "es-ES": 350, "fr-FR": 350, "it-IT": 350},
    "dev": {"en-GB": 20, "de-DE": 20, "es-ES": 20, "fr-FR": 20, "it-IT": 20},
    "test-seen": {"en-GB": 40, "de-DE": 40, "es-ES": 40, "fr-FR": 40, "it-IT": 40},
    "test-unseen": {"en-US": 100},
}
PITCH = (92, 109)  # percent of the voice's default, uniform
SPEED = (92, 109)

MARKER = "corpus.json"  # written last, when the corpus is complete
TRANSCRIPTS = "transcripts.tsv"
OWN_FILE = re.compile(r"[a-z]{2}-[A-Z]{2}-[0-9a-f]{12}\.wav")
COLUMNS = ("id", "split", "speaker", "pitch", "speed", "text")


@dataclasses.dataclass(frozen=True)
class Line:
    """A sentence, its voice and its split."""

    split: str
    speech: Speech

    def audio(self, corpus_directory: Path) -> Path:
        """Path of its audio."""
        return corpus_directory / "audio" / self.split / f"{self.speech.id}.wav"


def download(corpus_directory: Path, config: RecipeConfig) -> None:
    """Synthesise the corpus; audio of an interrupted run is kept."""
    speak_corpus(corpus_directory, sample_lines(read_grammar(GRAMMAR_FILE)), len(os.sched_getaffinity(0)))


def utterances(corpus_directory: Path, config: CorpusConfig) -> Iterable[Utterance]:
    """Every row of transcripts.tsv; raises UserError if the corpus is unfinished."""
    marker = corpus_directory / MARKER
    if not marker.is_file():
        found = f"no finished demo corpus in {corpus_directory}"
        todo = "recipes/demo/run.sh --stage download --stop-stage download"
        raise UserError(found, f"the file {MARKER}, which is written last", str(marker), todo)
    for _, line in read_table(corpus_directory / TRANSCRIPTS, COLUMNS):
        audio = corpus_directory / "audio" / line["split"] / f"{line['id']}.wav"
        yield Utterance(line["id"], audio, line["text"], line["speaker"], line["split"])


def sample_lines(grammar: Grammar, share: float = 1.0) -> List[Line]:
    """Draw distinct sentences for every split and voice; `share` scales the counts.

    train comes first: sentences of dev and test with an OOV word are redrawn.
    """
    generator = random.Random(SEED)
    used: Set[str] = set()
    trained: Set[str] = set()
    lines: List[Line] = []
    for split, counts in SPLITS.items():
        voices = [voice for voice, count in counts.items() for _ in range(max(1, round(count * share)))]
        generator.shuffle(voices)  # or the first voice would get most of the rare sentences
        for voice in voices:
            text = draw_sentence(grammar, generator)
            while text in used or (split != "train" and not trained.issuperset(text.split())):
                text = draw_sentence(grammar, generator)
            used.add(text)
            if split == "train":
                trained.update(text.split())
            pitch, speed = generator.randint(*PITCH), generator.randint(*SPEED)
            lines.append(Line(split, Speech(voice, pitch, speed, text)))
    return lines


def speak_corpus(corpus_directory: Path, lines: Sequence[Line], processes: int) -> None:
    """Write audio/SPLIT/ID.wav, transcripts.tsv and then corpus.json; remove audio of an earlier grammar."""
    rows = [[line.speech.id, line.split, *dataclasses.astuple(line.speech)] for line in lines]
    state = {"lines": len(lines), "fingerprint": hash_value(rows)}
    marker = corpus_directory / MARKER
    wanted = {line.audio(corpus_directory): line for line in lines}
    missing = [(line.speech, file) for file, line in wanted.items() if not file.is_file()]
    if not missing and marker.is_file() and read_json(marker) == state:
        return
    marker.unlink(missing_ok=True)
    speak_files(missing, processes)
    for file in corpus_directory.glob("audio/*/*.wav"):
        if OWN_FILE.fullmatch(file.name) and file not in wanted:
            file.unlink()
    table = ["\t".join(COLUMNS), *("\t".join(map(str, row)) for row in rows)]
    write_text(corpus_directory / TRANSCRIPTS, "\n".join(table) + "\n")
    write_json(marker, state)

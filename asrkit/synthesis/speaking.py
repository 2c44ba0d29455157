"""Speak texts with the voice of an experiment."""

import dataclasses
import difflib
import os
from pathlib import Path
from typing import List, Optional

import numpy as np

from asrkit.config.recipe import FeaturesConfig
from asrkit.config.symbols import BLANK
from asrkit.corpus.text import normalise_typed
from asrkit.errors import UserError
from asrkit.pipeline.experiment import open_experiment
from asrkit.storage.files import whole_file
from asrkit.synthesis.network import Voice, load_voice
from asrkit.synthesis.waveform import to_samples
from asrkit.text.units import Units, load_units

VOICE = "voice.safetensors"  # in EXP/synthesise


@dataclasses.dataclass(frozen=True)
class Speaker:
    """Text to samples: units, network and waveform."""

    voice: Voice
    units: Units
    config: FeaturesConfig

    def speak(self, text: str, name: Optional[str] = None, speed: float = 1.0) -> np.ndarray:
        """Samples (sample,), float32 at the features' rate; `name`: a speaker of training, else the first.

        Raises UserError for an unknown speaker, an empty text, and words without units of their own.
        """
        name = self.voice.speakers[0] if name is None else name
        self.refuse_unknown_speaker(name)
        return self.synthesise(self.refuse_unknown(text), name, speed)

    def synthesise(self, text: str, name: str, speed: float = 1.0) -> np.ndarray:
        """Speak without checks; words without units of their own are spoken as the unknown word."""
        ids = [BLANK, *self.units.encode(text), BLANK]
        samples: np.ndarray = to_samples(self.voice.features(ids, name, speed), self.config).numpy()
        return samples

    def refuse_unknown_speaker(self, name: str) -> None:
        """Raise UserError for a name that isn't a training speaker."""
        speakers = self.voice.speakers
        if name not in speakers:
            (near,) = difflib.get_close_matches(name, speakers, n=1) or [speakers[0]]
            expected = f"a training speaker: {', '.join(speakers[:10])}"
            raise UserError(f"no speaker {name}", expected, "--speaker", f"--speaker {near}")

    def refuse_unknown(self, text: str) -> str:
        """Return the normalised text; raises UserError if it has no words, or words without own units.

        The unknown word doesn't replace them, because the table of --lines would then name words that the
        audio doesn't contain.
        """
        text = normalise_typed(text)
        if not text.split():
            todo = 'asrkit speak --exp EXP "WORDS" out.wav'
            raise UserError("a text without words", "words of the training text", "TEXT", todo)
        unknown = self.units.unspelled_words(text)
        if unknown:
            cases = {case for word in unknown for case in (word.lower(), word.upper())}
            known = sorted(word for word in cases if not self.units.unspelled_words(word))
            todo = "write numbers as words and leave out punctuation; units/lexicon.txt has the words"
            if known:
                todo = f"type {', '.join(known[:5])}: the letter case of the training text"
            expected = "words of the lexicon, or of characters that the units spell"
            raise UserError(f"no units for {', '.join(unknown[:5])}", expected, "TEXT", todo)
        return text


def open_speaker(place: Path) -> Speaker:
    """The voice of an experiment whose stage synthesise has finished; raises UserError if there is none."""
    experiment = open_experiment(place)
    file = experiment.folder("synthesise") / VOICE
    if not file.exists():
        found, todo = (
            f"{place} has no voice",
            "run.sh --stage align --stop-stage synthesise; docs/speak.md says how",
        )
        raise UserError(found, "a finished stage synthesise", str(file), todo)
    return Speaker(load_voice(file), load_units(experiment.folder("units")), experiment.config.features)


def write_sound(file: Path, samples: np.ndarray, rate: int) -> None:
    """Write samples (sample,) as 16 bits, WAV or FLAC by the file's ending; raises UserError for another."""
    import soundfile

    form = file.suffix.lower().lstrip(".")
    if form not in ("wav", "flac"):
        raise UserError(f"{file.name} ends with {file.suffix or 'nothing'}", ".wav or .flac", str(file))
    with whole_file(file) as temporary:
        soundfile.write(os.fsencode(temporary), samples, rate, "PCM_16", format=form.upper())


def texts_of(file: Path) -> List[str]:
    """The non-empty lines of a text file; raises UserError if there are none."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        found = f"can't read {file}: {error}"
        raise UserError(found, "a text in UTF-8", str(file), "check the name") from None
    texts = [" ".join(line.split()) for line in lines if line.strip()]
    if not texts:
        raise UserError(f"{file} has no text", "one sentence per line", str(file), "write some lines")
    return texts

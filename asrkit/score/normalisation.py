"""Steps of text normalisation before errors are counted, the same for reference and hypothesis."""

import dataclasses
import unicodedata
from typing import Callable, Dict, List, Optional, Sequence

from asrkit.corpus.transcripts import strip_punctuation
from asrkit.errors import UserError
from asrkit.score.transcripts import Transcript

# The names of score.normalise.
STEPS: Dict[str, Callable[[str], str]] = {
    "nfkc": lambda text: unicodedata.normalize("NFKC", text),  # full-width letters, ligatures
    "lower": str.lower,
    "strip-punctuation": strip_punctuation,
}


def normalise(words: Sequence[str], steps: Sequence[str]) -> List[str]:
    """Words after the named steps, in the order given; UserError for a step that isn't one."""
    text = " ".join(words)
    for step in steps:
        if step not in STEPS:
            raise UserError(
                f"unknown normalisation step {step!r}",
                expected=f"one of {', '.join(STEPS)}",
                where="score.normalise",
            )
        text = STEPS[step](text)
    return text.split()


def normalise_transcripts(transcripts: Sequence[Transcript], steps: Sequence[str]) -> List[Transcript]:
    """Each transcript with the steps applied to both sides; UserError when no reference word is left."""
    normalised = [
        dataclasses.replace(
            transcript,
            reference=normalise(transcript.reference, steps),
            hypothesis=normalise(transcript.hypothesis, steps),
            timed=_time_normalised(transcript, steps),
        )
        for transcript in transcripts
    ]
    if not any(transcript.reference for transcript in normalised):
        raise UserError(
            "no word of the reference is left to count",
            expected="words that score.normalise leaves",
            where=f"score.normalise: {', '.join(steps)}",
            todo="leave out the step that takes them away, then run.sh --stage score",
        )
    return normalised


def _time_normalised(transcript: Transcript, steps: Sequence[str]) -> Optional[List[List[float]]]:
    """A word that became several gives each its time and confidence; one that vanished takes them along."""
    if transcript.timed is None:
        return None
    return [
        timed
        for word, timed in zip(transcript.hypothesis, transcript.timed)
        for _ in normalise([word], steps)
    ]

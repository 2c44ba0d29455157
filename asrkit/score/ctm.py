"""Timed words as ctm files, and references as stm files, which sclite aligns with them."""

from typing import Sequence

from asrkit.score.transcripts import Transcript
from asrkit.score.trn import NOT_IN_SPEAKERS, sclite_id, sclite_word


def make_ctm(transcripts: Sequence[Transcript]) -> str:
    """Lines "utterance 1 start duration word confidence", in seconds.

    A comment names an utterance whose words have no times, for want of a lattice.
    """
    lines = []
    for each in transcripts:
        name = sclite_id(each.id)
        if each.timed is None:
            lines.append(f";; {name}: {each.rejected or 'no lattice'}, so no times")
        for word, (start, duration, confidence) in zip(each.hypothesis, each.timed or []):
            lines.append(f"{name} 1 {start:.2f} {duration:.2f} {sclite_word(word)} {confidence:.4f}")
    return "".join(f"{line}\n" for line in lines)


def make_stm(transcripts: Sequence[Transcript]) -> str:
    """Lines "utterance 1 speaker 0.00 end words"; one that can't be decoded may have no known end: 0.01."""
    return "".join(
        f"{sclite_id(each.id)} 1 {NOT_IN_SPEAKERS.sub('.', each.speaker)} 0.00 "
        f"{max(each.duration, 0.01):.2f} {' '.join(map(sclite_word, each.reference))}\n"
        for each in transcripts
    )

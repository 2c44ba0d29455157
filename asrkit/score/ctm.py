"""Files for sclite: trn, whose lines end with ids in brackets; ctm with timed words, and stm for it."""

import re
import urllib.parse
from typing import Sequence

from asrkit.score.transcripts import Transcript

NOT_IN_IDS = re.compile(r"[%();\s]")
NOT_IN_SPEAKERS = re.compile(r"[-_();\s]")
# What sclite takes for a sign of its own: {A / B}, @ for no word, (A) for one that may be missing, <label>,
# ;; for a comment, A:B for a word with a tag, \ before these, an asterisk at the end, and
# IGNORE_TIME_SEGMENT_IN_SCORING in the place of a text; % because these are written with it
SIGNS = re.compile(r"[%(){}/@<>;:*\\]|(?<=^IGNORE)_(?=TIME)", re.IGNORECASE)


def make_trn(transcripts: Sequence[Transcript], hypothesis: bool) -> str:
    """Text of the file of references, or of hypotheses: lines like "go to ten (speaker-id)".

    With `sclite -i spu_id` what stands before the first hyphen is the speaker. So a hyphen or an
    underscore in a speaker's name becomes a full stop, as do brackets, semicolons and blanks.
    """
    lines = []
    for each in transcripts:
        name = f"{NOT_IN_SPEAKERS.sub('.', each.speaker)}-{sclite_id(each.id)}"
        words = map(sclite_word, each.hypothesis if hypothesis else each.reference)
        lines.append(" ".join([*words, f"({name})"]))
    return "\n".join(lines) + "\n"


def sclite_word(word: str) -> str:
    """The word with sclite's own signs written as in URLs, so that it counts as one word and as no other."""
    return SIGNS.sub(_quoted, word)


def sclite_id(id: str) -> str:
    """The id with what sclite takes for its end, or a comment, written as in URLs."""
    return NOT_IN_IDS.sub(_quoted, id)


def _quoted(sign: "re.Match[str]") -> str:
    return "%5F" if sign[0] == "_" else urllib.parse.quote(sign[0], safe="")


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

"""Transcripts as trn files, which sclite reads: a line of words with the id in brackets at its end."""

import re
from typing import Sequence

from asrkit.score.transcripts import Transcript

NOT_IN_NAMES = re.compile(r"[()\s]")
NOT_IN_SPEAKERS = re.compile(r"[-_()\s]")


def make_trn(transcripts: Sequence[Transcript], hypothesis: bool) -> str:
    """Text of the file of references, or of hypotheses: lines like "go to ten (speaker-id)".

    With `sclite -i spu_id` what stands before the first hyphen is the speaker. So a hyphen or an
    underscore in a speaker's name becomes a full stop, and a bracket or blank in any name does too.
    """
    lines = []
    for each in transcripts:
        name = f"{NOT_IN_SPEAKERS.sub('.', each.speaker)}-{NOT_IN_NAMES.sub('.', each.id)}"
        lines.append(" ".join([*(each.hypothesis if hypothesis else each.reference), f"({name})"]))
    return "\n".join(lines) + "\n"

"""Files for NIST's sclite: trn, ctm (words with times and confidences) and the stm for it."""

import re
import urllib.parse
from typing import Sequence

from asrkit.score.transcripts import Transcript

NOT_IN_IDS = re.compile(r"[%();\s]")
NOT_IN_SPEAKERS = re.compile(r"[-_();\s]")
# Characters with a meaning to sclite, percent-encoded: {A / B} alternatives, @ no word, (A) optional,
# <label>, ;; comment, A:B word with a tag, \ escape, a final asterisk, IGNORE_TIME_SEGMENT_IN_SCORING as
# the text; and % itself, which the encoding uses
SIGNS = re.compile(r"[%(){}/@<>;:*\\]|(?<=^IGNORE)_(?=TIME)", re.IGNORECASE)


def make_trn(transcripts: Sequence[Transcript], hypothesis: bool) -> str:
    """Text of a trn file of the references or the hypotheses: lines like "go to ten (speaker-id)".

    With `sclite -i spu_id` the speaker is the part before the first hyphen. So hyphens, underscores,
    brackets, semicolons and white space in a speaker's name become full stops.
    """
    lines = []
    for each in transcripts:
        name = f"{NOT_IN_SPEAKERS.sub('.', each.speaker)}-{_escape_id(each.id)}"
        words = map(_escape_word, each.hypothesis if hypothesis else each.reference)
        lines.append(" ".join([*words, f"({name})"]))
    return "\n".join(lines) + "\n"


def make_ctm(transcripts: Sequence[Transcript]) -> str:
    """Lines "utterance 1 start duration word confidence", in seconds.

    A comment names each utterance without word times, because it has no lattice.
    """
    lines = []
    for each in transcripts:
        name = _escape_id(each.id)
        if each.timed is None:
            lines.append(f";; {name}: {each.rejected or 'no lattice'}, so no times")
        for word, (start, duration, confidence) in zip(each.hypothesis, each.timed or []):
            lines.append(f"{name} 1 {start:.2f} {duration:.2f} {_escape_word(word)} {confidence:.4f}")
    return "".join(f"{line}\n" for line in lines)


def make_stm(transcripts: Sequence[Transcript]) -> str:
    """Lines "utterance 1 speaker 0.00 end words"; the end is 0.01 if the duration is unknown."""
    return "".join(
        f"{_escape_id(each.id)} 1 {NOT_IN_SPEAKERS.sub('.', each.speaker)} 0.00 "
        f"{max(each.duration, 0.01):.2f} {' '.join(map(_escape_word, each.reference))}\n"
        for each in transcripts
    )


def _escape_word(word: str) -> str:
    return SIGNS.sub(_percent_encode, word)


def _escape_id(id: str) -> str:
    return NOT_IN_IDS.sub(_percent_encode, id)


def _percent_encode(sign: "re.Match[str]") -> str:
    return "%5F" if sign[0] == "_" else urllib.parse.quote(sign[0], safe="")

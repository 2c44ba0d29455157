"""The listing of a scored set: summary, speakers, confusions, and every utterance aligned."""

import unicodedata
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from asrkit.score.alignment import Alignment, Counts, error_kind
from asrkit.score.breakdown import break_down, describe_calibration, reliability_table
from asrkit.score.evaluation import Evaluation
from asrkit.score.records import (
    describe,
    describe_confusion,
    describe_groups,
    describe_interval,
    describe_rate,
)
from asrkit.score.transcripts import Transcript

WIDTH = 100  # columns of an aligned line
COMMON = 20  # entries shown of each list of confusions


def make_listing(
    name: str,
    method: str,
    evaluations: Sequence[Evaluation],
    lost: Mapping[str, str],
    calibration: Optional[Dict[str, Any]] = None,
) -> str:
    """Text of score/{set}_{method}.txt.

    `evaluations` are of the same transcripts; the first one's unit is aligned, the others' counts
    are given. The utterances with most errors come first, then by id; correct ones take a line.
    `lost` gives the reasons of utterances that are in no count, by id; `calibration` is that of the
    words' confidences.
    """
    headline = evaluations[0]
    wrong = sum(counts.errors > 0 for counts in headline.counts)
    lines = [f"{name} {method} {describe(each.unit, each.total, each.interval)}" for each in evaluations]
    lines.append(f"{len(headline.counts)} utterances, {wrong} with errors")
    lines += _rejected_lines(headline.transcripts, lost)
    by_speaker = headline.interval_by_speaker
    interval = f", interval by speaker {describe_interval(by_speaker)}" if by_speaker else ""
    lines += ["", f"Speakers, worst first ({headline.unit}s){interval}"]
    lines += [f"  {speaker}  {describe_rate(counts)}" for speaker, counts in headline.speakers().items()]
    lines += _breakdown_lines(headline)
    if calibration:
        title = f"Words by confidence, {describe_calibration(calibration)}"
        lines += ["", title, *(f"  {line}" for line in reliability_table(calibration))]
    lines += ["", "Utterances, most errors first", ""]
    order = sorted(range(len(headline.counts)), key=lambda index: -headline.counts[index].errors)
    for index in order:
        lines += _utterance_lines(
            headline.transcripts[index], headline.counts[index], headline.alignments[index], headline.unit
        )
    return "\n".join(lines) + "\n"


def aligned_lines(alignment: Alignment, join: str = " ", width: int = WIDTH) -> List[str]:
    """REF, HYP and ERR lines with their tokens in columns, folded at `width` columns.

    Stars fill the place of a deleted or an inserted token; wide (East Asian) characters count as
    two columns. ERR has S, D or I below each error.
    """
    lines: List[str] = []
    for part in _fold(alignment, width - 5, len(join)):
        rows: Tuple[List[str], List[str], List[str]] = ([], [], [])
        for reference, hypothesis in part:
            columns = max(_columns(reference), _columns(hypothesis))
            stars, kind = "*" * columns, error_kind(reference, hypothesis)
            cells = (reference or stars, hypothesis or stars, kind)
            for row, cell in zip(rows, cells):
                row.append(cell + " " * (columns - _columns(cell)))
        for label, row in zip(("REF: ", "HYP: ", "ERR: "), rows):
            lines.append((label + join.join(row)).rstrip())
    return lines


def _fold(alignment: Alignment, width: int, gap: int) -> Iterator[Alignment]:
    part: Alignment = []
    used = 0
    for pair in alignment:
        columns = max(_columns(pair[0]), _columns(pair[1])) + gap
        if part and used + columns > width + gap:
            yield part
            part, used = [], 0
        part.append(pair)
        used += columns
    if part:
        yield part


def _columns(text: str) -> int:
    """Columns that a terminal gives to `text`."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def _utterance_lines(transcript: Transcript, counts: Counts, alignment: Alignment, unit: str) -> List[str]:
    head = f"{transcript.id}  {transcript.speaker}  {counts.errors}/{counts.reference}"
    if transcript.outcome:
        head += f"  fell back to {transcript.outcome}"
    if not counts.errors:
        return [f"{head}  {' '.join(transcript.reference)}"]
    if transcript.rejected:
        head += f"  not decoded: {transcript.rejected}"
    return [head, *aligned_lines(alignment, "" if unit == "character" else " "), ""]


def _rejected_lines(transcripts: Sequence[Transcript], lost: Mapping[str, str]) -> List[str]:
    lines: List[str] = []
    rejected = {each.id: each.rejected for each in transcripts if each.rejected}
    for reasons, title in [
        (rejected, "not decoded, all their words counted as deleted"),
        (lost, "in no count, for want of a text or of an id of their own"),
    ]:
        if reasons:
            lines.append(f"{len(reasons)} {title}:")
            lines += [f"  {key}  {reason}" for key, reason in reasons.items()]
    return lines


def _breakdown_lines(evaluation: Evaluation) -> List[str]:
    """Errors by length and signal-to-noise ratio; what was substituted, deleted and inserted most often."""
    lines: List[str] = []
    breakdown = break_down(evaluation)
    titles = {"lengths": f"Length of the reference in {evaluation.unit}s", "snr": "Signal-to-noise ratio"}
    for key, title in titles.items():
        groups = describe_groups(breakdown[key])
        lines += ["", title, *(f"  {group}" for group in groups)] if groups else []
    for kind, found in breakdown["confusions"].items():
        if found:
            shown = f", the first {COMMON} of {len(found)}" if len(found) > COMMON else ""
            lines += ["", f"{kind.capitalize()}, most frequent first{shown}"]
            lines += [f"  {describe_confusion(row)}" for row in found[:COMMON]]
    return lines

"""The listing of a scored set: summary, speakers, confusions, and every utterance aligned."""

import unicodedata
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

from asrkit.score.alignment import Alignment, Counts, error_kind
from asrkit.score.breakdown import break_down, reliability_table
from asrkit.score.evaluation import Evaluation
from asrkit.score.records import describe, describe_confusion, describe_groups, describe_interval
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

    `evaluations` of the same transcripts: the first one's unit is aligned, the others give their
    counts. Utterances with most errors come first, then by id; correct ones take one line. `lost`:
    reasons of the utterances excluded from scoring, by id.
    """
    headline, breakdown = evaluations[0], break_down(evaluations[0])
    wrong = sum(counts.errors > 0 for counts in headline.counts)
    lines = [f"{name} {method} {describe(each.unit, each.total, each.interval)}" for each in evaluations]
    lines.append(f"{len(headline.counts)} utterances, {wrong} with errors")
    rejected = {each.id: each.rejected for each in headline.transcripts if each.rejected}
    for reasons, title in [
        (rejected, "not decoded, all their words counted as deletions"),
        (lost, "excluded from scoring: no transcript or duplicate id"),
    ]:
        if reasons:
            lines += [f"{len(reasons)} {title}:", *(f"  {key}  {why}" for key, why in reasons.items())]
    by_speaker = headline.interval_by_speaker
    interval = f", interval by speaker {describe_interval(by_speaker)}" if by_speaker else ""
    lines += ["", f"Speakers, worst first ({headline.unit}s){interval}"]
    lines += [f"  {name}  {rate}" for name, rate in describe_groups(breakdown["speakers"]).items()]
    titles = {
        "groups": "Groups of speakers",
        "lengths": f"Length of the reference in {headline.unit}s",
        "snr": "Signal-to-noise ratio",
    }
    for key, title in titles.items():
        groups = describe_groups(breakdown[key])
        lines += ["", title, *(f"  {name} {rate}" for name, rate in groups.items())] if groups else []
    for kind, found in breakdown["confusions"].items():
        if found:
            shown = f", the first {COMMON} of {len(found)}" if len(found) > COMMON else ""
            lines += ["", f"{kind.capitalize()}, most frequent first{shown}"]
            lines += [f"  {describe_confusion(row)}" for row in found[:COMMON]]
    if calibration:
        lines += ["", *reliability_table(calibration)]
    lines += ["", "Utterances, most errors first", ""]
    rows = zip(headline.transcripts, headline.counts, headline.alignments)
    for transcript, counts, alignment in sorted(rows, key=lambda row: -row[1].errors):
        lines += _utterance_lines(transcript, counts, alignment, headline.unit)
    return "\n".join(lines) + "\n"


def aligned_lines(alignment: Alignment, join: str = " ", width: int = WIDTH) -> List[str]:
    """REF, HYP and ERR lines with their tokens in columns, folded at `width` columns.

    Stars stand for a deleted or an inserted token; ERR has S, D or I below each error.
    """
    lines: List[str] = []
    for part in _fold(alignment, width - 5, len(join)):
        rows: Dict[str, List[str]] = {"REF: ": [], "HYP: ": [], "ERR: ": []}
        for reference, hypothesis in part:
            columns = max(_columns(reference), _columns(hypothesis))
            cells = (
                reference or "*" * columns,
                hypothesis or "*" * columns,
                error_kind(reference, hypothesis),
            )
            for row, cell in zip(rows.values(), cells):
                row.append(cell + " " * (columns - _columns(cell)))
        lines += [(label + join.join(row)).rstrip() for label, row in rows.items()]
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
    """Terminal columns of `text`: wide (East Asian) characters take two, combining ones none."""
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

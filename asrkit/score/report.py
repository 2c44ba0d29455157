"""RESULTS.md and README's table, made from results.json and cost.json alone."""

import statistics
from typing import Any, Dict, List, Optional, Sequence, Tuple

import jinja2

from asrkit.errors import UserError
from asrkit.score.alignment import Counts
from asrkit.score.breakdown import describe_calibration
from asrkit.score.records import (
    describe_confusion,
    describe_groups,
    describe_interval,
    describe_partial,
    describe_rate,
    describe_result,
    describe_rtf,
    headlines,
    record_counts,
)

ABSENT = "not recorded"
RESULT_COLUMNS = (
    *("set", "method", "error rate [interval]", "by speaker", "ins", "del", "sub", "utterances"),
    *("not decoded", "fallbacks", "RTF"),
)
TABLE_BEGIN = "<!-- results: begin; written by asrkit report -->"
TABLE_END = "<!-- results: end -->"
RESULTS = """\
# Results of {{ name }}

Generated from results.json and cost.json; changes made by hand are lost.

| {{ columns | join(" | ") }} |
|{{ " --- |" * columns | length }}
{% for row in rows %}
| {{ row | join(" | ") }} |
{% endfor %}

{% if partial %}
**Partial**: of the corpus {{ partial }} were there; published results are of the whole corpus.

{% endif %}
WER counts words, CER characters without spaces, UER units of the lexicon (units/units.txt).
Text normalisation before WER and CER are counted (score.normalise): {{ normalise }}.
The interval is a {{ confidence }} bootstrap by utterance, and, of five speakers or more, also one by speaker.
Utterances that could not be decoded count with all their words deleted. Fallbacks are utterances whose
lattice was empty. RTF is seconds of decoding a second of audio.
{% if notes %}

{% for note in notes %}
- {{ note }}
{% endfor %}
{% endif %}

## Cost

| | |
| --- | --- |
{% for fact, value in facts %}
| {{ fact }} | {{ value }} |
{% endfor %}
{% if stages %}

| stage | time | peak memory |
| --- | --- | --- |
{% for stage, time, memory in stages %}
| {{ stage }} | {{ time }} | {{ memory }} |
{% endfor %}
{% endif %}
"""


def render_results(name: str, results: Sequence[Dict[str, Any]], cost: Dict[str, Any]) -> str:
    """Text of a recipe's RESULTS.md. A fact that the records lack is shown as "not recorded"."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.from_string(RESULTS).render(
        name=name,
        columns=RESULT_COLUMNS,
        rows=[_result_row(record) for record in results],
        notes=_settings_notes(results) + [note for record in headlines(results) for note in _notes(record)],
        partial=results[0].get("partial"),
        normalise=", ".join(results[0]["normalise"]) or "none" if "normalise" in results[0] else ABSENT,
        confidence=f"{100 * results[0]['confidence']:g} %",
        facts=cost_facts(cost),
        stages=_stage_rows(cost),
    )


def cost_facts(cost: Dict[str, Any]) -> List[Tuple[str, str]]:
    """Names and values of the cost table."""
    stages: Dict[str, Any] = cost.get("stages") or {}
    seconds = [stage["seconds"] for stage in stages.values() if stage.get("seconds") is not None]
    peaks = [stage["peak_bytes"] for stage in stages.values() if stage.get("peak_bytes") is not None]
    return [
        ("training", _duration((stages.get("train") or {}).get("seconds"))),
        ("all stages", _duration(sum(seconds) if seconds else None)),
        ("parameters", _number(cost.get("parameters"), "{:,}")),
        ("training audio", _number(cost.get("audio_hours"), "{:.2f} h")),
        ("peak memory", _memory(max(peaks) if peaks else None)),
        ("cores", _number(cost.get("cores"), "{}")),
        ("device", _number(cost.get("device"), "{}")),
        ("commit", _number(cost.get("commit"), "`{}`")),
        ("configuration", _number(cost.get("configuration"), "`{}`")),
        ("command", _number(cost.get("command"), "`{}`")),
    ]


def render_table(recipes: Sequence[Tuple[str, List[Dict[str, Any]], Dict[str, Any]]]) -> str:
    """README's table: for (recipe, results, cost) one row a test set and method."""
    lines = [
        "| recipe | test set | method | error rate [interval] | RTF | parameters | training | all stages |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, results, cost in recipes:
        facts = dict(cost_facts(cost))
        for record in headlines(results, role="test"):
            cells = [
                f"[{name}](recipes/{name}/RESULTS.md)",
                record["set"],
                record["method"],
                _rate_cell(record),
                describe_rtf(record["rtf"]),
                *(facts[key] for key in ("parameters", "training", "all stages")),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def replace_table(readme: str, table: str) -> str:
    """`readme` with what stands between the two markers replaced; UserError without them."""
    before, begin, rest = readme.partition(TABLE_BEGIN)
    _, end, after = rest.partition(TABLE_END)
    if not begin or not end:
        raise UserError(
            "no place for the table of results",
            expected=f"the lines {TABLE_BEGIN} and {TABLE_END}",
            where="README.md",
            todo="put these two lines where the table belongs",
        )
    return f"{before}{TABLE_BEGIN}\n{table}\n{TABLE_END}{after}"


def _rate_cell(record: Dict[str, Any]) -> str:
    rate = describe_result(record["unit"], record_counts(record), record["interval"])
    return rate + describe_partial(record)


def _result_row(record: Dict[str, Any]) -> List[str]:
    fallbacks = _list_values({key: value for key, value in record["fallbacks"].items() if value})
    return [
        f"{record['set']} (settings chosen here)" if record["role"] == "dev" else record["set"],
        f"{record['method']} (a bound, no result)" if record["role"] == "bound" else record["method"],
        _rate_cell(record),
        _speaker_interval(record),
        *(str(record[key]) for key in ("insertions", "deletions", "substitutions", "utterances", "rejected")),
        fallbacks or "0",
        describe_rtf(record["rtf"]),
    ]


def _speaker_interval(record: Dict[str, Any]) -> str:
    """Empty where there are too few speakers."""
    if "interval_by_speaker" not in record:
        return ABSENT
    interval = record["interval_by_speaker"]
    return describe_interval(interval) if interval else ""


def _list_values(values: Dict[str, Any]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in values.items())


def _settings_notes(results: Sequence[Dict[str, Any]]) -> List[str]:
    """What each method was run with, said once where it is the same for all sets."""
    run_with = [(record["method"], _list_values(record["settings"])) for record in results]
    return [f"{method}: {settings}." for method, settings in dict.fromkeys(run_with) if settings]


def _notes(record: Dict[str, Any]) -> List[str]:
    """What a reader must know beside a rate: its spread, the most frequent errors, and its limits."""
    speakers = {name: Counts(length, 0, 0, errors) for name, (errors, length) in record["speakers"].items()}
    worst = sorted(speakers.items(), key=lambda item: (-item[1].rate, item[0]))[:3]
    middle = statistics.median(counts.rate for counts in speakers.values())
    highest = ", ".join(f"{name} {describe_rate(counts)}" for name, counts in worst)
    about = f"{record['set']}, {record['method']}"
    notes = []
    if len(speakers) > 1:
        notes.append(f"{about}: {len(speakers)} speakers, median {middle:.2f} %, highest {highest}.")
    notes += [f"{about}: {note}." for note in _error_notes(record)]
    if record.get("calibration"):
        notes.append(f"{about}: {describe_calibration(record['calibration'])}.")
    if record["lost"]:
        notes.append(f"{about}: {record['lost']} utterances are in no count, for want of a text or an id.")
    if record["errors"] == 0:
        notes.append(
            f"{about}: no error was seen, of which a bootstrap knows nothing; by the rule of three the rate "
            f"is below {300 / record['reference']:.2f} % with 95 % confidence."
        )
    return notes


def _error_notes(record: Dict[str, Any]) -> List[str]:
    """Where the errors are, and the most frequent ones; records kept long ago say neither."""
    notes = []
    for key, title in (("lengths", f"length in {record['unit']}s"), ("snr", "signal-to-noise ratio")):
        groups = describe_groups(record.get(key, {}))
        if len(groups) > 1:
            notes.append(f"by {title}: {', '.join(groups)}")
    frequent = [
        f"{kind} {', '.join(map(describe_confusion, rows))}"
        for kind, rows in record.get("confusions", {}).items()
        if rows
    ]
    if frequent:
        notes.append(f"most frequent {'; '.join(frequent)}")
    return notes


def _stage_rows(cost: Dict[str, Any]) -> List[Tuple[str, str, str]]:
    return [
        (name, _duration(stage.get("seconds")), _memory(stage.get("peak_bytes")))
        for name, stage in (cost.get("stages") or {}).items()
    ]


def _number(value: Any, form: str) -> str:
    return ABSENT if value is None else form.format(value)


def _duration(seconds: Optional[float]) -> str:
    if seconds is None:
        return ABSENT
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.1f} min"


def _memory(size: Optional[float]) -> str:
    return ABSENT if size is None else f"{size / 1e9:.2f} GB"

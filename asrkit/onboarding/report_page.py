"""The report of a corpus as one HTML page: tables, plots, players that find the audio by relative names."""

import io
import os
import urllib.parse
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

from asrkit.onboarding.report import QUANTITIES, Measured

SHOWN = 20  # utterances of each kind of fault
SAMPLES = 8  # utterances of each split, evenly from all of it
COUNTS = ("utterances", "hours", "speakers", "words", "vocabulary", "shortest", "longest", "repeated_audio")

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Corpus of {{ name }}</title>
<style>
body { font: 15px sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0 }
td, th { border: 1px solid #ccc; padding: .2em .6em; text-align: left; vertical-align: top }
audio { height: 2em; width: 16em }
</style>
<h1>Corpus of {{ name }}</h1>
<p>Written by asrkit corpus report; all figures are in report.json too. Utterances that can't be used are in
manifests/rejected.jsonl. Players need the audio where it was, and a browser that knows its format.</p>
<h2>Splits</h2>
<table>
<tr><th></th>{% for split in splits %}<th>{{ split }}</th>{% endfor %}</tr>
{% for title, cells in rows %}
<tr><th>{{ title }}</th>{% for cell in cells %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</table>
{{ plots }}
<h2>In two splits</h2>
<table>
<tr><th>splits</th><th>speakers</th><th>sentences</th><th>utterances of the second with them</th></tr>
{% for pair in overlaps %}
<tr><td>{{ pair.splits | join(", ") }}</td><td>{{ pair.speakers }}</td><td>{{ pair.sentences }}</td>
<td>{{ pair.utterances_of_shared_speakers }} by speaker,
{{ pair.utterances_of_shared_sentences }} by sentence</td>
</tr>
{% endfor %}
</table>
{% for title, utterances in groups %}
<h2>{{ title }}</h2>
<table>
{% for one in utterances %}
<tr><td>{{ one.id }}<br>{{ one.detail }}</td><td dir="auto">{{ one.text }}
{%- if one.heard %}<br>heard: {{ one.heard }}{% endif %}</td>
<td><audio controls preload="none" src="{{ one.address }}"></audio></td></tr>
{% endfor %}
</table>
{% endfor %}
<h2>Symbols, rarest first</h2>
<table>
{% for symbol in symbols %}
<tr><td>{{ symbol.symbol }}</td><td>{{ symbol.name }}</td><td>{{ symbol.count }}</td>
<td>{{ symbol.example }}</td></tr>
{% endfor %}
</table>
</html>
"""


def render_page(name: str, report: Mapping[str, Any], utterances: Sequence[Measured], folder: Path) -> str:
    """HTML of a report; `folder` is where it will lie."""
    import jinja2
    import markupsafe

    splits = report["splits"]
    rows = [(title.replace("_", " "), [of[title] for of in splits.values()]) for title in COUNTS]
    for quantity in QUANTITIES:
        cells = [_describe_percentiles(of["percentiles"].get(quantity)) for of in splits.values()]
        rows.append((f"{quantity}: least, 5 %, median, 95 %, most", cells))
    rates = [
        ", ".join(f"{rate} Hz: {count}" for rate, count in of["sampling_rates"].items())
        for of in splits.values()
    ]
    rows.append(("sampling rates", rates))
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(PAGE).render(
        name=name,
        splits=list(splits),
        rows=rows,
        plots=markupsafe.Markup(_draw_plots(utterances, list(splits))),
        overlaps=report["overlaps"],
        groups=_groups(report, utterances, folder),
        symbols=report["symbols"],
    )


def _groups(report: Mapping[str, Any], utterances: Sequence[Measured], folder: Path) -> List[Any]:
    """Title and utterances of each list with players."""
    by_id = {one.id: one for one in utterances}
    groups = []
    if report["alignments"]:
        scored = [
            _shown(by_id[row["id"]], _describe_score(row), folder, row["heard"] or "nothing")
            for row in report["alignments"]
        ]
        groups.append(("Texts least like what the model hears", scored))
    for kind, suspects in report["suspects"].items():
        more = f", the worst {SHOWN} of {len(suspects)}" if len(suspects) > SHOWN else ""
        shown = [
            _shown(by_id[row["id"]], f"{row['split']}; {row['detail']}", folder) for row in suspects[:SHOWN]
        ]
        groups.append((f"Perhaps wrong: {kind}{more}", shown))
    for split in report["splits"]:
        of_split = [one for one in utterances if one.split == split]
        some = of_split[:: max(1, len(of_split) // SAMPLES)][:SAMPLES]
        groups.append((f"Some of {split}", [_shown(one, one.speaker, folder) for one in some]))
    return groups


def _shown(one: Measured, detail: str, folder: Path, heard: str = "") -> Dict[str, str]:
    path = urllib.parse.quote(os.path.relpath(one.audio, folder))
    part = f"#t={one.start:.3f},{one.start + one.seconds:.3f}"
    return {"id": one.id, "detail": detail, "text": one.text, "heard": heard, "address": path + part}


def _describe_score(row: Mapping[str, Any]) -> str:
    of = row["reason"] or f"log-probability {row['score']:.2f} a unit, against what is heard"
    return f"{row['split']}; {of}"


def _describe_percentiles(of: Any) -> str:
    return ", ".join(f"{value:g}" for value in of.values()) if of else ""


def _draw_plots(utterances: Sequence[Measured], splits: Sequence[str]) -> str:
    """Histograms of each quantity by split, as SVG."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    FigureCanvasSVG(figure)  # no window, whatever the user's settings
    for number, (name, of) in enumerate(QUANTITIES.items(), start=1):
        axes = figure.add_subplot(2, 2, number, xlabel=name, ylabel="utterances", yscale="log")
        values = [[of(one) for one in utterances if one.split == split] for split in splits]
        axes.hist(values, bins=30, histtype="step", label=list(splits))
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "asrkit"}):  # the same report gives the same bytes
        figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]

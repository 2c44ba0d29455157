"""The corpus report as one HTML page: tables, histograms, and audio players with relative paths."""

import io
import os
import urllib.parse
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Sequence

from asrkit.onboarding.report import QUANTITIES, Measured

SHOWN = 20  # utterances per kind of problem
SAMPLES = 8  # utterances per split, evenly spaced
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
<p>Written by asrkit corpus report; report.json has the same figures. Rejected utterances are listed in
manifests/rejected.jsonl. The players need the audio files, and a browser that supports their format.</p>
<h2>Splits</h2>
<table>
<tr><th></th>{% for split in splits %}<th>{{ split }}</th>{% endfor %}</tr>
{% for title, cells in rows %}
<tr><th>{{ title }}</th>{% for cell in cells %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</table>
{{ plots }}
<h2>Overlap between splits</h2>
<table>
<tr><th>splits</th><th>speakers</th><th>sentences</th><th>utterances of the second split</th></tr>
{% for pair in overlaps %}
<tr><td>{{ pair.splits | join(", ") }}</td><td>{{ pair.speakers }}</td><td>{{ pair.sentences }}</td>
<td>{{ pair.utterances_of_shared_speakers }} of shared speakers,
{{ pair.utterances_of_shared_sentences }} with shared sentences</td>
</tr>
{% endfor %}
</table>
{% for title, utterances in groups %}
<h2>{{ title }}</h2>
<table>
{% for one in utterances %}
<tr><td>{{ one.id }}<br>{{ one.detail }}</td><td dir="auto">{{ one.text }}
{%- if one.heard %}<br>recognised: {{ one.heard }}{% endif %}</td>
<td><audio controls preload="none" src="{{ one.address }}"></audio></td></tr>
{% endfor %}
</table>
{% endfor %}
<h2>Characters, rarest first</h2>
<table>
{% for symbol in symbols %}
<tr><td>{{ symbol.symbol }}</td><td>{{ symbol.name }}</td><td>{{ symbol.count }}</td>
<td>{{ symbol.example }}</td></tr>
{% endfor %}
</table>
</html>
"""


def render_page(name: str, report: Mapping[str, Any], utterances: Sequence[Measured], folder: Path) -> str:
    """HTML of a report that will be written to `folder`."""
    import jinja2
    import markupsafe

    splits = report["splits"]
    rows = [(title.replace("_", " "), [of[title] for of in splits.values()]) for title in COUNTS]
    for quantity in QUANTITIES:
        values = [of["percentiles"].get(quantity, {}).values() for of in splits.values()]
        rows.append((f"{quantity}: min, 5 %, median, 95 %, max", [_join(of, "{:g}") for of in values]))
    rates = [_join(of["sampling_rates"].items(), "{0[0]} Hz: {0[1]}") for of in splits.values()]
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


def _join(values: Iterable[Any], form: str) -> str:
    return ", ".join(form.format(value) for value in values)


def _groups(report: Mapping[str, Any], utterances: Sequence[Measured], folder: Path) -> List[Any]:
    """Title and utterances of each list with players."""
    by_id = {one.id: one for one in utterances}

    def shown(id: str, detail: str, heard: str = "") -> Dict[str, str]:
        one = by_id[id]
        path = urllib.parse.quote(os.path.relpath(one.audio, folder))
        part = f"#t={one.start:.3f},{one.start + one.seconds:.3f}"
        return {"id": id, "detail": detail, "text": one.text, "heard": heard, "address": path + part}

    groups = []
    scored = []
    for row in report["alignments"]:
        score = row["reason"] or f"log-probability {row['score']:.2f} per unit, relative to the best path"
        scored.append(shown(row["id"], f"{row['split']}; {score}", row["heard"] or "nothing"))
    if scored:
        groups.append(("Transcripts that disagree most with the model", scored))
    for kind, suspects in report["suspects"].items():
        more = f", the worst {SHOWN} of {len(suspects)}" if len(suspects) > SHOWN else ""
        listed = [shown(row["id"], f"{row['split']}; {row['detail']}") for row in suspects[:SHOWN]]
        groups.append((f"Suspicious: {kind}{more}", listed))
    for split in report["splits"]:
        of_split = [one for one in utterances if one.split == split]
        some = of_split[:: max(1, len(of_split) // SAMPLES)][:SAMPLES]
        groups.append((f"Examples of {split}", [shown(one.id, one.speaker) for one in some]))
    return groups


def _draw_plots(utterances: Sequence[Measured], splits: Sequence[str]) -> str:
    """Histogram of each quantity per split, as SVG."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    FigureCanvasSVG(figure)  # no window, independent of the user's configuration
    for number, (name, of) in enumerate(QUANTITIES.items(), start=1):
        axes = figure.add_subplot(2, 2, number, xlabel=name, ylabel="utterances", yscale="log")
        values = [[of(one) for one in utterances if one.split == split] for split in splits]
        axes.hist(values, bins=30, histtype="step", label=list(splits))
        axes.grid(alpha=0.3)
    figure.axes[0].legend()
    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "asrkit"}):  # reproducible bytes
        figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]

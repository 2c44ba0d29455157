"""Error rates under degraded conditions: what asrkit robustness measured, its table and its picture."""

import sys
from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional, Sequence, Tuple

import msgspec

from asrkit.errors import UserError
from asrkit.pipeline.experiment import Experiment
from asrkit.score.records import RATES
from asrkit.storage.files import read_json, whole_file, write_json, write_text
from asrkit.storage.fingerprint import hash_file

FOLDER = "robustness"  # below EXP, and below a recipe's records
MODEL = ("average/model.safetensors", "decode/scales.json")


class ConditionErrors(msgspec.Struct, frozen=True):
    """Errors under one condition."""

    condition: str  # "rain 5 dB"
    kind: str  # "rain"
    snr: Optional[float]  # dB
    errors: int
    reference: int
    interval: Optional[Tuple[float, float]]  # percent; None: of a sum
    unusable: int = 0  # utterances

    @property
    def rate(self) -> float:
        """Percent."""
        return 100 * self.errors / max(1, self.reference)


class System(msgspec.Struct, frozen=True):
    """What was measured."""

    name: str
    model: Dict[str, str]  # fingerprints of its files
    rows: List[ConditionErrors]
    steps: List[Dict[str, Any]] = []  # of signal.steps, before the model's own
    commit: Optional[str] = None  # of the experiment


class Measurement(msgspec.Struct, frozen=True):
    """Contents of EXP/robustness/SET.json: one system, or several under the same conditions."""

    set: str
    method: str
    unit: str
    seed: int
    systems: Annotated[List[System], msgspec.Meta(min_length=1)]


def fingerprint_model(experiment: Experiment) -> Dict[str, str]:
    """Fingerprints of the files that decide what a system recognises."""
    files = {name: experiment.place(name) for name in MODEL}
    return {name: hash_file(file) for name, file in files.items() if file.is_file()}


def read_measurement(file: Path) -> Measurement:
    """Read a measurement; raises UserError if it is damaged or its picture is missing."""
    try:
        measurement = msgspec.convert(read_json(file, Measurement), Measurement)
    except UserError as error:  # its advice is to run a stage, but no stage writes this file
        expected, todo = "what asrkit robustness wrote", "restore it, or remove it and measure again"
        raise UserError(error.found, expected, str(file), f"{todo}: asrkit robustness --exp EXP") from None
    if not file.with_suffix(".svg").is_file():
        todo = "restore it, or measure again: asrkit robustness --exp EXP"
        raise UserError(f"no picture {file.stem}.svg", f"one beside {file.name}", str(file.parent), todo)
    return measurement


def read_measurements(experiment: Experiment) -> Dict[str, Measurement]:
    """The measurements of an experiment as it is now, by the stems of their files.

    One that can't be read is left out with a warning, because scores and the page are complete without it.
    """
    found, model = {}, fingerprint_model(experiment)
    for file in sorted((experiment.directory / FOLDER).glob("*.json")):
        try:
            found[file.stem] = read_measurement(file)
        except UserError as error:
            print(f"warning: {error.found}; left out. To do: {error.todo}", file=sys.stderr)
    return {name: each for name, each in found.items() if all(s.model == model for s in each.systems)}


def write_measurement(directory: Path, name: str, measurement: Measurement) -> List[Path]:
    """Write NAME.md, NAME.svg and, last, NAME.json, which needs the picture; returns the first two."""
    text, picture = directory / f"{name}.md", directory / f"{name}.svg"
    write_text(text, render_robustness(measurement, picture.name))
    draw_robustness(measurement, picture)
    write_json(directory / f"{name}.json", msgspec.to_builtins(measurement))
    return [text, picture]


def render_robustness(measurement: Measurement, picture: str) -> str:
    """A section in Markdown: a table, below it the picture."""
    systems = measurement.systems
    lines = [
        f"## Robustness: {measurement.set}, {measurement.method}",
        "",
        *(table_of_one(measurement) if len(systems) == 1 else _table_of_several(measurement)),
        "",
        *(f"- {each.name}: after {', '.join(map(str, each.steps))}." for each in systems if each.steps),
        *[""] * any(each.steps for each in systems),
        f"![robustness of {measurement.set}]({picture})",
        "",
    ]
    return "\n".join(lines)


def table_of_one(measurement: Measurement) -> List[str]:
    """Errors of each condition with interval, and relative to those in clean speech."""
    rows = measurement.systems[0].rows
    clean, rate = _clean(rows), RATES[measurement.unit]
    lines = [
        f"| condition | errors | {rate} [interval] | errors / clean | unusable |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in [*rows, *totals(rows)]:
        interval = "[{:.2f}, {:.2f}]".format(*row.interval) if row.interval else ""
        ratio = f"{row.rate / clean.rate:.1f}" if clean and clean.errors else ""
        counts = f"{row.errors}/{row.reference} | {row.rate:.2f} % {interval}".rstrip()
        lines.append(f"| {row.condition} | {counts} | {ratio} | {row.unusable} |")
    return lines


def _table_of_several(measurement: Measurement) -> List[str]:
    """A column per system."""
    names = [each.name for each in measurement.systems]
    columns = [{row.condition: row for row in [*s.rows, *totals(s.rows)]} for s in measurement.systems]
    lines = [f"| condition | {' | '.join(names)} |", f"| --- |{' --- |' * len(names)}"]
    for condition in columns[0]:
        cells = [
            f"{row.errors}/{row.reference} = {row.rate:.2f} %" if row else ""
            for row in (column.get(condition) for column in columns)
        ]
        lines.append(f"| {condition} | {' | '.join(cells)} |")
    return lines


def totals(rows: Sequence[ConditionErrors]) -> List[ConditionErrors]:
    """Errors of the noises measured at the same ratios, added up: "rain to babble 5 dB", as in the table."""
    ratios: Dict[str, Tuple[float, ...]] = {}
    for row in rows:
        if row.snr is not None:
            ratios[row.kind] = (*ratios.get(row.kind, ()), row.snr)
    added = []
    for snrs in dict.fromkeys(ratios.values()):
        kinds = [kind for kind in ratios if ratios[kind] == snrs]
        for snr in snrs if len(kinds) > 1 else ():
            of = [row for row in rows if row.kind in kinds and row.snr == snr]
            errors, reference, unusable = (
                sum(getattr(row, name) for row in of) for name in ("errors", "reference", "unusable")
            )
            kind = f"{kinds[0]} to {kinds[-1]}"
            added.append(ConditionErrors(f"{kind} {snr:g} dB", kind, snr, errors, reference, None, unusable))
    return added


def _clean(rows: Sequence[ConditionErrors]) -> Optional[ConditionErrors]:
    return next((row for row in rows if row.kind == "clean"), None)


def draw_robustness(measurement: Measurement, file: Path) -> None:
    """Error rate against signal-to-noise ratio, as SVG: a line per noise, or per system over all noises."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot(
        xlabel="signal-to-noise ratio, dB", ylabel=f"{RATES[measurement.unit]} of {measurement.set}, %"
    )
    several = len(measurement.systems) > 1
    for number, system in enumerate(measurement.systems):
        rows = totals(system.rows) if several else system.rows
        kinds = list(dict.fromkeys(row.kind for row in rows if row.snr is not None))
        for place, kind in enumerate(kinds[:1] if several else kinds):
            of_kind = sorted((row.snr, row.rate) for row in rows if row.kind == kind and row.snr is not None)
            line = number if several else place
            axes.plot(
                *zip(*of_kind),
                color=f"C{line % 10}",
                linestyle="-" if line < 10 else ":",  # there are ten colours
                marker="o",
                markersize=3,
                label=system.name if several else kind,
            )
        clean, color = _clean(system.rows), f"C{number % 10}" if several else "black"
        if clean:
            label = "" if several else "clean"
            axes.axhline(clean.rate, color=color, linewidth=0.8, linestyle="--", label=label)
    ratios = {row.snr for system in measurement.systems for row in system.rows}
    axes.set_xticks([snr for snr in ratios if snr is not None])
    axes.set_ylim(bottom=0)
    axes.invert_xaxis()
    axes.grid(alpha=0.3)
    noises = ", ".join(row.kind for row in totals(measurement.systems[0].rows)[:1])
    axes.legend(fontsize=8, title=noises if several else None)
    with matplotlib.rc_context({"svg.hashsalt": "asrkit"}), whole_file(file) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})

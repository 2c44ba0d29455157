"""asrkit doctor: what is installed, whether it fits together, and what to type where it doesn't."""

from pathlib import Path

import click

from asrkit.onboarding.diagnosis import examine, report_lines
from asrkit.onboarding.environment import gather_environment
from asrkit.pipeline.machine import find_program


@click.command("doctor")
def command() -> None:
    """Show what is installed and whether it fits together; exit with 1 when something is broken."""
    findings = examine(gather_environment(Path.cwd(), find_program("lmplz")))
    print("\n".join(report_lines(findings)))
    if any(finding.state == "broken" for finding in findings):
        raise SystemExit(1)

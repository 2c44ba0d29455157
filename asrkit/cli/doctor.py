"""asrkit doctor: check the environment."""

import click

from asrkit.onboarding.doctor import diagnose, report_lines


@click.command("doctor")
def command() -> None:
    """Check the installed packages and print the commands that fix broken ones; exit status 1 if any is."""
    findings = list(diagnose())
    print("\n".join(report_lines(findings)))
    if any(finding.state == "broken" for finding in findings):
        raise SystemExit(1)

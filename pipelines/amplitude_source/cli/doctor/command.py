"""The command `doctor`."""

import json
import shutil
import sys
import textwrap
from collections import Counter
from dataclasses import asdict

import click

from ...invocation import ROOT
from ...settings import DESTINATIONS
from ..options import DESTINATION_HELP
from ..reports import out
from .findings import Checkup, Finding, Verdict

STYLES: dict[Verdict, str] = {"ok": "green", "warn": "yellow", "fail": "bold red", "skip": "dim"}
INDENT = 6


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For machines: a list of findings, and whether one is a fail.")
@click.option("--destination", type=click.Choice(DESTINATIONS), default=None, help=DESTINATION_HELP)
def doctor(as_json: bool, destination: str | None) -> None:
    """Look at the whole set-up, and say of each part whether it is well, with the mend where it is not.

    It looks at configuration, keys, Amplitude, the lake, disks, locks, rights, the warehouse, and how old its data is.
    It changes nothing, but writes a small file into a lake on S3, and removes it at once. No secret is printed. `skip`
    means that a question could not be asked, because another one failed. Exits with 1 if a line says `fail`.
    """
    from .examination import examine  # only here: what it asks takes a tenth of a second to import

    checkup = Checkup(ROOT, (lambda _: None) if as_json else show)
    examine(checkup, destination)
    if as_json:
        findings = [asdict(finding) for finding in checkup.findings]
        click.echo(json.dumps({"has_failed": checkup.has_failed, "findings": findings}, indent=2))
    else:
        out.print(summary(checkup.findings))
    sys.exit(int(checkup.has_failed))


def summary(findings: list[Finding]) -> str:
    """Return one line with how many findings there are of each verdict."""
    counts = Counter(finding.verdict for finding in findings)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in STYLES if counts[verdict])


def show(finding: Finding) -> None:
    """Print a finding: its verdict first, then the text beside it, in lines of whole words."""
    of_project = f", {finding.project}" if finding.project else ""
    lines = textwrap.wrap(
        f"{finding.check}{of_project}: {finding.text}",
        max(shutil.get_terminal_size().columns - INDENT, 2 * INDENT),
        break_long_words=False,
        break_on_hyphens=False,
    )
    out.print(f"{finding.verdict:<{INDENT}}", style=STYLES[finding.verdict], end="")
    out.print(f"\n{' ' * INDENT}".join(lines))

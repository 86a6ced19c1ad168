"""The command `alert`."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from ..alerts.channels import AlertError, beat
from ..errors import AmplitudeError
from ..invocation import ROOT
from ..settings import ALERTS_PREFIX, DESTINATIONS, AlertSettings, AmplitudeSettings, alert_settings, load_projects
from .alarms import judge, open_incidents
from .doctor.findings import Checkup
from .failures import FAILURES, is_interrupt
from .logs import fail, log_format_option
from .options import DESTINATION_HELP
from .reports import out


@click.command()
@click.option("--destination", type=click.Choice(DESTINATIONS), default=None, help=DESTINATION_HELP)
@log_format_option
def alert(destination: str | None) -> None:
    """Report to your webhook or command what is wrong, once, and once more when it is over.

    It asks what `doctor` asks. Each `fail` is an incident, and so is a day that is not proven; a new column is reported
    once. Then it asks the heartbeat's address. Exits with 1 if something could not be delivered, which the next call
    tries again. `status` and `doctor` have exit codes for what is wrong.
    """
    from .doctor.examination import examine  # only here: what it asks takes a tenth of a second to import

    checkup = Checkup(ROOT, lambda _: None)
    examine(checkup, destination)
    settings = configured(checkup)
    projects = projects_of_settings()
    incidents = open_incidents(settings, projects)
    judge(incidents, checkup.findings, projects[0].present if projects else datetime.now(UTC).replace(tzinfo=None))
    if checkup.columns:
        incidents.report_columns(checkup.columns)
    for text in incidents.delivered:
        out.print(f"Reported. {text}")
    out.print(f"{len(incidents.open):,} incidents are open.")
    failures = incidents.failures
    if not failures:
        try:
            beat(settings)
        except AlertError as error:
            failures = [str(error)]
    for failure in dict.fromkeys(failures):
        fail(failure)
    sys.exit(int(bool(failures)))


def configured(checkup: Checkup) -> AlertSettings:
    """Return the settings of alerts.

    Raises:
        AmplitudeError: they say nothing, or a fault in the files of settings is in the way.
    """
    settings = alert_settings()
    if not (settings.has_channel or settings.heartbeat_url):
        faults = [finding.text for finding in checkup.findings if finding.verdict == "fail"][:1]
        raise AmplitudeError(
            " ".join([f"Alerts go nowhere: set {ALERTS_PREFIX}WEBHOOK_URL or {ALERTS_PREFIX}COMMAND.", *faults])
        )
    return settings


def projects_of_settings() -> Sequence[AmplitudeSettings]:
    """Return the projects, none where their settings are at fault, which is an incident itself."""
    try:
        return load_projects()
    except FAILURES as error:
        if is_interrupt(error):
            raise
        return []

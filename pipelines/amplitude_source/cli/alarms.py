"""Which findings are incidents, and when these are over."""

from collections.abc import Collection, Sequence
from datetime import datetime

from ..alerts.incidents import Incident, Incidents
from ..bronze.runs import FAILED, STOPPED, Run
from ..invocation import ROOT
from ..lake.open import open_lake
from ..settings import AlertSettings, AmplitudeSettings, load_projects
from .doctor.findings import DAYS, NEWEST_RUN, Finding
from .failures import FAILURES, explain, is_interrupt
from .logs import warn


def open_incidents(settings: AlertSettings, projects: Sequence[AmplitudeSettings]) -> Incidents:
    """Read the open incidents from the lake of the first project.

    Args:
        settings: of alerts.
        projects: none where their settings are at fault. Without a lake all that is wrong is said again.
    """
    try:
        return Incidents(open_lake(projects[0].lake) if projects else None, settings)
    except FAILURES as error:
        if is_interrupt(error):
            raise
        warn(f"Which incidents are open cannot be read, so all are reported: {explain(error, ROOT)}")
        return Incidents(None, settings)


def judge(incidents: Incidents, findings: Collection[Finding], now: datetime) -> None:
    """Report what the doctor finds to be wrong, and the end of what is well again.

    An incident stays open while its question cannot be asked, or has a doubtful answer. One of a project that is gone
    is over.
    """
    wrong: dict[tuple[str, str | None], list[str]] = {}
    for finding in findings:
        if is_serious(finding):
            wrong.setdefault((finding.check, finding.project), []).append(finding.text)
    for (check, project), texts in wrong.items():
        incidents.report(Incident(check, project, " ".join(texts), now))
    asked = {finding.check for finding in findings} - {each.check for each in findings if each.verdict == "skip"}
    unwell = {(finding.check, finding.project) for finding in findings if finding.verdict != "ok"}
    for key in [key for key in incidents.open if key[0] in asked and key not in unwell]:
        incidents.end(key)


def is_serious(finding: Finding) -> bool:
    """Whether somebody should be called: whatever fails, and days that have other events than Amplitude."""
    return finding.verdict == "fail" or (finding.verdict == "warn" and finding.check == DAYS)


def report_run(channels: AlertSettings, run: Run, now: datetime) -> None:
    """Report the end of a run at once, if alerts go anywhere; what cannot be delivered is left to `alert`."""
    if not channels.has_channel or run.outcome == STOPPED:
        return
    projects = load_projects()
    project = run.project if len(projects) > 1 else None
    try:
        incidents = open_incidents(channels, projects)
        if run.outcome == FAILED:
            incidents.report(Incident(NEWEST_RUN, project, str(run), now))
        else:
            incidents.end((NEWEST_RUN, project))
        failures = incidents.failures
    except FAILURES as error:  # of the lake; the run itself ended as it did
        if is_interrupt(error):
            raise
        failures = [explain(error, ROOT)]
    for failure in failures:
        warn(failure)

"""Alerts of `sqlmesh run`: a run of production that fails is an incident, which the next good run ends."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click
from pydantic import PrivateAttr
from sqlmesh.core.notification_target import GenericNotificationTarget, NotificationEvent
from sqlmesh.utils.errors import AuditError

from ..alerts.incidents import Incident, Incidents
from ..errors import AmplitudeError, without_logins
from ..lake.open import open_lake
from ..lake.storage import AWS_ERRORS
from ..settings import alert_settings, load_projects

CHECK = "sqlmesh run"
PROD = "prod"
EVENTS = frozenset(
    {
        NotificationEvent.RUN_START,
        NotificationEvent.RUN_END,
        NotificationEvent.RUN_FAILURE,
        NotificationEvent.AUDIT_FAILURE,
    }
)


class RunAlerts(GenericNotificationTarget):  # type: ignore[misc]  # frozen by its base alone
    """Hears of a run from SQLMesh. What cannot be delivered is a warning, and leaves the run as it is.

    A run that finds nothing to do has no end for SQLMesh. It ends no incident, and need not: models that failed are
    due until they are built.
    """

    notify_on: frozenset[NotificationEvent] = EVENTS
    _environment: str = PrivateAttr("")
    _audits: list[str] = PrivateAttr(default_factory=list)

    def notify_run_start(self, environment: str, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002 - as SQLMesh calls it
        """Note which environment is built."""
        self._environment = environment

    def notify_audit_failure(self, audit_error: AuditError, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002 - as SQLMesh calls it
        """Note an audit; whether it stops the run shows at the end."""
        of_model = f" of {audit_error.model_name}" if audit_error.model_name else ""
        self._audits.append(f"{audit_error.audit_name}{of_model} ({audit_error.count:,} rows)")

    def notify_run_failure(self, exc: str, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002 - as SQLMesh calls it
        """Report that the run failed, with the audits that found something."""
        audits = f" Audits that found something: {', '.join(self._audits)}." if self._audits else ""
        text = f"sqlmesh run failed, and its log says why.{audits}"
        self._with_incidents(lambda incidents: incidents.report(Incident(CHECK, None, text, _now())))

    def notify_run_end(self, environment: str, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002 - as SQLMesh calls it
        """Report that the runs are well again."""
        self._with_incidents(lambda incidents: incidents.end((CHECK, None)))

    def _with_incidents(self, act: Callable[[Incidents], None]) -> None:
        if self._environment != PROD:
            return
        try:
            incidents = Incidents(open_lake(load_projects()[0].lake), alert_settings())
            act(incidents)
            failures = incidents.failures
        except (OSError, AmplitudeError, *AWS_ERRORS) as error:
            failures = [without_logins(str(error))]
        for failure in failures:
            click.echo(f"Warning: {failure}", err=True)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)

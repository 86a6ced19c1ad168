"""The configuration: files and names of settings, each project's values, and SQLMesh's own file with the charts."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ...bronze.ledger import rejecting_hours
from ...charts.book import read_charts
from ...charts.channels import read_channel_groups
from ...charts.properties import read_properties
from ...environment import exposed
from ...settings import (
    ALERTS_PREFIX,
    DESTINATION_VARIABLE,
    VARIABLE_PREFIX,
    AmplitudeSettings,
    alert_settings,
    all_names,
    destination,
    format_hour,
    project_names,
    project_settings,
    refuse_future,
    settle_files,
)
from ...transform.variables import check_variables
from ...yaml_files import read
from .findings import Checkup

CHECK = "settings"
MODELS = "models"
ALERTS = "alerts"
OF_PROJECT = ("keys", "Amplitude", "clock")
SQLMESH_FILE = "sqlmesh/config.yaml"


class SqlmeshFile(BaseModel):
    """The part of `sqlmesh/config.yaml` that this project reads itself."""

    variables: dict[str, Any]


def check_files(checkup: Checkup) -> bool:
    """Read the files of settings; say whether they can be read."""
    with checkup.asking(CHECK):
        settle_files(checkup.root)
        for sentence in exposed(checkup.root):
            checkup.warn(CHECK, sentence)
        for complaint in all_names().complaints(checkup.root):
            checkup.fail(CHECK, complaint)
        return True
    return False


def check_destination(checkup: Checkup, chosen: str | None) -> str | None:
    """Return where bronze lies: what was chosen on the command line, else by the settings; None if they contradict."""
    with checkup.asking("destination"):
        found = chosen or destination()
        checkup.ok("destination", f"Bronze lies on {found} ({DESTINATION_VARIABLE}).")
        return found
    return None


def check_projects(checkup: Checkup) -> list[AmplitudeSettings]:
    """Return the projects whose settings mean something."""
    found: list[AmplitudeSettings] = []
    with checkup.asking(CHECK):
        names = project_names()
        for name in names:
            shown = name if len(names) > 1 else None
            with checkup.asking(CHECK, shown):
                found.append(_checked(checkup, name, shown))
            if shown and name not in [settings.project for settings in found]:
                for check in OF_PROJECT:
                    checkup.skip(check, CHECK, name)
    return found


def _checked(checkup: Checkup, name: str, shown: str | None) -> AmplitudeSettings:
    settings = project_settings(AmplitudeSettings(), name)
    refuse_future(settings)
    settings.privacy.redactor()
    rejecting_hours([], settings)
    for doubt in settings.privacy.doubts():
        checkup.warn(CHECK, doubt, shown)
    if settings.now:
        checkup.warn(
            CHECK,
            f"{VARIABLE_PREFIX}NOW={settings.now} stands for the present, so no later hour is loaded: leave it out, "
            "unless this is a trial.",
            shown,
        )
    checkup.ok(CHECK, f"Hours from {format_hour(settings.first_hour)} on, region {settings.region}.", shown)
    return settings


def check_alerts(checkup: Checkup) -> None:
    """Look at the settings of alerts, without a message."""
    with checkup.asking(ALERTS):
        settings = alert_settings()
        if names := [f"{ALERTS_PREFIX}{name.upper()}" for name, value in settings.items() if value]:
            checkup.ok(ALERTS, f"{' and '.join(names)} can be read; `alert` uses them.")
        else:
            checkup.ok(ALERTS, "None are set up; docs/guides/monitoring.md shows how.")


def models_variables(root: Path) -> dict[str, Any]:
    """Return the variables of `sqlmesh/config.yaml`, unchecked."""
    return read(root / SQLMESH_FILE, root, SqlmeshFile).variables


def check_models(checkup: Checkup) -> None:
    """Read what SQLMesh's models go by: the variables, and what users declare beside them."""
    root = checkup.root
    before = len(checkup.findings)
    with checkup.asking(MODELS):
        check_variables(models_variables(root), Path(SQLMESH_FILE))
    with checkup.asking(MODELS):
        read_properties(root)
    with checkup.asking(MODELS):
        read_channel_groups(root)
    with checkup.asking(MODELS):
        charts = read_charts(root)
        if len(checkup.findings) == before:
            checkup.ok(MODELS, f"{SQLMESH_FILE} and what stands beside it can be read; it has {len(charts)} charts.")

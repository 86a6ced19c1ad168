"""The questions of the doctor, in their order."""

from ...invocation import load_command
from ...settings import GATEWAYS
from .configuration import CHECK, check_alerts, check_destination, check_files, check_models, check_projects
from .findings import Checkup
from .machine import check_disks, check_versions, check_work_folders
from .sources import check_amplitude, check_bucket, check_lakes
from .state import check_state
from .warehouse import check_warehouse

NEED_SETTINGS = ("keys", "Amplitude", "clock", "lake", "disk", "work folder", "bronze")


def examine(checkup: Checkup, destination: str | None) -> None:
    """Ask every question, from the machine to the newest hour of gold."""
    check_versions(checkup)
    projects = check_projects(checkup) if check_files(checkup) else []
    check_models(checkup)
    check_alerts(checkup)
    chosen = check_destination(checkup, destination)
    if not projects:
        for check in NEED_SETTINGS:
            checkup.skip(check, CHECK)
        return
    for settings in projects:
        shown = settings.project if len(projects) > 1 else None
        check_amplitude(checkup, settings, shown)
        check_bucket(checkup, settings, shown)
    check_lakes(checkup, projects)
    check_disks(checkup, projects)
    if chosen is None:
        for check in ("work folder", "bronze"):
            checkup.skip(check, "destination")
        return
    check_work_folders(checkup, projects, chosen, load_command())
    check_warehouse(checkup, chosen, projects)
    if chosen in GATEWAYS:
        check_state(checkup, chosen)

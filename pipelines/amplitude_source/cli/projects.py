"""The projects that a command is for, one after the other."""

from collections.abc import Callable

import click

from ..errors import AmplitudeError, PartlyLoadedError
from ..invocation import ROOT
from ..settings import AmplitudeSettings, load_projects
from .failures import FAILURES, explain, is_interrupt
from .logs import fail
from .reports import out


def chosen_projects(name: str | None) -> list[AmplitudeSettings]:
    """The projects of the settings, or the one of this name."""
    projects = load_projects()
    if name is None:
        return projects
    chosen = [settings for settings in projects if settings.project == name]
    if not chosen:
        names = ", ".join(settings.project for settings in projects)
        raise click.UsageError(
            f"--project {name}: the settings have no such project, only {names}. For one that is given up there is "
            "`retire-project`."
        )
    return chosen


def for_each_project(projects: list[AmplitudeSettings], act: Callable[[AmplitudeSettings], None]) -> None:
    """Acts on one project after the other; one that fails does not stop the others, but the exit code tells."""
    failed: dict[str, BaseException] = {}
    for settings in projects:
        try:
            if len(projects) > 1:
                out.print(f"Project {settings.project}", style="bold")
            act(settings)
        except FAILURES as error:
            if len(projects) == 1 or is_interrupt(error):
                raise
            fail(f"project {settings.project}: {explain(error, ROOT)}")
            failed[settings.project] = error
    if failed:
        is_partly = all(isinstance(error, PartlyLoadedError) for error in failed.values())
        raise (PartlyLoadedError if is_partly else AmplitudeError)(
            f"{len(failed)} of {len(projects)} projects failed{' in part' * is_partly} ({', '.join(failed)}); the "
            "others are loaded."
        )

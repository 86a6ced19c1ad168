"""`privacy`: what the rules for personal data do, and which ones Amplitude's taxonomy suggests."""

import json
from pathlib import Path

import click

from ..invocation import INVOKED_FROM, load_command
from ..lake.key_paths import KeyPath, format_path
from ..plan import Planner
from ..rest.taxonomy import personal_paths
from .loads import looking
from .logs import warn
from .options import destination_option, project_option
from .projects import chosen_projects
from .reports import out, show_privacy


@click.group()
def privacy() -> None:
    """See to the rules that drop, null or hash personal data (SOURCES__AMPLITUDE__PRIVACY__*)."""


@privacy.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@project_option
def check(folder: Path | None, project: str | None) -> None:
    """Show what the privacy rules would do: counts by rule, and never a value. Nothing is changed.

    Tries them on the newest hour with data of the lake's archive, or of FOLDER, where *.json.gz files lie that you
    exported. The archive has what the rules at the time of the load have left: a key that was dropped is gone.
    """
    projects = chosen_projects(project)
    if folder and len(projects) > 1:
        raise click.UsageError("FOLDER: say with --project whose files they are.")
    for settings in projects:
        if len(projects) > 1:
            out.print(f"Project {settings.project}", style="bold")
        if redactor := settings.privacy.redactor():
            for doubt in settings.privacy.doubts():
                warn(doubt)
            hour = Planner(settings, {}).sample(INVOKED_FROM / folder if folder else None)
            show_privacy(hour.hour, redactor.try_on(member.text() for member in hour.members))
        else:
            out.print("There are no privacy rules; .env.example shows how to write them.")


@privacy.command()
@project_option
@destination_option
def suggest(project: str | None, destination: str) -> None:
    """Show rules for what Amplitude's taxonomy classifies as personal or sensitive, ready for .env.

    They are for columns and properties that no rule covers yet. The taxonomy is part of some of Amplitude's plans; each
    day's first load brings it.
    """
    for settings in chosen_projects(project):
        with looking(destination, settings) as pipeline:
            found = personal_paths(pipeline, settings.project)
        if found is None:
            again = load_command("--only", "taxonomy", "--project", settings.project)
            out.print(f"Project {settings.project}: there is no taxonomy yet: {again}")
            continue
        new = [path for path in found if not settings.privacy.covers(path)]
        ids: list[KeyPath] = [path for path in new if len(path) == 1]
        show_rules(settings.variable("PRIVACY__DROP"), settings.privacy.drop, [path for path in new if len(path) > 1])
        show_rules(settings.variable("PRIVACY__HASH"), settings.privacy.hash, ids)
        if not new:
            out.print(f"Project {settings.project}: the rules cover all that is classified as personal or sensitive.")


def show_rules(variable: str, known: list[str], new: list[KeyPath]) -> None:
    """Print the line of a setting with new rules, if there are any."""
    if new:
        out.print(f"{variable}={json.dumps([*known, *map(format_path, new)], ensure_ascii=False)}")

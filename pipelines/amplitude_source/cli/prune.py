"""`archive prune`: hours that are old enough leave the lake, if every warehouse holds them."""

from collections.abc import Collection, Mapping
from datetime import datetime

import click

from ..bronze.files import DATASET
from ..bronze.prune import Reason, Witness, ask, due_hours, needed
from ..errors import AmplitudeError
from ..invocation import load_command
from ..lake.archive import Archive
from ..lake.open import open_lake
from ..settings import GATEWAYS, RETENTION, AmplitudeSettings, format_hour, warehouses
from .erasure import S3_KEEPS
from .loads import alone, looking
from .logs import warn
from .options import destination_option, project_option
from .projects import chosen_projects, for_each_project
from .reports import out


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would go and what would stay; change nothing.")
@project_option
@destination_option
def prune(dry_run: bool, project: str | None, destination: str) -> None:
    """Remove files of the lake that are older than lake.retention_days.

    An hour goes only if every warehouse of the settings holds it just as the lake does. What stays is named with the
    reason. Its manifest stays and says when the files went.

    To look first: python pipelines/amplitude.py archive prune --dry-run

    Exits with 1 if hours stay until somebody mends something.
    """
    projects = chosen_projects(project)
    if all(settings.lake.retention_days is None for settings in projects):
        raise AmplitudeError(
            f"{projects[0].variable(RETENTION)} is not set, so the lake keeps all files: set it to a number of days."
        )
    if destination not in GATEWAYS:
        raise AmplitudeError(
            "Without a warehouse the lake is all there is, so nothing of it is removed: load into a warehouse first, "
            "and name that with --destination."
        )
    with alone(projects):
        for_each_project(projects, lambda settings: prune_project(settings, warehouses(destination), dry_run=dry_run))


def prune_project(settings: AmplitudeSettings, destinations: list[str], *, dry_run: bool) -> None:
    """Remove a project's files that are old enough and that no warehouse needs.

    Raises:
        AmplitudeError: the lake has bronze as files, an erasure is not finished, or hours stay by somebody's fault.
    """
    if settings.lake.retention_days is None:
        out.print(f"{settings.variable(RETENTION)} is not set: all files stay.")
        return
    refuse_bronze_as_files(settings)
    archive = Archive(settings.lake, settings.project, settings.privacy, settings.exports)
    if archive.is_being_erased_from:
        raise AmplitudeError(
            f"An erasure was interrupted, so nothing is removed: finish it with {load_command('erase')}."
        )
    due = due_hours(archive, settings.kept_from)
    if not due:
        out.print(f"Nothing to remove: the lake has no files of hours before {format_hour(settings.kept_from)}.")
        return
    witnesses = [ask_warehouse(destination, settings, due) for destination in destinations]
    kept = dict(needed(archive, witnesses, due))
    going = {hour: paths for hour, paths in due.items() if hour not in kept}
    if going and not dry_run:
        archive.remove_files(going, settings.present)
    show(going, witnesses[0], settings, dry_run=dry_run)
    show_kept(kept)
    if faulty := [hour for hour, reason in kept.items() if reason.is_fault]:
        raise AmplitudeError(f"{len(faulty):,} hours stay in the lake until that is mended; all others are seen to.")


def refuse_bronze_as_files(settings: AmplitudeSettings) -> None:
    """Refuse a lake in which bronze lies as files, too.

    Raises:
        AmplitudeError: it does.
    """
    if any(open_lake(settings.lake).pages(f"{DATASET}/")):
        raise AmplitudeError(
            f"The lake has bronze as files ({DATASET}/), which is no warehouse, so nothing is removed. If a "
            "warehouse has taken its place, remove that folder first."
        )


def ask_warehouse(destination: str, settings: AmplitudeSettings, hours: Collection[datetime]) -> Witness:
    """Ask a warehouse for hours, and change nothing there.

    Raises:
        AmplitudeError: it cannot be asked.
    """
    try:
        with looking(destination, settings) as pipeline:
            return ask(pipeline, settings, hours)
    except AmplitudeError as error:
        raise AmplitudeError(f"{destination} cannot be asked for its hours, so nothing is removed. {error}") from error


def show(
    going: Mapping[datetime, Collection[str]], witness: Witness, settings: AmplitudeSettings, *, dry_run: bool
) -> None:
    """Print what goes, and what a bucket keeps of it."""
    verb = "would be" if dry_run else "were"
    span = f" ({format_hour(min(going))} to {format_hour(max(going))})" if going else ""
    files, size = sum(map(len, going.values())), sum(witness.ledger[hour].bytes for hour in going)
    out.print(f"{len(going):,} hours{span} {verb} removed: {files:,} files with {size / 1e6:,.1f} MB.")
    if dry_run:
        out.print("Nothing was changed.")
    elif going and not settings.lake.is_local_filesystem:
        warn(S3_KEEPS)


def show_kept(kept: Mapping[datetime, Reason]) -> None:
    """Print which hours stay although they are old enough, and why."""
    for reason in dict.fromkeys(kept.values()):
        hours = [hour for hour, other in kept.items() if other == reason]
        span = f"{format_hour(hours[0])} to {format_hour(hours[-1])}"
        warn(f"{len(hours):,} hours stay ({span}): {reason.text}.")

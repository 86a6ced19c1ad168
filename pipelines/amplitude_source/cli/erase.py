"""`erase` and `export-user`: all that is held of a person goes, or is handed out."""

import json
import secrets
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import click
import dlt

from ..bronze.destinations import kept_open
from ..bronze.persons import ALIASES, REJECTED, Persons, has_aliases, id_tables, names_of_person
from ..errors import AmplitudeError
from ..invocation import INVOKED_FROM, ROOT, own_version, sqlmesh_command
from ..lake.archive import Archive
from ..lake.erased import Erased, Id, Unfinished, ids_of, nobody
from ..rest.context import Asking
from ..rest.listings import listed
from ..rest.session import open_session
from ..settings import GATEWAYS, AmplitudeSettings, format_hour
from .erasure import Erasure, erasures_of, kept_by_others
from .loads import loading, looking
from .logs import warn
from .options import destination_option, project_option
from .projects import chosen_projects
from .reports import out

FOR_GOOD = ("submitted", "done")
"""Of deletion jobs: from one in another state, users can still be taken out."""

user_option = click.option(
    "--user-id", "user_ids", multiple=True, metavar="ID", help="Your product's id of the person."
)
amplitude_option = click.option(
    "--amplitude-id", "amplitude_ids", multiple=True, type=int, metavar="N", help="Amplitude's id of the person."
)


class Holdings(NamedTuple):
    """What is held of persons."""

    persons: Erased
    given: dict[Id, bool]
    """Whether anything is held under each id that was given."""
    lines: int
    hours: int
    files: int
    counts: dict[str, int]
    """Rows by table."""
    removed: list[datetime]
    """Hours whose files retention has removed: only tables may have rows of theirs."""


@click.command()
@user_option
@amplitude_option
@click.option("--from-deletion-jobs", is_flag=True, help="Everybody whom Amplitude deletes or has deleted.")
@click.option("--dry-run", is_flag=True, help="Show what is held, and change nothing.")
@project_option
@destination_option
def erase(
    user_ids: tuple[str, ...],
    amplitude_ids: tuple[int, ...],
    from_deletion_jobs: bool,
    dry_run: bool,
    project: str | None,
    destination: str,
) -> None:
    """Erase persons from the lake, bronze, silver and gold, and keep them out of all later loads.

    Each id can be given several times. Files of the archive are written anew without the persons' rows, hours that
    changed are built again, and a certificate goes into the lake. Without an id, an erasure that was interrupted is
    finished. SOURCES__AMPLITUDE__PRIVACY__HASH_KEY must be set: the list of erased persons has keyed hashes.
    """
    settings = one_project(project)
    given = ids_given(user_ids, amplitude_ids)
    with loading(destination, [settings]) as pipeline:
        asked = jobs(pipeline, settings) if from_deletion_jobs else []
        if from_deletion_jobs and not asked + given:
            out.print("No deletion job of Amplitude's is about anybody.")
            return
        erase_of_project(pipeline, settings, list(dict.fromkeys(given + asked)), given, dry_run)


def one_project(name: str | None) -> AmplitudeSettings:
    """Return the project whose person is meant.

    Raises:
        click.UsageError: there are several.
    """
    projects = chosen_projects(name)
    if len(projects) > 1:
        raise click.UsageError("Say with --project whose person it is; a person of several is erased in each.")
    return projects[0]


def ids_given(user_ids: Iterable[str], amplitude_ids: Iterable[int]) -> list[Id]:
    """Return the ids of the options, each once."""
    ids = [Id("user_id", id_) for id_ in user_ids] + [Id("amplitude_id", str(id_)) for id_ in amplitude_ids]
    if any(not id_.text for id_ in ids):
        raise click.UsageError("--user-id: an empty text is nobody's id.")
    return list(dict.fromkeys(ids))


def jobs(pipeline: dlt.Pipeline, settings: AmplitudeSettings) -> list[Id]:
    """Return whom those of Amplitude's deletion jobs are about that can no longer be revoked."""
    asking = Asking(settings, open_session(settings, warn), pipeline, settings.present, warn)
    (answer,) = listed(asking, "deletion_jobs")
    for warning in asking.warnings:
        warn(warning)
    rows = [row for row in answer.rows if isinstance(row, dict) and row["amplitude_id"] is not None]
    final = [row for row in rows if f"{row['status']}".lower() in FOR_GOOD]
    if waiting := len(rows) - len(final):
        out.print(f"{waiting:,} users of deletion jobs that can be revoked are left alone.")
    return [Id("amplitude_id", f"{row['amplitude_id']}") for row in final]


def erase_of_project(
    pipeline: dlt.Pipeline, settings: AmplitudeSettings, ids: list[Id], must_be_held: list[Id], dry_run: bool
) -> None:
    """Finish what was begun, then erase the persons of the ids.

    Raises:
        AmplitudeError: nothing is held under an id of the command line.
        click.UsageError: there is nobody to erase.
    """
    archive = Archive(settings.lake, settings.project, settings.privacy, settings.exports)
    folder = erasures_of(archive)
    erased = folder.persons() or folder.nobody()
    if (unfinished := folder.unfinished()) and not dry_run:
        out.print(f"The erasure of {unfinished.started_at} was interrupted and is finished first.")
        report(Erasure(pipeline, settings, unfinished).complete(), pipeline, settings)
    elif not ids:
        raise click.UsageError("Say whom: --user-id, --amplitude-id or --from-deletion-jobs.")
    if not ids:
        return
    held = holdings(pipeline, settings, archive, ids, folder.nobody())
    unknown = [id_ for id_ in must_be_held if not held.given[id_] and not is_erased(id_, erased)]
    if unknown:
        names = ", ".join(f"{kind} {text}" for kind, text in unknown)
        raise AmplitudeError(
            f"Nothing is held of {names} in project {settings.project}: check the id. Nobody was erased."
        )
    show(held)
    if dry_run or not (held.lines or held.counts or held.persons.hashes - erased.hashes):
        out.print("Nothing was changed." if dry_run else "All of it is erased already.")
        return
    begun = Unfinished(
        f"{settings.present:%Y-%m-%dT%H%M%S}-{secrets.token_hex(4)}",
        settings.present.isoformat(timespec="seconds"),
        own_version(ROOT),
        sorted(held.persons.hashes),
        {"archive": held.lines, **held.counts},
    )
    folder.note(begun)
    report(Erasure(pipeline, settings, begun).complete(), pipeline, settings)


def is_erased(id_: Id, erased: Erased) -> bool:
    return erased.hash_if_erased(*id_) is not None


def holdings(
    pipeline: dlt.Pipeline, settings: AmplitudeSettings, archive: Archive, ids: list[Id], empty: Erased
) -> Holdings:
    """Look for persons in the archive and in all tables."""
    is_warehouse = pipeline.destination.destination_name in GATEWAYS
    names = {name for id_ in ids for name in empty.names_of(id_)}
    counts: dict[str, int] = {}
    seen: set[str] = set()
    if is_warehouse and pipeline.default_schema_name:
        with kept_open(pipeline):
            names |= names_of_person(pipeline, settings.project, ids, empty)
            with pipeline.sql_client() as client:
                if not has_aliases(client):
                    warn(
                        f"There is no {ALIASES} that can be read, so visits before a login are not known: build silver "
                        f"and gold first ({sqlmesh_command('plan')})."
                    )
                persons = empty.with_hashes(map(empty.hasher.of, names))
                found = Persons(client, settings.project, persons)
                tables = id_tables(client)
                counts = found.counts(tables) | found.rejected_counts()
                seen = found.hashes(tables) | found.rejected_hashes()
    if not is_warehouse:
        names |= named_in_archive(archive, empty.with_hashes(map(empty.hasher.of, names)))
    persons = empty.with_hashes(map(empty.hasher.of, names))
    every = list(archive.search(persons))
    searched, removed = [each for each in every if each.found], [each.hour for each in every if each.is_removed]
    seen |= {hash_ for each in searched for hashes in each.found for hash_ in hashes}
    given = {id_: not seen.isdisjoint(map(empty.hasher.of, empty.names_of(id_))) for id_ in ids}
    lines = sum(each.found.total() for each in searched)
    return Holdings(persons, given, lines, len(searched), sum(each.files for each in searched), counts, removed)


def named_in_archive(archive: Archive, persons: Erased) -> set[Id]:
    """Return the amplitude_ids of lines that carry a user_id of some persons."""
    found = set()
    for piece in archive.lines_of(persons):
        for line in piece.splitlines():
            ids = [Id(kind, str(value)) for kind, value in ids_of(line) if value is not None]
            if any(kind == "user_id" and persons.hash_if_erased(kind, text) for kind, text in ids):
                found |= {id_ for id_ in ids if id_.kind == "amplitude_id"}
    return found


def show(held: Holdings) -> None:
    """Print what is held: counts, and no id."""
    out.print(f"{len(held.given):,} ids were given, {len(held.persons.hashes):,} belong to the persons.")
    out.print(f"Archive: {held.lines:,} rows in {held.files:,} files of {held.hours:,} hours.")
    if held.removed:
        out.print(
            f"Retention has removed the files of {len(held.removed):,} hours ({format_hour(held.removed[0])} to "
            f"{format_hour(held.removed[-1])}), so rows of theirs are in the tables alone."
        )
    for table, rows in held.counts.items():
        out.print(f"{table}: {rows:,} rows.")


def report(certificate: str, pipeline: dlt.Pipeline, settings: AmplitudeSettings) -> None:
    """Print where the certificate is, and what others keep."""
    out.print(f"Erased. The certificate is {certificate} in the lake.")
    for sentence in kept_by_others(str(pipeline.destination.destination_name), settings):
        warn(sentence)


@click.command("export-user")
@user_option
@amplitude_option
@click.option("--to", "folder", required=True, type=click.Path(path_type=Path), help="A new folder for the files.")
@project_option
@destination_option
def export_user(
    user_ids: tuple[str, ...], amplitude_ids: tuple[int, ...], folder: Path, project: str | None, destination: str
) -> None:
    """Write all that is held of a person into files: JSON lines for each table and for the archive, and a manifest.

    An id means the same rows as for `erase`.
    """
    ids = ids_given(user_ids, amplitude_ids)
    if not ids:
        raise click.UsageError("Say whom: --user-id or --amplitude-id.")
    target = INVOKED_FROM / folder
    if target.exists():
        raise click.UsageError(f"--to {folder}: it is there already; name a new folder.")
    export_of_project(destination, one_project(project), ids, target)


def export_of_project(destination: str, settings: AmplitudeSettings, ids: list[Id], folder: Path) -> None:
    """Write what a project holds of a person into a new folder.

    Raises:
        AmplitudeError: nothing is held.
    """
    archive = Archive(settings.lake, settings.project, settings.privacy, settings.exports)
    unknown = nobody(settings.privacy, secrets.token_hex())  # a key of this run's own: no hash is kept
    with looking(destination, settings) as pipeline:
        held = holdings(pipeline, settings, archive, ids, unknown)
        if missing := [id_ for id_, is_held in held.given.items() if not is_held]:
            names = ", ".join(f"{kind} {text}" for kind, text in missing)
            raise AmplitudeError(f"Nothing is held of {names} in project {settings.project}: check the id.")
        folder.mkdir(parents=True)
        files = {"archive.jsonl": write_lines(folder / "archive.jsonl", archive.lines_of(held.persons))}
        if pipeline.destination.destination_name in GATEWAYS:
            with pipeline.sql_client() as client:
                persons = Persons(client, settings.project, held.persons)
                of_tables = ((table.title, persons.rows(table)) for table in id_tables(client))
                for title, (columns, rows) in (*of_tables, (REJECTED, persons.rejected())):
                    lines = (as_line(dict(zip(columns, row, strict=True))) for row in rows)
                    if rows:
                        files[f"{title}.jsonl"] = write_lines(folder / f"{title}.jsonl", lines)
    manifest = {
        "project": settings.project,
        "written_at": settings.present.isoformat(timespec="seconds"),
        "ids": [id_._asdict() for id_ in ids],
        "lines": files,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2))
    out.print(f"{sum(files.values()):,} lines in {len(files):,} files of {folder}.")


def as_line(row: dict[str, object]) -> bytes:
    """Return a row as a line of JSON."""
    return json.dumps(row, default=str, ensure_ascii=False).encode() + b"\n"


def write_lines(path: Path, pieces: Iterable[bytes]) -> int:
    """Write a file from pieces of its text, and return how many lines it has."""
    lines = 0
    with path.open("wb") as file:
        for piece in pieces:
            lines += piece.count(b"\n")
            file.write(piece)
    return lines

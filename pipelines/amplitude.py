"""Amplitude's export into the lake and bronze. `python pipelines/amplitude.py --help` tells how."""

import ctypes
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import click
import dlt
import duckdb
from dlt.common.configuration.exceptions import ConfigFieldMissingException, ConfigValueCannotBeCoercedException
from dlt.common.destination import TDestinationReferenceArg
from dlt.common.exceptions import DltException
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dotenv import load_dotenv
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from amplitude_source import Progress, amplitude, amplitude_rest, cursor, no_rest, remove_superseded
from amplitude_source.archive import Archive, ExportHour, folder_hours
from amplitude_source.export_api import ExportClient, export_hours
from amplitude_source.ledger import Coverage, Ledger, coverage, read_ledger
from amplitude_source.settings import (
    HOUR,
    AmplitudeError,
    AmplitudeSettings,
    floor_hour,
    format_hour,
    hours_between,
    load_settings,
    parse_hour,
)

ROOT = Path(__file__).resolve().parents[1]
INVOKED_FROM = Path.cwd()
COMMAND = "python pipelines/amplitude.py"
MISSING_HOURS_EXIT = 3
STOPPED = "Stopped; a plain re-run continues."
CATALOG = "amplitude"  # as in sqlmesh/config.yaml
DUCKDB_VARIABLE, DUCKDB_DEFAULT = "DESTINATION__DUCKDB__CREDENTIALS", "data/amplitude.duckdb"
# A load needs no order among its rows, and little memory. One thread fills DuckDB's row groups to the brim; what
# several leave half full is written anew when the file is closed. So two statements run at once, on a file each.
DUCKDB_CONFIG = {"preserve_insertion_order": False, "memory_limit": "200MB", "threads": 1}
PARALLEL_INSERTS = 2
M_MMAP_THRESHOLD = -3  # of malloc.h
FROM_ARCHIVE = ""  # --replay without a folder

out = Console(soft_wrap=True, highlight=False, markup=False)
err = Console(soft_wrap=True, highlight=False, markup=False, stderr=True)


class LoadByDefault(click.Group):
    """`load` may be left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["load", *args]
        return super().parse_args(ctx, args)


@click.group(cls=LoadByDefault)
def cli() -> None:
    """Loads every event that Amplitude exports into your lake and the bronze tables of your warehouse, exactly once.

    \b
    python pipelines/amplitude.py                          continue where the last run ended
    python pipelines/amplitude.py --start 2026-06-01 --end 2026-06-01T23
    python pipelines/amplitude.py --replay                 rebuild bronze from the lake, without the API
    python pipelines/amplitude.py --replay exports/        load files that you exported before
    python pipelines/amplitude.py --gaps                   load the hours that status shows as missing
    python pipelines/amplitude.py status                   which hours are loaded, empty, pending or missing

    Settings come from the environment or from .env; .env.example lists them. Hours are UTC and mean the time of upload.
    """


destination_option = click.option(
    "--destination",
    type=click.Choice(["duckdb", "snowflake", "filesystem"]),
    default="duckdb",
    show_default=True,
    envvar="AMPLITUDE_DESTINATION",
    show_envvar=True,
    help="Where bronze lies.",
)


@cli.command()
@click.option(
    "--start", metavar="HOUR", help="First hour, as 2026-06-01T00; the place to continue from stays as it is."
)
@click.option("--end", metavar="HOUR", help="Last hour, included. Default: the newest that Amplitude can have ready.")
@click.option(
    "--replay",
    metavar="[DIR]",
    is_flag=False,
    flag_value=FROM_ARCHIVE,
    help="Read the lake's archive, or a folder of exported *.json.gz files, instead of the API.",
)
@click.option("--gaps", is_flag=True, help="Load the hours that `status` shows as missing, and no others.")
@destination_option
def load(start: str | None, end: str | None, replay: str | None, gaps: bool, destination: str) -> None:
    """Load hours into bronze (the default command)."""
    if gaps and (start or end or replay is not None):
        raise click.UsageError("--gaps goes by the ledger: leave out --start, --end and --replay.")
    settings = load_settings()
    pipeline = open_pipeline(destination, settings)
    ledger = read_ledger(pipeline, settings.project)
    if gaps:
        work, nothing = plan_gaps(settings, ledger), "No gaps: no hour is missing."
    elif replay is not None:
        work, nothing = plan_replay(settings, start, end, replay), ""
    else:
        work = plan_export(settings, pipeline, ledger, start, end)
        nothing = f"Nothing new: hour {format_hour(work.first)} is not available from Amplitude yet."
    if not work.size:
        out.print(nothing)
        return
    if replay is None:
        ExportClient(settings).check_address()
    progress, started = Progress(), time.monotonic()
    run_loads(pipeline, settings, work, ledger, progress)
    report(progress, time.monotonic() - started)
    if progress.error:
        raise progress.error
    if work.moves_cursor:
        pipeline.run(amplitude_rest(settings, work.first))


class Work(NamedTuple):
    """The hours that a run is to load."""

    hours: Iterator[ExportHour]
    first: datetime
    size: int
    moves_cursor: bool


def plan_export(
    settings: AmplitudeSettings, pipeline: dlt.Pipeline, ledger: Ledger, start: str | None, end: str | None
) -> Work:
    """The hours to ask the API for: from `start`, or where the last run ended, to `end`, or the newest."""
    first = parse_hour(start, "--start") if start else continue_from(settings, pipeline, ledger)
    last = parse_hour(end, "--end") if end else settings.newest_hour
    check_bounds(settings, first, last if end else None, explicit_start=start is not None)
    client, archive = ExportClient(settings), Archive(settings.lake)
    count = max(0, (last - first) // HOUR + 1)
    return Work(export_hours(client, archive, settings, first, last), first, count, start is None)


def plan_gaps(settings: AmplitudeSettings, ledger: Ledger) -> Work:
    """The hours that were never asked for, though later ones were."""
    missing = [range_ for range_ in coverage_of(settings, ledger) if range_.status == "missing"]
    client, archive = ExportClient(settings), Archive(settings.lake)
    hours = (hour for gap in missing for hour in export_hours(client, archive, settings, gap.first, gap.last))
    first = missing[0].first if missing else settings.first_hour
    return Work(hours, first, sum(gap.hours for gap in missing), moves_cursor=False)


def coverage_of(settings: AmplitudeSettings, ledger: Ledger) -> list[Coverage]:
    """What the ledger says of the hours from the warehouse's first to the newest that can be available."""
    return coverage(ledger, settings.first_hour, settings.newest_hour)


def continue_from(settings: AmplitudeSettings, pipeline: dlt.Pipeline, ledger: Ledger) -> datetime:
    """The cursor, moved over hours that are final already (replayed, say); for an empty warehouse its first hour."""
    hour = (cursor(pipeline) if ledger else None) or settings.first_hour
    while hour in ledger and ledger[hour].is_final:
        hour += HOUR
    return hour


def plan_replay(settings: AmplitudeSettings, start: str | None, end: str | None, folder: str) -> Work:
    """The hours of the archive, or of a folder of exported files, within the bounds."""
    archive, path = Archive(settings.lake), INVOKED_FROM / folder
    first = parse_hour(start, "--start") if start else None
    last = parse_hour(end, "--end") if end else None
    members = folder_hours(path) if folder != FROM_ARCHIVE else archive.hours()
    chosen = [hour for hour in sorted(members) if (not first or hour >= first) and (not last or hour <= last)]
    if not chosen:
        raise AmplitudeError(f"{folder or 'The archive'} holds no hours to load; look at {COMMAND} status.")
    check_bounds(settings, chosen[0], chosen[-1], explicit_start=True)
    read = archive.store_hour if folder != FROM_ARCHIVE else archive.read_hour
    hours = (read(hour, members[hour]) for hour in chosen)
    return Work(hours, chosen[0], len(chosen), moves_cursor=False)


def check_bounds(settings: AmplitudeSettings, first: datetime, last: datetime | None, *, explicit_start: bool) -> None:
    """Refuses a range that ends before it starts, reaches into the future or lies before the warehouse's first hour."""
    if explicit_start and first < settings.first_hour:
        raise AmplitudeError(
            f"Hour {format_hour(first)} lies before SOURCES__AMPLITUDE__START_HOUR ({settings.start_hour}), "
            f"where the warehouse begins: set START_HOUR to {format_hour(first)} or earlier."
        )
    if last is None:
        return
    if last < first:
        raise AmplitudeError(f"--end {format_hour(last)} lies before the first hour to load, {format_hour(first)}.")
    if last >= floor_hour(settings.present):
        raise AmplitudeError(
            f"Hour {format_hour(last)} is not over yet (it is {settings.present:%Y-%m-%dT%H:%M} UTC): "
            "choose an earlier --end."
        )


def open_pipeline(destination: str, settings: AmplitudeSettings) -> dlt.Pipeline:
    """The dlt pipeline of a destination, in the state that its last finished load left."""
    pipelines = settings.work_path.absolute() / "pipelines"
    pipeline = make_pipeline(destination, settings, pipelines)
    if pipeline.has_pending_data:
        # An interrupted run's load may be half in place: its hours are read anew, and what it left never counts.
        err.print("The last run was interrupted; its unfinished load is dropped, and its hours are loaded again.")
        shutil.rmtree(pipelines / pipeline.pipeline_name)
        pipeline = make_pipeline(destination, settings, pipelines)
    pipeline.sync_destination()
    return pipeline


def make_pipeline(destination: str, settings: AmplitudeSettings, pipelines: Path) -> dlt.Pipeline:
    lake = settings.lake.bucket_url.rstrip("/")
    return dlt.pipeline(
        pipeline_name=f"amplitude_{destination}",
        dataset_name="bronze",
        pipelines_dir=str(pipelines),
        destination=make_destination(destination, lake),
        staging=dlt.destinations.filesystem(bucket_url=f"{lake}/staging") if destination == "snowflake" else None,
    )


def make_destination(destination: str, lake: str) -> TDestinationReferenceArg:
    if destination == "filesystem":
        return dlt.destinations.filesystem(bucket_url=lake)
    if destination == "duckdb":
        path = Path(os.environ.setdefault(DUCKDB_VARIABLE, DUCKDB_DEFAULT))
        if path.stem.lower() != CATALOG:
            raise AmplitudeError(
                f"{DUCKDB_VARIABLE}: name the file {CATALOG}.duckdb, not {path.name}: DuckDB names the "
                "catalog after it, and the views of silver and gold go by that name."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        credentials = DuckDbCredentials(str(path.absolute()))  # dlt would keep a relative one as it once was
        credentials.global_config = DUCKDB_CONFIG
        return dlt.destinations.duckdb(credentials=credentials, max_parallel_load_jobs=PARALLEL_INSERTS)
    return destination


def run_loads(
    pipeline: dlt.Pipeline, settings: AmplitudeSettings, work: Work, ledger: Ledger, progress: Progress
) -> None:
    """Runs the pipeline until the hours are used up; each load commits for itself."""
    with progress_bar(work) as hours:
        remove_superseded(pipeline, settings.project, ledger)
        while not progress.is_done:
            with typed_folder(pipeline) as folder:
                export = amplitude(settings, hours, ledger, progress, folder, moves_cursor=work.moves_cursor)
                pipeline.run(export if ledger else [export, no_rest()])
            ledger = read_ledger(pipeline, settings.project)
            remove_superseded(pipeline, settings.project, ledger)


@contextmanager
def typed_folder(pipeline: dlt.Pipeline) -> Iterator[Path]:
    """An empty folder for files on their way to dlt; beside its own, so that it can link instead of copying them."""
    folder = Path(pipeline.working_dir) / "typed"
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@contextmanager
def progress_bar(work: Work) -> Iterator[Iterator[ExportHour]]:
    """Gives the hours, and shows how far they are."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("hours"),
        TimeRemainingColumn(),
    )
    with ProgressBar(*columns, console=err) as bar:
        task = bar.add_task(format_hour(work.first), total=work.size)

        def watched() -> Iterator[ExportHour]:
            for hour in work.hours:
                yield hour
                bar.update(task, advance=1, description=format_hour(hour.hour))

        yield watched()


def report(progress: Progress, seconds: float) -> None:
    """The summary at the end of a load."""
    hours = ", ".join(f"{progress.hours[status]} {status}" for status in ("loaded", "empty", "pending"))
    out.print(
        f"{progress.hours.total()} hours in {seconds:.1f} s: {hours}. "
        f"{progress.loaded_rows:,} rows in bronze.events, {progress.rejected_rows:,} in bronze.rejected_rows, "
        f"{progress.bytes / 1e6:,.1f} MB archived."
    )
    if progress.rejected_rows:
        out.print(
            "Each rejected row keeps its line: SELECT reason, COUNT(*) FROM bronze.rejected_rows GROUP BY reason."
        )
    if progress.new_columns:
        out.print(f"New columns in bronze.events: {', '.join(progress.new_columns)}; bronze.schema_changes tells more.")
    if progress.kept:
        out.print(f"{len(progress.kept)} hours are gone from Amplitude and were kept as they are in bronze.")
    for first, last in runs(progress.revised):
        out.print(
            f"Hours {format_hour(first)} to {format_hour(last)} changed. If silver has them already: "
            f"sqlmesh plan --restate-model silver.events --start '{first}' --end '{last + HOUR}'"
        )


def runs(hours: list[datetime]) -> list[tuple[datetime, datetime]]:
    """Neighbouring hours as first and last."""
    found: list[tuple[datetime, datetime]] = []
    for hour in sorted(hours):
        if found and hour == found[-1][1] + HOUR:
            found[-1] = (found[-1][0], hour)
        else:
            found.append((hour, hour))
    return found


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="For machines: every range of hours with its figures.")
@destination_option
def status(as_json: bool, destination: str) -> None:
    """Show which hours are loaded, empty, pending or missing, and the command that fills each gap.

    Exits with 3 where hours are missing.
    """
    settings = load_settings()
    ranges = coverage_of(settings, read_ledger(open_pipeline(destination, settings), settings.project))
    if as_json:
        click.echo(json.dumps([coverage_json(range_) for range_ in ranges], indent=2))
    else:
        show_coverage(ranges)
    if any(range_.status == "missing" for range_ in ranges):
        sys.exit(MISSING_HOURS_EXIT)


def show_coverage(ranges: list[Coverage]) -> None:
    """A row for each status, then every gap with the command that fills it."""
    table = Table("status", "hours", "first hour", "last hour", "files", "MB", "rows", "rejected", box=None)
    for column in table.columns:
        column.justify = "left" if column.header in ("status", "first hour", "last hour") else "right"
    for status_ in ("loaded", "empty", "pending", "missing"):
        if of_status := [range_ for range_ in ranges if range_.status == status_]:
            table.add_row(*coverage_row(of_status))
    out.print(table)
    for gap in (range_ for range_ in ranges if range_.status == "missing"):
        span = f"--start {format_hour(gap.first)} --end {format_hour(gap.last)}"
        out.print(f"{gap.hours} missing hours hold silver back from {format_hour(gap.first)} on: {COMMAND} {span}")
        out.print(f"  or, if Amplitude has nothing there: {COMMAND} declare-empty {span}")
    if sum(range_.status == "missing" for range_ in ranges) > 1:
        out.print(f"All of them at once: {COMMAND} --gaps")
    if any(range_.status == "pending" for range_ in ranges):
        out.print(f"Pending hours come with the next load: {COMMAND}")


def coverage_json(range_: Coverage) -> dict[str, str | int]:
    """A range's fields; its hours as the command's options take them."""
    return asdict(range_) | {
        "first": format_hour(range_.first),
        "last": format_hour(range_.last),
        "hours": range_.hours,
    }


def coverage_row(ranges: list[Coverage]) -> list[str]:
    """The sum of ranges of one status."""
    return [
        ranges[0].status,
        f"{sum(range_.hours for range_ in ranges):,}",
        format_hour(ranges[0].first),
        format_hour(ranges[-1].last),
        f"{sum(range_.files for range_ in ranges):,}",
        f"{sum(range_.bytes for range_ in ranges) / 1e6:,.1f}",
        f"{sum(range_.loaded_rows for range_ in ranges):,}",
        f"{sum(range_.rejected_rows for range_ in ranges):,}",
    ]


@cli.command("declare-empty")
@click.option("--start", metavar="HOUR", required=True, help="First hour, as 2026-06-01T00.")
@click.option("--end", metavar="HOUR", required=True, help="Last hour, included.")
@destination_option
def declare_empty(start: str, end: str, destination: str) -> None:
    """Declare hours that are missing empty for good, so that silver no longer waits for them."""
    settings = load_settings()
    first, last = parse_hour(start, "--start"), parse_hour(end, "--end")
    check_bounds(settings, first, last, explicit_start=True)
    pipeline = open_pipeline(destination, settings)
    ledger, archive = read_ledger(pipeline, settings.project), Archive(settings.lake)
    hours = [hour for hour in hours_between(first, last) if hour not in ledger or not ledger[hour].is_final]
    work = Work((archive.store_hour(hour, []) for hour in hours), first, len(hours), moves_cursor=False)
    progress = Progress()
    run_loads(pipeline, settings, work, ledger, progress)
    kept = len(hours_between(first, last)) - len(hours)
    out.print(f"{progress.hours['empty']} hours declared empty, {kept} left as they were.")


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turns what a user can mend into one sentence and exit code 1; anything else is our fault and keeps its trace."""
    try:
        yield
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(STOPPED)
    except (DltException, AmplitudeError, duckdb.Error, OSError) as error:
        if any(isinstance(cause, KeyboardInterrupt) for cause in chain_of_causes(error)):
            sys.exit(STOPPED)
        err.print(f"error: {explain(error)}", style="bold red")
        sys.exit(1)


def explain(error: BaseException) -> str:
    """The sentence for the user: ours where there is one in the chain of causes, else the innermost cause's own."""
    causes = list(chain_of_causes(error))
    for cause in causes:
        if isinstance(cause, AmplitudeError):
            return str(cause)
        if isinstance(cause, ConfigFieldMissingException):
            names = ", ".join(f"SOURCES__AMPLITUDE__{name.upper()}" for name in cause.fields)
            return f"A setting is missing: set {names} in .env or the environment; .env.example lists them all."
        if isinstance(cause, ConfigValueCannotBeCoercedException):
            name = f"SOURCES__AMPLITUDE__{cause.field_name.upper()}"
            return f"{name}: {str(cause.field_value)!r} is no {cause.hint.__name__}."
        if isinstance(cause, duckdb.IOException) and "lock" in str(cause):
            return (
                "The DuckDB file is in use by another process; close it (a shell, sqlmesh, a dashboard) and run again."
            )
    return f"{type(causes[-1]).__name__}: {str(causes[-1]).splitlines()[0]}"


def chain_of_causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause:
        yield cause
        cause = cause.__cause__ or cause.__context__


def keep_memory_flat() -> None:
    """Has glibc hand large pieces of memory back at once: by default it keeps ever larger ones, 200 MB in a load."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").mallopt(M_MMAP_THRESHOLD, 1 << 20)


def main() -> None:
    keep_memory_flat()
    os.chdir(ROOT)  # the settings' relative paths, and dlt's own, mean the repository's root
    load_dotenv(ROOT / ".env", override=True)  # as SQLMesh does, so that both tools see the same settings
    with one_sentence():
        cli(standalone_mode=False)


if __name__ == "__main__":
    main()

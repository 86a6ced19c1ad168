"""Amplitude's export into the lake and bronze. `python pipelines/amplitude.py --help` tells how."""

import ctypes
import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, fields, replace
from datetime import datetime, timedelta
from importlib.abc import MetaPathFinder
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import dlt
import duckdb
import pyarrow as pa
from dlt.common.configuration.exceptions import ConfigFieldMissingException, ConfigValueCannotBeCoercedException
from dlt.common.destination import Destination, TDestinationReferenceArg
from dlt.common.exceptions import DltException
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dotenv import load_dotenv
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from amplitude_source import (
    Progress,
    amplitude,
    amplitude_merges,
    amplitude_rest,
    cursors,
    empty_tables,
    first_unseen_hour,
    is_list_due,
    read_merges,
    remove_superseded,
)
from amplitude_source.archive import ExportHour
from amplitude_source.bronze_files import DATASET, LAYOUT, BronzeFiles
from amplitude_source.download import ExportClient
from amplitude_source.errors import AmplitudeError
from amplitude_source.lake import AWS_ERRORS, no_credentials
from amplitude_source.ledger import Coverage, Ledger, Restatement, coverage, read_ledgers, restatements
from amplitude_source.lock import BusyError, locked
from amplitude_source.privacy import PrivacySettings
from amplitude_source.settings import (
    HOUR,
    AmplitudeSettings,
    format_hour,
    hours_between,
    load_projects,
    parse_hour,
    parse_time,
)
from amplitude_source.snowflake import SNOWFLAKE_VARIABLES, STAGING, refusal, snowflake_destination
from amplitude_source.work import Planner, Work

ROOT = Path(__file__).resolve().parents[1]
INVOKED_FROM = Path.cwd()
COMMAND = "python pipelines/amplitude.py"
MISSING_HOURS_EXIT = 3
BUSY_EXIT = 4
STOPPED = "Stopped; a plain re-run continues."
CATALOG = "amplitude"  # as in sqlmesh/config.yaml
DUCKDB_VARIABLE, DUCKDB_DEFAULT = "DESTINATION__DUCKDB__CREDENTIALS", "data/amplitude.duckdb"
# A load needs no order among its rows. One thread fills DuckDB's row groups to the brim; what several leave half full
# is written anew when the file is closed. So two statements run at once, on a file each.
DUCKDB_CONFIG: dict[str, bool | int | str] = {"preserve_insertion_order": False, "threads": 1}
PARALLEL_INSERTS = 2
# DuckDB writes for its version 1.0 by default, though with this format a load takes a fifth less. 1.3 is of May 2025.
STORAGE_VERSION = "v1.3.0"
# The least memory with which DuckDB writes row groups to disk at full speed. On top it holds some vectors whole.
DUCKDB_MEMORY_BYTES = 100_000_000
VECTOR_ROWS, VECTORS_HELD = 2048, 4
M_MMAP_THRESHOLD = -3  # of malloc.h
FROM_ARCHIVE = ""  # --replay without a folder
SECONDS_BETWEEN_LINES = 30  # of progress, where there is no terminal
FAILURES = (DltException, AmplitudeError, duckdb.Error, OSError, *AWS_ERRORS)

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
    python pipelines/amplitude.py --project web            of several projects, this one only
    python pipelines/amplitude.py status                   which hours are loaded, empty, pending or missing
    python pipelines/amplitude.py load-merges FILES...     whom Amplitude has merged, where your plan exports it

    Settings come from the environment or from .env; .env.example lists them. Hours are UTC and mean the time of upload.

    \b
    Exit codes: 0 done, 1 failed (one sentence says why), 2 a wrong option,
    3 status found missing hours, 4 another command is loading in the same work folder.
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


project_option = click.option(
    "--project", metavar="NAME", help="Of several projects this one only, as in SOURCES__AMPLITUDE__PROJECTS__<NAME>."
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
@project_option
@destination_option
def load(
    start: str | None, end: str | None, replay: str | None, gaps: bool, project: str | None, destination: str
) -> None:
    """Load hours into bronze (the default command)."""
    if gaps and (start or end or replay is not None):
        raise click.UsageError("--gaps goes by the ledger: leave out --start, --end and --replay.")
    first, last = parse_hour(start, "--start") if start else None, parse_hour(end, "--end") if end else None
    projects = chosen_projects(project)
    if replay and len(projects) > 1:
        raise click.UsageError("--replay DIR: say with --project whose files they are.")

    with loading(destination, projects) as pipeline:

        def plan(settings: AmplitudeSettings, ledger: Ledger) -> Work:
            planner = Planner(settings, ledger)
            if gaps:
                return planner.gaps()
            if replay is not None:
                return planner.replay(first, last, INVOKED_FROM / replay if replay != FROM_ARCHIVE else None)
            if first:
                return planner.range(first, last)
            return planner.new_hours(cursors(pipeline, settings, ledger), last)

        for_each_project(projects, lambda settings: load_project(pipeline, settings, plan))


def chosen_projects(name: str | None) -> list[AmplitudeSettings]:
    """The projects of the settings, or the one of this name."""
    projects = load_projects()
    if name is None:
        return projects
    chosen = [settings for settings in projects if settings.project == name]
    if not chosen:
        names = ", ".join(settings.project for settings in projects)
        raise click.UsageError(f"--project {name}: the settings have no such project, only {names}.")
    return chosen


def for_each_project(projects: list[AmplitudeSettings], act: Callable[[AmplitudeSettings], None]) -> None:
    """Acts on one project after the other; one that fails does not stop the others, but the exit code tells."""
    failed = []
    for settings in projects:
        try:
            if len(projects) > 1:
                out.print(f"Project {settings.project}", style="bold")
            act(settings)
        except FAILURES as error:
            if len(projects) == 1 or is_interrupt(error):
                raise
            err.print(f"error: project {settings.project}: {explain(error)}", style="bold red")
            failed.append(settings.project)
    if failed:
        raise AmplitudeError(
            f"{len(failed)} of {len(projects)} projects failed ({', '.join(failed)}); the others are loaded."
        )


def load_project(
    pipeline: dlt.Pipeline, settings: AmplitudeSettings, plan: Callable[[AmplitudeSettings, Ledger], Work]
) -> None:
    ledgers = tidied_ledgers(pipeline, settings)
    work = plan(settings, ledgers.get(settings.project, {}))
    client = ExportClient(settings) if work.asks_amplitude else None
    if not work.size:
        out.print(
            f"Nothing new: hour {format_hour(work.first)} is not available from Amplitude yet."
            if work.cursors
            else "No gaps: no hour is missing."
        )
    else:
        if client:
            client.check_address()
        load_hours(pipeline, settings, work, ledgers)
    if client and work.cursors and (work.size or is_list_due(pipeline, settings)):
        pipeline.run(amplitude_rest(settings, client, work.first, warn=lambda text: err.print(f"warning: {text}")))


def load_hours(pipeline: dlt.Pipeline, settings: AmplitudeSettings, work: Work, ledgers: dict[str, Ledger]) -> Progress:
    """Loads them, and reports.

    Raises:
        AmplitudeError: not all could be had; those before are loaded.
    """
    known = restatements(ledgers)
    progress, started = Progress(), time.monotonic()
    ledgers = run_loads(pipeline, settings, work, ledgers, progress)
    report(work, progress, time.monotonic() - started)
    for restatement in restatements(ledgers):
        if restatement not in known:
            out.print(restate_text(restatement))
    if progress.error:
        raise progress.error
    return progress


@contextmanager
def loading(destination: str, projects: list[AmplitudeSettings]) -> Iterator[dlt.Pipeline]:
    """The pipeline of a destination for a command that loads: alone in the work folders of its projects."""
    command = shlex.join([*COMMAND.split(), *sys.argv[1:]])
    with ExitStack() as locks:
        for folder in sorted({settings.work_path.resolve() for settings in projects}):
            locks.enter_context(locked(folder, projects[0].present, command))
        yield open_pipeline(destination, projects[0])


@contextmanager
def looking(destination: str, settings: AmplitudeSettings) -> Iterator[dlt.Pipeline]:
    """The pipeline of a destination for a command that only reads: beside a load, it touches nothing of that."""
    with TemporaryDirectory() as folder:
        pipeline = make_pipeline(destination, settings, Path(folder))
        pipeline.sync_destination()
        yield pipeline


def open_pipeline(destination: str, settings: AmplitudeSettings) -> dlt.Pipeline:
    """The dlt pipeline of a destination, in the state that its last finished load left."""
    pipelines = settings.work_path.absolute() / "pipelines"
    pipeline = make_pipeline(destination, settings, pipelines)
    if pipeline.has_pending_data:
        # An interrupted run's load may be half in place: its hours are read anew, and what it left never counts.
        err.print("The last run was interrupted; its unfinished load is dropped, and its hours are loaded again.")
        if destination == "filesystem":
            BronzeFiles(pipeline).forget(pipeline.list_normalized_load_packages())
        shutil.rmtree(pipelines / pipeline.pipeline_name)
        pipeline = make_pipeline(destination, settings, pipelines)
    if destination == "filesystem":
        BronzeFiles(pipeline).forget_states()
    pipeline.sync_destination()
    return pipeline


def make_pipeline(destination: str, settings: AmplitudeSettings, pipelines: Path) -> dlt.Pipeline:
    return dlt.pipeline(
        pipeline_name=f"amplitude_{destination}",
        dataset_name=DATASET,
        pipelines_dir=str(pipelines),
        destination=make_destination(destination, settings),
        staging=lake_destination(settings, STAGING) if destination == "snowflake" else None,
    )


def lake_destination(settings: AmplitudeSettings, folder: str = "") -> Destination[Any, Any]:
    """A folder of the lake, for files that dlt writes; with the settings of the lake, credentials included."""
    return dlt.destinations.filesystem(
        bucket_url=f"{settings.lake.bucket_url.rstrip('/')}/{folder}",
        credentials=settings.lake.credentials,
        layout=LAYOUT,
        kwargs=settings.lake.kwargs,
        client_kwargs=settings.lake.client_kwargs,
        config_kwargs=settings.lake.config_kwargs,
        preferred_loader_file_format="parquet",
    )


def make_destination(destination: str, settings: AmplitudeSettings) -> TDestinationReferenceArg:
    if destination == "filesystem":
        return lake_destination(settings)
    if destination == "duckdb":
        path = Path(os.environ.setdefault(DUCKDB_VARIABLE, DUCKDB_DEFAULT))
        if path.stem.lower() != CATALOG:
            raise AmplitudeError(
                f"{DUCKDB_VARIABLE}: name the file {CATALOG}.duckdb, not {path.name}: DuckDB names the "
                "catalog after it, and the views of silver and gold go by that name."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():  # a file keeps the format that it was made with
            duckdb.connect(path, config={"storage_compatibility_version": STORAGE_VERSION}).close()
        credentials = DuckDbCredentials(str(path.absolute()))  # dlt would keep a relative one as it once was
        credentials.global_config = DUCKDB_CONFIG
        return dlt.destinations.duckdb(credentials=credentials, max_parallel_load_jobs=PARALLEL_INSERTS)
    return snowflake_destination(settings.lake.bucket_url.rstrip("/"))


def run_loads(
    pipeline: dlt.Pipeline, settings: AmplitudeSettings, work: Work, ledgers: dict[str, Ledger], progress: Progress
) -> dict[str, Ledger]:
    """Runs the pipeline until the hours are used up; each load commits for itself. Gives the ledgers after it."""
    with progress_bar(work) as watched:
        while not progress.is_done:
            with typed_folder(pipeline) as folder:
                export = amplitude(settings, watched, ledgers.get(settings.project, {}), progress, folder)
                known: list[str] = [*pipeline.default_schema.tables] if pipeline.default_schema_name else []
                pipeline.extract([export, empty_tables(known)])
            pipeline.normalize()
            limit_memory(progress.longest_line)
            with kept_open(pipeline):
                pipeline.load()
            ledgers = tidied_ledgers(pipeline, settings)
    return ledgers


def tidied_ledgers(pipeline: dlt.Pipeline, settings: AmplitudeSettings) -> dict[str, Ledger]:
    """The ledgers; what the project's newest load has replaced is gone from bronze, be that load an earlier run's."""
    ledgers = read_ledgers(pipeline)
    remove_superseded(pipeline, settings.project, ledgers.get(settings.project, {}))
    return ledgers


@contextmanager
def kept_open(pipeline: dlt.Pipeline) -> Iterator[None]:
    """Keeps a connection to DuckDB, which puts its file in order, at some cost, whenever the last one closes."""
    if pipeline.destination.destination_name == "duckdb":
        with pipeline.sql_client():
            yield
    else:
        yield


def limit_memory(longest_line: int) -> None:
    """Sets what DuckDB may take for a load, by the longest line so far, in bytes. dlt hands it to each connection."""
    DUCKDB_CONFIG["memory_limit"] = f"{DUCKDB_MEMORY_BYTES + VECTORS_HELD * VECTOR_ROWS * longest_line}B"


@contextmanager
def typed_folder(pipeline: dlt.Pipeline) -> Iterator[Path]:
    """An empty folder for files on their way to dlt; beside its own, so that it can link instead of copying them."""
    folder = Path(pipeline.working_dir) / "typed"
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@contextmanager
def progress_bar(work: Work) -> Iterator[Work]:
    """Gives the work, and shows how far it is: on a terminal as a bar, else as a line now and then."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("hours"),
        TimeRemainingColumn(),
    )
    started = said = time.monotonic()
    with ProgressBar(*columns, console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task(format_hour(work.first), total=work.size)

        def watched() -> Iterator[ExportHour]:
            nonlocal said
            for done, hour in enumerate(work.hours, 1):
                yield hour
                bar.update(task, advance=1, description=format_hour(hour.hour))
                if not err.is_terminal and time.monotonic() - said >= SECONDS_BETWEEN_LINES:
                    said = time.monotonic()
                    left = timedelta(seconds=round((said - started) / done * (work.size - done)))
                    err.print(f"{done:,} of {work.size:,} hours, up to {format_hour(hour.hour)}; {left} left.")

        yield replace(work, hours=watched())


def report(work: Work, progress: Progress, seconds: float) -> None:
    """The summary at the end of a load."""
    hours = ", ".join(f"{progress.hours[status]} {status}" for status in ("loaded", "empty", "pending"))
    out.print(
        f"{progress.hours.total()} hours in {seconds:.1f} s: {hours}. "
        f"{progress.loaded_rows:,} rows in bronze.events, {progress.rejected_rows:,} in bronze.rejected_rows, "
        f"{progress.bytes / 1e6:,.1f} MB archived."
    )
    if work.rechecks:
        out.print(f"{work.rechecks} hours were compared with Amplitude once more: {len(progress.revised)} had changed.")
    if progress.rejected_rows:
        out.print(
            "Each rejected row keeps its line: SELECT reason, COUNT(*) FROM bronze.rejected_rows GROUP BY reason."
        )
    if progress.new_columns:
        out.print(f"New columns in bronze.events: {', '.join(progress.new_columns)}; bronze.schema_changes tells more.")
    if progress.kept:
        out.print(f"{len(progress.kept)} hours are gone from Amplitude and were kept as they are in bronze.")


def restate_text(hours: Restatement) -> str:
    return (
        f"Hours {format_hour(hours.first)} to {format_hour(hours.last)} changed. If silver has them already: "
        f"{restate_command(hours.first, hours.last)}"
    )


def restate_command(first: datetime, last: datetime) -> str:
    return f"sqlmesh plan --restate-model silver.events --start '{first}' --end '{last + HOUR}'"


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="For machines: every range of hours with its figures.")
@project_option
@destination_option
def status(as_json: bool, project: str | None, destination: str) -> None:
    """Show which hours are loaded, empty, pending or missing, and the command that fills each gap.

    Exits with 3 where hours are missing.
    """
    projects = chosen_projects(project)
    with looking(destination, projects[0]) as pipeline:
        ledgers = read_ledgers(pipeline)
    ranges = {
        settings.project: coverage(ledgers.get(settings.project, {}), settings.first_hour, settings.newest_hour)
        for settings in projects
    }
    changed = restatements(ledgers)
    if as_json:
        hours = [{"project": name, **coverage_json(range_)} for name in ranges for range_ in ranges[name]]
        restated = [{name: str(value) for name, value in asdict(hours).items()} for hours in changed]
        click.echo(json.dumps({"hours": hours, "restatements": restated}, indent=2))
    else:
        for name, ranges_ in ranges.items():
            show_coverage(ranges_, name if len(ranges) > 1 else None)
        for hours_ in changed:
            out.print(f"{restate_text(hours_)} (since {hours_.since:%Y-%m-%d %H:%M})")
    if any(range_.status == "missing" for ranges_ in ranges.values() for range_ in ranges_):
        sys.exit(MISSING_HOURS_EXIT)


def show_coverage(ranges: list[Coverage], project: str | None) -> None:
    """A row for each status, then every gap with the command that fills it."""
    option = f" --project {project}" if project else ""
    if project:
        out.print(f"Project {project}", style="bold")
    table = Table("status", "hours", "first hour", "last hour", "files", "MB", "rows", "rejected", box=None)
    for column in table.columns:
        column.justify = "left" if column.header in ("status", "first hour", "last hour") else "right"
    for status_ in ("loaded", "empty", "pending", "missing"):
        if of_status := [range_ for range_ in ranges if range_.status == status_]:
            table.add_row(*coverage_row(of_status))
    out.print(table)
    for gap in (range_ for range_ in ranges if range_.status == "missing"):
        span = f"--start {format_hour(gap.first)} --end {format_hour(gap.last)}{option}"
        out.print(f"{gap.hours} missing hours hold silver back from {format_hour(gap.first)} on: {COMMAND} {span}")
        out.print(f"  or, if Amplitude has nothing there: {COMMAND} declare-empty {span}")
    if sum(range_.status == "missing" for range_ in ranges) > 1:
        out.print(f"All of them at once: {COMMAND} --gaps{option}")
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


@cli.command()
@click.option("--since", metavar="TIME", required=True, help="As 2026-06-01T00:00 (UTC): what changed from then on.")
@destination_option
def restate(since: str, destination: str) -> None:
    """Print the sqlmesh command that takes hours which changed into silver and gold: nothing where none did.

    For schedules, which have a shell run what is printed; `status` shows all changes there ever were. SQLMesh's tests
    and linter are left out, as a restatement builds what production has, not what lies here.
    """
    start = parse_time(since, "--since")
    with looking(destination, load_projects()[0]) as pipeline:
        changed = [hours for hours in restatements(read_ledgers(pipeline)) if hours.since >= start]
    if changed:
        command = restate_command(changed[0].first, max(hours.last for hours in changed))
        click.echo(f"{command} --auto-apply --no-prompts --skip-tests --skip-linter")


@cli.command("declare-empty")
@click.option("--start", metavar="HOUR", required=True, help="First hour, as 2026-06-01T00.")
@click.option("--end", metavar="HOUR", required=True, help="Last hour, included.")
@project_option
@destination_option
def declare_empty(start: str, end: str, project: str | None, destination: str) -> None:
    """Declare hours that are missing empty for good, so that silver no longer waits for them."""
    projects = chosen_projects(project)
    if len(projects) > 1:
        raise click.UsageError("Say with --project whose hours are empty.")
    (settings,) = projects
    first, last = parse_hour(start, "--start"), parse_hour(end, "--end")
    with loading(destination, projects) as pipeline:
        ledgers = tidied_ledgers(pipeline, settings)
        work = Planner(settings, ledgers.get(settings.project, {})).declared_empty(first, last)
        progress = Progress()
        run_loads(pipeline, settings, work, ledgers, progress)
    if progress.error:
        raise progress.error
    kept = len(hours_between(first, last)) - work.size
    out.print(f"{progress.hours['empty']} hours declared empty, {kept} left as they were.")


@cli.command("load-merges")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@project_option
@destination_option
def load_merges(files: tuple[Path, ...], project: str | None, destination: str) -> None:
    """Load Amplitude's own word on which users it has merged, which some plans export to Snowflake or S3.

    FILES have one JSON object a line with AMPLITUDE_ID, MERGED_AMPLITUDE_ID, MERGE_EVENT_TIME and MERGE_SERVER_TIME,
    and may be gzipped. What bronze has already stays as it is.
    """
    projects = chosen_projects(project)
    if len(projects) > 1:
        raise click.UsageError("Say with --project whose users they are.")
    (settings,) = projects
    if destination == "filesystem":
        raise click.UsageError(
            "Merges of users are for silver, which is built in a warehouse: take another --destination."
        )
    merges = read_merges(INVOKED_FROM / file for file in files)
    with loading(destination, projects) as pipeline:
        hour = first_unseen_hour(settings, read_ledgers(pipeline).get(settings.project, {}))
        (load_id,) = pipeline.run(amplitude_merges(settings, merges, hour)).loads_ids
        count = f"SELECT COUNT(*) FROM merge_ids WHERE _dlt_load_id = '{load_id}'"
        new = pipeline.dataset().query(count).fetchall()[0][0]
    effect = f": silver takes them in with hour {format_hour(hour)}" if new else ""
    out.print(f"{merges.num_rows:,} merges of users read, {new:,} of them new{effect}.")


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turns what a user can mend into one sentence and an exit code; anything else is our fault and keeps its trace."""
    try:
        yield
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(STOPPED)
    except FAILURES as error:
        if is_interrupt(error):
            sys.exit(STOPPED)
        err.print(f"error: {explain(error)}", style="bold red")
        sys.exit(BUSY_EXIT if isinstance(error, BusyError) else 1)


def is_interrupt(error: BaseException) -> bool:
    return any(isinstance(cause, KeyboardInterrupt) for cause in chain_of_causes(error))


def explain(error: BaseException) -> str:
    """The sentence for the user: ours where there is one in the chain of causes, else the innermost cause's own."""
    causes = list(chain_of_causes(error))
    for cause in causes:
        if isinstance(cause, AmplitudeError):
            return str(cause)
        if isinstance(cause, ConfigFieldMissingException):
            prefix = SNOWFLAKE_VARIABLES if "Snowflake" in cause.spec_name else "SOURCES__AMPLITUDE__"
            names = ", ".join(f"{prefix}{name.upper()}" for name in cause.fields)
            return f"A setting is missing: set {names} in .env or the environment; .env.example lists them all."
        if isinstance(cause, ConfigValueCannotBeCoercedException):
            section = "PRIVACY__" if cause.field_name in {field.name for field in fields(PrivacySettings)} else ""
            name = f"SOURCES__AMPLITUDE__{section}{cause.field_name.upper()}"
            return f"{name}: {str(cause.field_value)!r} is no {cause.hint.__name__}."
        if isinstance(cause, AWS_ERRORS):  # S3's own faults are told by the lake: it was asked for credentials
            return no_credentials(cause)
        if isinstance(cause, duckdb.IOException) and "lock" in str(cause):
            return (
                "The DuckDB file is in use by another process; close it (a shell, sqlmesh, a dashboard) and run again."
            )
        if sentence := refusal(cause):
            return sentence
    return f"{type(causes[-1]).__name__}: {str(causes[-1]).splitlines()[0]}"


def chain_of_causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause:
        yield cause
        cause = cause.__cause__ or cause.__context__


def keep_memory_flat() -> None:
    """Has all large pieces of memory come from glibc, and go back at once.

    By default glibc keeps ever larger ones, and Arrow's own allocator what it once had: 300 MB together in a load.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").mallopt(M_MMAP_THRESHOLD, 1 << 20)


class WithoutPandas(MetaPathFinder):
    """SQLMesh brings pandas. DuckDB, Arrow and dlt all import it where it is, for half a second and without a use."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is not needed here", name=name)


def main() -> None:
    sys.meta_path.insert(0, WithoutPandas())
    keep_memory_flat()
    os.chdir(ROOT)  # the settings' relative paths, and dlt's own, mean the repository's root
    load_dotenv(ROOT / ".env", override=True)  # as SQLMesh does, so that both tools see the same settings
    with one_sentence():
        cli(standalone_mode=False)


if __name__ == "__main__":
    main()

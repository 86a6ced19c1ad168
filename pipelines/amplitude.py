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
from dataclasses import asdict, fields
from datetime import datetime
from importlib.abc import MetaPathFinder
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import dlt
import duckdb
import pyarrow as pa
from dlt.common.configuration.exceptions import ConfigFieldMissingException, ConfigValueCannotBeCoercedException
from dlt.common.exceptions import DltException
from dotenv import load_dotenv

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
from amplitude_source.behind import complaints, standing
from amplitude_source.bronze_files import BronzeFiles
from amplitude_source.destinations import kept_open, limit_memory, make_pipeline, run_pipeline
from amplitude_source.download import ExportClient
from amplitude_source.errors import AmplitudeError
from amplitude_source.lake import AWS_ERRORS, no_credentials
from amplitude_source.ledger import Ledger, coverage, read_ledgers
from amplitude_source.lock import BusyError, locked
from amplitude_source.privacy import PrivacySettings
from amplitude_source.reports import (
    COMMAND,
    coverage_json,
    err,
    out,
    progress_bar,
    report,
    restate_command,
    restate_text,
    show_coverage,
)
from amplitude_source.settings import (
    AmplitudeSettings,
    format_hour,
    hours_between,
    load_projects,
    parse_hour,
    parse_time,
)
from amplitude_source.snowflake import SNOWFLAKE_VARIABLES, refusal
from amplitude_source.taken import read_taken, restatements
from amplitude_source.work import Planner, Work

ROOT = Path(__file__).resolve().parents[1]
INVOKED_FROM = Path.cwd()
MISSING_HOURS_EXIT = 3
BUSY_EXIT = 4
BEHIND_EXIT = 6
STOPPED = "Stopped; a plain re-run continues."
M_MMAP_THRESHOLD = -3  # of malloc.h
FROM_ARCHIVE = ""  # --replay without a folder
FAILURES = (DltException, AmplitudeError, duckdb.Error, OSError, *AWS_ERRORS)


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
    3 status found missing hours, 4 another command is loading in the same work folder,
    6 status found that the export, silver or gold is behind, or that silver and gold are to be restated.
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
        run_pipeline(
            pipeline,
            amplitude_rest(settings, client, work.first, warn=lambda text: err.print(f"warning: {text}")),
        )


def load_hours(pipeline: dlt.Pipeline, settings: AmplitudeSettings, work: Work, ledgers: dict[str, Ledger]) -> Progress:
    """Loads them, and reports.

    Raises:
        AmplitudeError: not all could be had; those before are loaded.
    """
    taken = read_taken(pipeline)
    known = restatements(ledgers, taken)
    progress, started = Progress(), time.monotonic()
    ledgers = run_loads(pipeline, settings, work, ledgers, progress)
    report(work, progress, time.monotonic() - started)
    for restatement in restatements(ledgers, taken):
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
    with kept_open(pipeline):
        ledgers = read_ledgers(pipeline)
        remove_superseded(pipeline, settings.project, ledgers.get(settings.project, {}))
    return ledgers


@contextmanager
def typed_folder(pipeline: dlt.Pipeline) -> Iterator[Path]:
    """An empty folder for files on their way to dlt; beside its own, so that it can link instead of copying them."""
    folder = Path(pipeline.working_dir) / "typed"
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="For machines: every range of hours with its figures.")
@project_option
@destination_option
def status(as_json: bool, project: str | None, destination: str) -> None:
    """Show which hours are loaded, how far silver and gold are, and the command that mends what is wrong.

    Exits with 3 where hours are missing; with 6 where the export is stale, or silver and gold are behind, wait for a
    project, or hold another content than bronze.
    """
    chosen = chosen_projects(project)
    with looking(destination, chosen[0]) as pipeline:
        ledgers, taken = read_ledgers(pipeline), read_taken(pipeline)
    ranges = {
        settings.project: coverage(ledgers.get(settings.project, {}), settings.first_hour, settings.newest_hour)
        for settings in chosen
    }
    projects = load_projects()
    found = complaints(ledgers, taken, projects)
    if as_json:
        hours = [{"project": name, **coverage_json(range_)} for name in ranges for range_ in ranges[name]]
        restated = [{name: str(value) for name, value in asdict(each).items()} for each in restatements(ledgers, taken)]
        silver = {"standing": standing(ledgers, taken, projects), "complaints": found}
        click.echo(json.dumps({"hours": hours, "restatements": restated, "silver": silver}, indent=2))
    else:
        for name, ranges_ in ranges.items():
            show_coverage(ranges_, name if len(ranges) > 1 else None)
        for sentence in filter(None, [standing(ledgers, taken, projects), *found]):
            out.print(sentence)
    if any(range_.status == "missing" for ranges_ in ranges.values() for range_ in ranges_):
        sys.exit(MISSING_HOURS_EXIT)
    if found:
        sys.exit(BEHIND_EXIT)


@cli.command()
@click.option("--since", metavar="TIME", help="As 2026-06-01T00:00 (UTC): only what changed from then on.")
@destination_option
def restate(since: str | None, destination: str) -> None:
    """Print the sqlmesh command that updates silver and gold where they hold another content than bronze.

    It prints nothing where all is well, so that a schedule can have a shell run the output. A restatement that was
    interrupted is printed again. SQLMesh's tests and linter are left out, because a restatement builds what production
    has.
    """
    start = parse_time(since, "--since") if since else datetime.min
    with looking(destination, load_projects()[0]) as pipeline:
        outdated = restatements(read_ledgers(pipeline), read_taken(pipeline))
    if changed := [hours for hours in outdated if hours.since >= start]:
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
        (load_id,) = run_pipeline(pipeline, amplitude_merges(settings, merges, hour)).loads_ids
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

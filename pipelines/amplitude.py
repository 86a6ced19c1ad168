"""Amplitude's export into the lake and bronze. `python pipelines/amplitude.py --help` tells how."""

import ctypes
import json
import os
import re
import shutil
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from difflib import get_close_matches
from importlib.abc import MetaPathFinder
from importlib.metadata import version
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NoReturn

try:
    import dlt
except ModuleNotFoundError:
    sys.exit(
        f"error: {sys.executable} does not have the project's packages. Run `make .venv/installed` once in "
        f"{Path(__file__).resolve().parents[1]}, then use its .venv/bin/python."
    )

import click
import duckdb
import pyarrow as pa
from dlt.common.configuration.exceptions import ConfigFieldMissingException
from dlt.common.exceptions import DltException
from dlt.pipeline.exceptions import PipelineStepFailed

from amplitude_source import (
    Progress,
    amplitude,
    amplitude_merges,
    amplitude_rest,
    cursors,
    empty_tables,
    first_unseen_hour,
    forget_loads,
    is_list_due,
    read_merges,
    remove_leftovers,
    remove_superseded,
)
from amplitude_source.archive import Archive
from amplitude_source.bronze_files import BronzeFiles
from amplitude_source.commands import CONSOLE_COMMAND, INVOKED_FROM, load_command
from amplitude_source.destinations import kept_open, limit_memory, make_pipeline, pipeline_name, run_pipeline
from amplitude_source.download import ExportClient
from amplitude_source.errors import AmplitudeError, RejectedRowsError
from amplitude_source.exported import Source
from amplitude_source.lake import AWS_ERRORS, LakeError, no_credentials
from amplitude_source.ledger import Ledger, coverage, read_ledgers, rejecting_hours, restatements
from amplitude_source.lock import BUSY_EXIT, BusyError, locked
from amplitude_source.reports import (
    coverage_json,
    damage_text,
    err,
    out,
    progress_bar,
    rejecting_text,
    report,
    restate_command,
    restate_text,
    show_coverage,
    show_privacy,
    warn,
)
from amplitude_source.settings import (
    DESTINATION_VARIABLE,
    DESTINATIONS,
    AmplitudeSettings,
    destination,
    format_hour,
    hours_between,
    load_projects,
    parse_hour,
    parse_last_hour,
    parse_time,
    settle_settings,
)
from amplitude_source.snowflake import SNOWFLAKE_VARIABLES, refusal
from amplitude_source.verify import archived_hours, damaged_hours, sample_hours
from amplitude_source.work import Planner, Work

ROOT = Path(__file__).resolve().parents[1]
MISSING_HOURS_EXIT = 3
REJECTED_EXIT = 5
INTERRUPTED_EXIT = 130  # as shells have it for Ctrl-C
STOPPED = "Stopped; a plain re-run continues."
M_MMAP_THRESHOLD = -3  # of malloc.h
FROM_ARCHIVE = ""  # --replay without a folder
EXITS = {BusyError: BUSY_EXIT, RejectedRowsError: REJECTED_EXIT}
FAILURES = (DltException, AmplitudeError, duckdb.Error, OSError, *AWS_ERRORS)


class LoadByDefault(click.Group):
    """`load` may be left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("-h", "--help", "--version")):
            refuse_misspelt(args, [*self.commands], ctx)
            args = ["load", *args]
        return super().parse_args(ctx, args)


def refuse_misspelt(args: list[str], commands: list[str], ctx: click.Context) -> None:
    """Refuse a word where only a command can stand, and what is nearly an option of all commands.

    Raises:
        click.UsageError: with the nearest command or option.
    """
    word = args[0] if args else ""
    if word and not word.startswith("-"):
        near = get_close_matches(word, commands, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else f" The commands are {', '.join(sorted(commands))}."
        raise click.UsageError(f"No such command {word!r}.{hint}", ctx)
    if near := get_close_matches(word, ["--version", "--help"], n=1, cutoff=0.75):
        raise click.UsageError(f"No such option {word!r}. Did you mean {near[0]!r}?", ctx)


def show_version(ctx: click.Context, _: click.Parameter, is_asked: bool) -> None:
    if is_asked:
        own = (
            tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
            if (ROOT / "pyproject.toml").exists()
            else {}
        )
        click.echo(f"{CONSOLE_COMMAND} {own.get('version', '(no pyproject.toml beside it)')}")
        click.echo(", ".join(f"{name} {version(name)}" for name in ("dlt", "sqlmesh", "duckdb")))
        ctx.exit()


@click.group(cls=LoadByDefault, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=show_version, help="Show versions."
)
def cli() -> None:
    """Loads every event that Amplitude exports into your lake and the bronze tables of your warehouse, exactly once.

    \b
    amplitude.py                   continue after the last run
    amplitude.py --start 2026-06-01 --end 2026-06-01
    amplitude.py --replay          bronze anew, from the lake
    amplitude.py --replay exports/ load files exported before
    amplitude.py --gaps            load the missing hours
    amplitude.py --project web     of several, this one only
    amplitude.py status            what is loaded or missing
    amplitude.py privacy check     what the privacy rules do
    amplitude.py archive verify    check and mend the lake
    amplitude.py load-merges FILES load Amplitude's merges

    Settings come from the environment or from .env; .env.example lists them. Hours are UTC and mean the time of upload.

    \b
    Exit codes:
      0  done
      1  failed; one sentence says why
      2  a wrong option
      3  status: hours are missing or damaged
      4  another process uses the work folder or the database
      5  too many rows of an hour were rejected
    130  stopped by Ctrl-C
    """


destination_option = click.option(
    "--destination",
    type=click.Choice(DESTINATIONS),
    default=destination,
    help=f"Where bronze lies; else {DESTINATION_VARIABLE} chooses, and without it DuckDB.",
)


project_option = click.option(
    "--project", metavar="NAME", help="Only this one of several projects, named as in its settings: PROJECTS__<NAME>."
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
    help="Read the lake's archive, or exported files (a folder, a zip) instead of the API.",
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
    first, last = parse_hour(start, "--start") if start else None, parse_last_hour(end, "--end") if end else None
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
    ledgers = opened_ledgers(pipeline, settings)
    work = plan(settings, ledgers.get(settings.project, {}))
    client = ExportClient(settings) if work.asks_amplitude else None
    rejecting = []
    if work.merges:
        store_merges(pipeline, settings, read_merges(work.merges), ledgers)
    if not work.size and not work.merges:
        if client and (refusal_ := client.refused_keys()):
            warn(refusal_)
        out.print(
            f"Nothing new: the next hour to load is {format_hour(work.first)}."
            if work.cursors
            else "No gaps: no hour is missing."
        )
    elif work.size:
        if client:
            client.check_address()
        for doubt in settings.privacy.doubts():
            warn(doubt)
        rejecting = load_hours(pipeline, settings, work, ledgers).rejecting
    if client and work.cursors and (work.size or is_list_due(pipeline, settings)):
        load_lists(pipeline, settings, client, work.first)
    if rejecting:
        raise RejectedRowsError(rejecting_text(rejecting, settings))


def load_lists(pipeline: dlt.Pipeline, settings: AmplitudeSettings, client: ExportClient, hour: datetime) -> None:
    """Load the small endpoints. If Amplitude does not give them, warn: the hours are loaded, the next run asks again.

    Args:
        hour: the first one that silver cannot have seen.
    """
    try:
        run_pipeline(pipeline, amplitude_rest(settings, client, hour, warn=warn))
    except PipelineStepFailed as error:
        causes = [cause for cause in chain_of_causes(error) if isinstance(cause, AmplitudeError)]
        if error.step != "extract" or not causes:
            raise
        warn(f"The list of event types could not be read; the next run asks for it again. {causes[0]}")


def load_hours(pipeline: dlt.Pipeline, settings: AmplitudeSettings, work: Work, ledgers: dict[str, Ledger]) -> Progress:
    """Loads them, and reports.

    Raises:
        AmplitudeError: not all could be had; those before are loaded.
    """
    known = restatements(ledgers)
    progress, started = Progress(), time.monotonic()
    ledgers = run_loads(pipeline, settings, work, ledgers, progress)
    if progress.hours or not progress.error:
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
    command = load_command(*sys.argv[1:])
    with ExitStack() as locks:
        for folder in sorted({settings.work_path.resolve() for settings in projects}):
            locks.enter_context(locked(folder, projects[0].present, command))
        yield open_pipeline(destination, projects[0])


@contextmanager
def looking(destination: str, settings: AmplitudeSettings) -> Iterator[dlt.Pipeline]:
    """The pipeline of a destination for a command that only reads: beside a load, it touches nothing of that."""
    with TemporaryDirectory() as folder:
        pipeline = make_pipeline(destination, settings, Path(folder), read_only=True)
        with kept_open(pipeline):
            pipeline.sync_destination()
            yield pipeline


def open_pipeline(destination: str, settings: AmplitudeSettings) -> dlt.Pipeline:
    """The dlt pipeline of a destination, in the state that its last finished load left there.

    The work folder may be another warehouse's, newer than a warehouse that was restored, or broken by a power cut. So
    nothing in it is believed: each run gets dlt's state from the destination.
    """
    pipelines = settings.work_path.absolute() / "pipelines"
    folder = pipelines / pipeline_name(destination)
    loads = [path.name for kind in ("normalize/extracted/*", "load/normalized/*") for path in folder.glob(kind)]
    if loads:
        # An interrupted run's load may be half in place: its hours are read anew, and what it left never counts.
        err.print("The last run was interrupted; its unfinished load is dropped, and its hours are loaded again.")
        with TemporaryDirectory() as empty:
            pipeline = make_pipeline(destination, settings, Path(empty))
            with kept_open(pipeline):
                pipeline.sync_destination()  # first, because dlt explains here what a destination refuses
                forget_loads(pipeline, loads)
    shutil.rmtree(folder, ignore_errors=True)
    pipeline = make_pipeline(destination, settings, pipelines)
    if destination == "filesystem":
        BronzeFiles(pipeline).forget_states()
    with kept_open(pipeline):
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


def opened_ledgers(pipeline: dlt.Pipeline, settings: AmplitudeSettings) -> dict[str, Ledger]:
    """The ledgers at the start of a run; what any earlier run left that does not count is gone from bronze."""
    with kept_open(pipeline):
        ledgers = tidied_ledgers(pipeline, settings)
        remove_leftovers(pipeline, ledgers)
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
    """Show which hours are loaded, empty, pending or missing, and the command that fills each gap.

    A few hours of the archive are compared with the ledger each time; `archive verify` compares all. Exits with 3 where
    hours are missing, or damaged in the archive, else with 5 where too many rows of an hour were rejected.
    """
    projects = chosen_projects(project)
    with looking(destination, projects[0]) as pipeline:
        ledgers = read_ledgers(pipeline)
    ranges = {
        settings.project: coverage(ledgers.get(settings.project, {}), settings.first_hour, settings.newest_hour)
        for settings in projects
    }
    damaged = {settings.project: sample_damage(settings, ledgers.get(settings.project, {})) for settings in projects}
    changed = restatements(ledgers)
    rejecting = [
        (settings, hours)
        for settings in projects
        if (hours := rejecting_hours(ledgers.get(settings.project, {}).values(), settings))
    ]
    if as_json:
        listed = [{"project": name, **coverage_json(range_)} for name in ranges for range_ in ranges[name]]
        restated = [{name: str(value) for name, value in asdict(hours).items()} for hours in changed]
        damage = [{"project": name, "first_damage": text} for name, text in damaged.items() if text]
        rejected = [
            {"project": settings.project, "hour": format_hour(hour)}
            for settings, rejecting_ in rejecting
            for hour in rejecting_
        ]
        report_ = {"hours": listed, "restatements": restated, "archive": damage, "rejecting": rejected}
        click.echo(json.dumps(report_, indent=2))
    else:
        for name, ranges_ in ranges.items():
            show_coverage(ranges_, name if len(ranges) > 1 else None)
            if text := damaged[name]:
                option = ["--project", name] if len(ranges) > 1 else []
                out.print(f"{text} Mend it: {load_command('archive', 'verify', *option)}")
        for settings, rejecting_ in rejecting:
            out.print(rejecting_text(rejecting_, settings))
        for change in changed:
            out.print(f"{restate_text(change)} (since {change.since:%Y-%m-%d %H:%M})")
    missing = [range_ for ranges_ in ranges.values() for range_ in ranges_ if range_.status == "missing"]
    if missing or any(damaged.values()):
        sys.exit(MISSING_HOURS_EXIT)
    if rejecting:
        sys.exit(REJECTED_EXIT)


def sample_damage(settings: AmplitudeSettings, ledger: Ledger) -> str | None:
    """Look at some hours of a project's archive; say what is wrong with them."""
    try:
        archive = Archive(settings.lake, settings.project)
        damaged = damaged_hours(archive, ledger, sample_hours(archive, ledger, Random()))
    except LakeError as error:
        return f"The archive could not be looked at. {error}"
    return damage_text(damaged) if damaged else None


@cli.group("archive")
def archive_commands() -> None:
    """Look after the lake's archive."""


@archive_commands.command()
@project_option
@destination_option
def verify(project: str | None, destination: str) -> None:
    """Read every file of the archive, compare it with its checksum and the ledger, and fetch again what is damaged.

    Exits with 1 where Amplitude no longer has what is missing or damaged.
    """
    projects = chosen_projects(project)
    with loading(destination, projects) as pipeline:
        for_each_project(projects, lambda settings: verify_project(pipeline, settings))


def verify_project(pipeline: dlt.Pipeline, settings: AmplitudeSettings) -> None:
    ledgers = opened_ledgers(pipeline, settings)
    ledger, archive = ledgers.get(settings.project, {}), Archive(settings.lake, settings.project)
    hours = archived_hours(archive, ledger)
    damaged = damaged_hours(archive, ledger, hours)
    out.print(f"{len(hours):,} hours of the archive were compared with their checksums and the ledger.")
    for path in archive.strangers():
        warn(f"{path} is not the name of a manifest; remove it once no hour is missing.")
    if not damaged:
        return
    warn(damage_text(damaged))
    ExportClient(settings).check_address()
    load_hours(pipeline, settings, Planner(settings, ledger).mend([error.hour for error in damaged]), ledgers)
    with kept_open(pipeline):
        ledger = read_ledgers(pipeline).get(settings.project, {})
    if left := damaged_hours(archive, ledger, [error.hour for error in damaged]):
        raise AmplitudeError(f"Amplitude does not have them any more: {damage_text(left)}")
    out.print(f"All {len(damaged):,} were fetched from Amplitude again.")


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
    first, last = parse_hour(start, "--start"), parse_last_hour(end, "--end")
    with loading(destination, projects) as pipeline:
        ledgers = opened_ledgers(pipeline, settings)
        work = Planner(settings, ledgers.get(settings.project, {})).declared_empty(first, last)
        progress = Progress()
        run_loads(pipeline, settings, work, ledgers, progress)
    if progress.error:
        raise progress.error
    kept = len(hours_between(first, last)) - work.size
    out.print(f"{progress.hours['empty']} hours declared empty, {kept} left as they were.")


class FileCommand(click.Command):
    """A command for files whose names may begin with `-` and a digit, as those of merged users do."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [f"./{arg}" if re.match(r"-\d", arg) else arg for arg in args])


@cli.command("load-merges", cls=FileCommand)
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
    merges = read_merges(Source.of(INVOKED_FROM / file) for file in files)
    with loading(destination, projects) as pipeline, kept_open(pipeline):
        store_merges(pipeline, settings, merges, read_ledgers(pipeline))


def store_merges(
    pipeline: dlt.Pipeline, settings: AmplitudeSettings, merges: pa.Table, ledgers: dict[str, Ledger]
) -> None:
    """Load what `read_merges` gives, and report it. Files as destination have no use for it."""
    if pipeline.destination.destination_name == "filesystem":
        err.print(f"warning: {merges.num_rows:,} merges of users are left out: they are for a warehouse.")
        return
    hour = first_unseen_hour(settings, ledgers.get(settings.project, {}))
    (load_id,) = run_pipeline(pipeline, amplitude_merges(settings, merges, hour)).loads_ids
    count = f"SELECT COUNT(*) FROM merge_ids WHERE _dlt_load_id = '{load_id}'"
    new = pipeline.dataset().query(count).fetchall()[0][0]
    effect = f": silver takes them in with hour {format_hour(hour)}" if new else ""
    out.print(f"{merges.num_rows:,} merges of users read, {new:,} of them new{effect}.")


@cli.group()
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


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turns what a user can mend into one sentence and an exit code; anything else is our fault and keeps its trace."""
    try:
        yield
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        stop()
    except FAILURES as error:
        if is_interrupt(error):
            stop()
        err.print(f"error: {explain(error)}", style="bold red")
        kinds = {kind for cause in chain_of_causes(error) for kind in type(cause).__mro__}
        sys.exit(next((code for kind, code in EXITS.items() if kind in kinds), 1))


def stop() -> NoReturn:
    err.print(STOPPED)
    sys.exit(INTERRUPTED_EXIT)


def is_interrupt(error: BaseException) -> bool:
    return any(isinstance(cause, KeyboardInterrupt) for cause in chain_of_causes(error))


def explain(error: BaseException) -> str:
    """The sentence for the user: ours where there is one in the chain of causes, else the innermost cause's own."""
    causes = list(chain_of_causes(error))
    for cause in causes:
        if isinstance(cause, AmplitudeError):
            return str(cause)
        if isinstance(cause, ConfigFieldMissingException):  # the destination's: dlt asks for them when it connects
            names = ", ".join(f"{SNOWFLAKE_VARIABLES}{name.upper()}" for name in cause.fields)
            return f"A setting is missing: set {names} in .env or the environment; .env.example lists them all."
        if isinstance(cause, AWS_ERRORS):  # S3's own faults are told by the lake: it was asked for credentials
            return no_credentials(cause)
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
    """Run the command line; the entry of the script and of the console command."""
    if not (ROOT / "pipelines").is_dir():
        sys.exit(
            f"error: {CONSOLE_COMMAND} is installed without its repository, which holds its settings and models. Run "
            "`make .venv/installed` in the repository, then use its .venv/bin/amplitude-warehouse."
        )
    sys.meta_path.insert(0, WithoutPandas())
    keep_memory_flat()
    os.chdir(ROOT)  # the settings' relative paths, and dlt's own, mean the repository's root
    with one_sentence():
        settle_settings(ROOT)
        cli(standalone_mode=False)


if __name__ == "__main__":
    main()

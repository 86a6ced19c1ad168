"""Amplitude's export into the lake and bronze. `python pipelines/amplitude.py --help` tells how."""

import json
import re
import sys
from datetime import datetime
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path

import click
import dlt

from .. import (
    RESOURCES,
    cursors,
    due_looks,
    ledger_mark,
    read_merges,
)
from ..bronze.cleanup import remove_superseded
from ..bronze.destinations import kept_open, run_pipeline
from ..bronze.ledger import Ledger, read_ledgers
from ..bronze.proof import read_proof
from ..bronze.renames import rename, retirement
from ..bronze.runs import newest_runs
from ..bronze.taken import TAKEN_TABLE, read_taken, restatements
from ..bronze.verify import archived_hours, damaged_hours
from ..environment import exposed
from ..errors import AmplitudeError
from ..export.client import ExportClient
from ..export.exported import Source
from ..invocation import CONSOLE_COMMAND, INVOKED_FROM, ROOT, load_command, own_version
from ..lake.archive import Archive
from ..lake.storage import GS, S3
from ..plan import Planner, Work
from ..rest.resources import read_failures
from ..settings import (
    GATEWAYS,
    HOUR,
    AmplitudeSettings,
    format_hour,
    hours_between,
    load_projects,
    parse_hour,
    parse_last_hour,
    parse_time,
    settle_settings,
)
from . import process
from .alert import alert
from .chart import chart
from .dashboard import dashboard
from .doctor.command import doctor
from .erase import erase, export_user
from .failures import one_sentence
from .loads import load_hours, load_only, load_project, loading, looking, opened_ledgers, run_loads, store_merges
from .logs import log_format_option, text_again, warn
from .metrics import metrics_text
from .options import destination_option, project_option
from .privacy import privacy
from .projects import chosen_projects
from .prune import prune
from .reports import (
    damage_text,
    out,
    restate_command,
    restate_text,
    show_coverage,
)
from .runs import RunUnderWay, noted, run_each
from .status import Status, Trust, find_status

FROM_ARCHIVE = ""  # --replay without a folder


EVENTS = "events"  # the export: hours, with the merged users beside them
LOADABLE = (EVENTS, *RESOURCES)


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


def check_names(_ctx: click.Context, _param: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a name that nothing has.

    Raises:
        click.BadParameter: with the nearest name.
    """
    for name in names:
        if name not in LOADABLE:
            near = get_close_matches(name, LOADABLE, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"The names are {', '.join(LOADABLE)}."
            raise click.BadParameter(f"there is no {name!r}. {hint}")
    return names


def show_version(ctx: click.Context, _: click.Parameter, is_asked: bool) -> None:
    if is_asked:
        click.echo(f"{CONSOLE_COMMAND} {own_version(ROOT)}")
        click.echo(", ".join(f"{name} {version(name)}" for name in ("dlt", "sqlmesh", "duckdb")))
        ctx.exit()


@click.group(cls=LoadByDefault, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=show_version, help="Show versions."
)
@click.pass_context
def cli(context: click.Context) -> None:
    """Loads every event that Amplitude exports into your lake and the bronze tables of your warehouse, exactly once.

    \b
    amplitude.py                   continue after the last run
    amplitude.py --start 2026-06-01 --end 2026-06-01
    amplitude.py --replay          bronze anew, from the lake
    amplitude.py --replay exports/ load files exported before
    amplitude.py --gaps            load the missing hours
    amplitude.py --only cohorts    a part of the REST APIs
    amplitude.py --project web     of several, this one only
    amplitude.py status            what is loaded or missing
    amplitude.py doctor            what is wrong, and the mend
    amplitude.py alert             report what is wrong
    amplitude.py chart NAME        the answer to a chart
    amplitude.py dashboard         all of it in a browser
    amplitude.py privacy check     what the privacy rules do
    amplitude.py archive verify    check and mend the lake
    amplitude.py archive prune     remove its old files
    amplitude.py load-merges FILES load Amplitude's merges
    amplitude.py erase             forget a person for good
    amplitude.py export-user       all about one person

    Settings come from the environment or from .env; .env.example lists them. Hours are UTC and mean the time of upload.

    \b
    Exit codes:
      0  done
      1  failed; one sentence says why
      2  a wrong option
      3  status: hours are missing or damaged
      4  another process uses the work folder or the database
      5  too many rows of an hour were rejected
      6  status: the export, silver or gold is behind
      7  hours are loaded, an answer of the REST APIs is not
    130  stopped by Ctrl-C
    """
    if context.invoked_subcommand in (doctor.name, alert.name):
        return  # which say themselves what is wrong with the settings
    settle_settings(ROOT)
    for sentence in exposed(ROOT):
        warn(sentence)


cli.add_command(alert)
cli.add_command(chart)
cli.add_command(dashboard)
cli.add_command(doctor)
cli.add_command(erase)
cli.add_command(export_user)
cli.add_command(privacy)


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
    help="Read the lake's archive, or exported files (a folder, a zip, s3://..., gs://...) instead of the API.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    callback=check_names,
    help=f"Load this alone, which may be given several times: {', '.join(LOADABLE)}.",
)
@click.option("--gaps", is_flag=True, help="Load the hours that `status` shows as missing, and no others.")
@project_option
@destination_option
@log_format_option
def load(
    start: str | None,
    end: str | None,
    replay: str | None,
    only: tuple[str, ...],
    gaps: bool,
    project: str | None,
    destination: str,
) -> None:
    """Load hours into bronze, and what Amplitude's REST APIs say (the default command)."""
    if only and EVENTS not in only:
        if start or end or gaps or replay is not None:
            raise click.UsageError(f"--start, --end, --gaps and --replay are for hours: add --only {EVENTS}.")
        projects = chosen_projects(project)
        with loading(destination, projects) as pipeline:
            run_each(pipeline, projects, "load", lambda settings, _: load_only(pipeline, settings, only))
        return
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
                return planner.replay(first, last, replay_place(replay))
            if first:
                return planner.range(first, last)
            looks = due_looks(pipeline, settings, read_proof(pipeline))
            return planner.new_hours(cursors(pipeline, settings, ledger), last, looks)

        run_each(pipeline, projects, "load", lambda settings, run: load_project(pipeline, settings, plan, run, only))


def replay_place(text: str) -> Path | str | None:
    """Return where exported files are replayed from: a folder, the address of a bucket, or None for the archive.

    Raises:
        click.UsageError: it is an address of something else.
    """
    if text == FROM_ARCHIVE:
        return None
    if text.startswith((S3, GS)):
        return text
    if "://" in text:
        raise click.UsageError(f"--replay {text}: write a folder, a zip, s3://bucket/prefix or gs://bucket/prefix.")
    return INVOKED_FROM / text


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="For machines: every range of hours with its figures.")
@click.option("--metrics", is_flag=True, help="For Prometheus, in its text format. Exits with 0.")
@project_option
@destination_option
@log_format_option
def status(as_json: bool, metrics: bool, project: str | None, destination: str) -> None:
    """Show which hours are loaded, how far silver and gold are, and the command that mends what is wrong.

    A few hours of the archive are compared with the ledger each time; `archive verify` compares all. Exits with 3 if
    hours are missing, or damaged in the archive; else with 5 if too many rows of an hour were rejected; else with 6
    if the export is stale, or silver and gold are behind, wait for a project, or hold other content than bronze.
    """
    if as_json and metrics:
        raise click.UsageError("--json and --metrics are two forms of the same: choose one.")
    chosen, projects = chosen_projects(project), load_projects()
    with looking(destination, chosen[0]) as pipeline:
        ledgers, taken = read_ledgers(pipeline), read_taken(pipeline)
        trust, runs = Trust(read_proof(pipeline), read_failures(pipeline)), newest_runs(pipeline)
    found = find_status(chosen, projects, ledgers, taken, trust, has_silver=destination in GATEWAYS)
    if metrics:
        click.echo(metrics_text(found, ledgers, taken, trust, runs, own_version(ROOT)), nl=False)
        return  # because a file for Prometheus is wanted most when something is wrong
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
    else:
        show_status(found)
    sys.exit(found.exit_code)


def show_status(found: Status) -> None:
    """Print what was found, project by project, then what concerns all."""
    for name, ranges in found.hours.items():
        show_coverage(ranges, name if len(found.hours) > 1 else None)
        if text := found.damage.get(name):
            option = ["--project", name] if len(found.hours) > 1 else []
            out.print(f"{text} Mend it: {load_command('archive', 'verify', *option)}")
    for sentence in [*found.rejecting, *filter(None, [found.standing]), *found.proof, *found.complaints]:
        out.print(f"{sentence}")


@cli.group("archive")
def archive_commands() -> None:
    """Look after the lake's archive."""


archive_commands.add_command(prune)


@archive_commands.command()
@project_option
@destination_option
def verify(project: str | None, destination: str) -> None:
    """Read every file of the archive, compare it with its checksum and the ledger, and fetch again what is damaged.

    Exits with 1 if Amplitude no longer has what is missing or damaged.
    """
    projects = chosen_projects(project)
    with loading(destination, projects) as pipeline:
        run_each(pipeline, projects, "archive verify", lambda settings, run: verify_project(pipeline, settings, run))


def verify_project(pipeline: dlt.Pipeline, settings: AmplitudeSettings, run: RunUnderWay) -> None:
    """Compare a project's archive with its checksums and the ledger, and fetch again what is damaged.

    Raises:
        AmplitudeError: Amplitude no longer has it.
    """
    ledgers = opened_ledgers(pipeline, settings)
    ledger = ledgers.get(settings.project, {})
    archive = Archive(settings.lake, settings.project, exports=settings.exports)
    hours = archived_hours(archive, ledger)
    damaged = damaged_hours(archive, ledger, hours)
    out.print(f"{len(hours):,} hours of the archive were compared with their checksums and the ledger.")
    if removed := [hour for hour in hours if archive.removed_at(hour)]:
        out.print(
            f"Retention has removed the files of {len(removed):,} of them ({format_hour(removed[0])} to "
            f"{format_hour(removed[-1])}), so only their manifests were compared."
        )
    for path in archive.strangers():
        warn(f"{path} is not the name of a manifest; remove it once no hour is missing.")
    if not damaged:
        return
    warn(damage_text(damaged))
    if not settings.exports:
        ExportClient(settings).check_address()
    load_hours(pipeline, settings, Planner(settings, ledger).mend([error.hour for error in damaged]), ledgers, run)
    with kept_open(pipeline):
        ledger = read_ledgers(pipeline).get(settings.project, {})
    if left := damaged_hours(archive, ledger, [error.hour for error in damaged]):
        raise AmplitudeError(f"Amplitude does not have them any more: {damage_text(left)}")
    out.print(f"All {len(damaged):,} were fetched from Amplitude again.")


@cli.command()
@click.option("--since", metavar="TIME", help="As 2026-06-01T00:00 (UTC): only what changed from then on.")
@destination_option
@log_format_option
def restate(since: str | None, destination: str) -> None:
    """Print the sqlmesh command that updates silver and gold if they hold other content than bronze.

    It prints nothing if all is well, so that a schedule can have a shell run the output. A restatement that was
    interrupted is printed again. SQLMesh's tests and linter are left out, because a restatement builds what production
    has.
    """
    start = parse_time(since, "--since") if since else datetime.min
    with looking(destination, load_projects()[0]) as pipeline:
        ledgers, taken = read_ledgers(pipeline), read_taken(pipeline)
    if not taken:
        warn(f"There is no {TAKEN_TABLE}, so nothing can be restated: silver and gold are not built yet.")
    if changed := [hours for hours in restatements(ledgers, taken) if hours.since >= start]:
        command = restate_command(changed[0].first, max(hours.last for hours in changed))
        click.echo(f"{command} --auto-apply --no-prompts --skip-tests --skip-linter")


@cli.command("retire-project")
@click.argument("name")
@destination_option
def retire_project(name: str, destination: str) -> None:
    """End a project that is given up: its hours stay, and silver no longer waits for new ones."""
    refuse_files(destination)
    projects = load_projects()
    if name in {settings.project for settings in projects}:
        raise click.UsageError(f"{name} is a project of the settings: take it out of them first.")
    with loading(destination, projects) as pipeline:
        ledger = opened_ledgers(pipeline, projects[0]).get(name, {})
        row = retirement(name, ledger, projects[0].present)
        run_pipeline(pipeline, ledger_mark(row))
        with kept_open(pipeline):
            remove_superseded(pipeline, name, read_ledgers(pipeline)[name])
    out.print(f"Project {name} is retired: silver waits for its hours to {format_hour(row.export_hour - HOUR)} only.")


@cli.command("rename-project")
@click.argument("old")
@click.argument("new")
@destination_option
def rename_project(old: str, new: str, destination: str) -> None:
    """Give a project the name that it has in the settings now, in bronze and in the archive."""
    refuse_files(destination)
    (settings,) = chosen_projects(new)
    with loading(destination, [settings]) as pipeline, kept_open(pipeline):
        rename(pipeline, settings, old, opened_ledgers(pipeline, settings))
        changed = restatements(read_ledgers(pipeline), read_taken(pipeline))
    out.print(f"Project {old} is {new} now, in bronze and in the archive.")
    for hours in changed:
        out.print(restate_text(hours))
    Archive(settings.lake, old).remove()


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
    with loading(destination, projects) as pipeline, noted(pipeline, settings, "declare-empty") as run:
        ledgers = opened_ledgers(pipeline, settings)
        work = Planner(settings, ledgers.get(settings.project, {})).declared_empty(first, last)
        run_loads(pipeline, settings, work, ledgers, run)
        if run.progress.error:
            raise run.progress.error
    kept = len(hours_between(first, last)) - work.size
    out.print(f"{run.progress.hours['empty']} hours declared empty, {kept} left as they were.")


def refuse_files(destination: str) -> None:
    """Refuse a destination of files for a command that is there for silver.

    Raises:
        click.UsageError: silver is built in a warehouse.
    """
    if destination not in GATEWAYS:
        raise click.UsageError("This command is for silver, which is built in a warehouse: take another --destination.")


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
    refuse_files(destination)
    merges = read_merges(Source.of(INVOKED_FROM / file) for file in files)
    with loading(destination, projects) as pipeline, kept_open(pipeline):
        store_merges(pipeline, settings, merges, read_ledgers(pipeline))


def main() -> None:
    """Run the command that the arguments name."""
    if not (ROOT / "sqlmesh/config.yaml").is_file():
        sys.exit(
            f"error: {ROOT} is no checkout of the project, which holds settings and models. Start {CONSOLE_COMMAND} in "
            "one; or run `make .venv/installed` in one, and use its .venv/bin/amplitude-warehouse from any folder."
        )
    process.prepare(ROOT)
    with text_again(), one_sentence(ROOT):
        cli(standalone_mode=False)

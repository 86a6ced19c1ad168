"""The warehouse: bronze with its ledger, and how far silver and gold are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dlt

from ...bronze.ledger import Ledger, coverage, read_ledgers, rejecting_hours
from ...bronze.proof import read_proof
from ...bronze.prune import oldest_overdue
from ...bronze.runs import FAILED, STOPPED, Run, newest_runs
from ...bronze.taken import Taken, bounds, built, newest_final, read_taken, restatements
from ...invocation import load_command
from ...lake.archive import Archive
from ...rest.resources import read_failures
from ...settings import GATEWAYS, HOUR, RETENTION, AmplitudeSettings, duckdb_path, format_hour, project_names
from ..loads import looking
from ..reports import gap_text, rejecting_text, restate_text
from ..status import (
    Trust,
    doubts,
    lag,
    overdue_before,
    proofs,
    sample_damage,
    stale,
    standing,
    unloaded_projects,
)
from .findings import DAYS, NEWEST_RUN, Checkup
from .snowflake import RIGHTS, STAGE, check_loader, check_transformer

BRONZE = "bronze"
HOURS, LOADED, REJECTED, ARCHIVE, BUILT, REST = (
    "hours", "newest loaded", "rejected rows", "archive", "newest built", "REST APIs",
)  # fmt: skip
OF_BRONZE = (HOURS, LOADED, REJECTED, ARCHIVE, BUILT, DAYS, REST)


@dataclass
class Found:
    """What the warehouse holds; None where it could not be asked."""

    is_open: bool = False
    ledgers: Mapping[str, Ledger] | None = None
    taken: Taken | None = None
    trust: Trust | None = None
    runs: list[Run] | None = None


def check_warehouse(checkup: Checkup, destination: str, projects: Sequence[AmplitudeSettings]) -> None:
    """Open the warehouse to look, and ask it all that it can say."""
    found = Found()
    with checkup.asking(BRONZE):
        if destination == "duckdb" and not (path := duckdb_path(checkup.root)).exists():
            checkup.warn(BRONZE, f"There is no {path} yet; the first load makes it: {load_command()}")
        else:
            with looking(destination, projects[0]) as pipeline:
                found.is_open = True
                _ask(checkup, pipeline, destination, found)
    if destination == "snowflake":
        if not found.is_open:
            for check in (RIGHTS, STAGE):
                checkup.skip(check, BRONZE)
        check_transformer(checkup, is_loaded=bool(found.ledgers))
    if found.ledgers:
        _judge(checkup, found.ledgers, found, projects, has_silver=destination in GATEWAYS)
    else:
        for check in OF_BRONZE:
            checkup.skip(check, BRONZE)
    _judge_runs(checkup, found.runs, projects)


def _ask(checkup: Checkup, pipeline: dlt.Pipeline, destination: str, found: Found) -> None:
    with checkup.asking(BRONZE):
        found.ledgers = read_ledgers(pipeline)
        hours = sum(len(ledger) for ledger in found.ledgers.values())
        if hours:
            checkup.ok(BRONZE, f"It can be read, and knows {hours:,} hours of {', '.join(found.ledgers)}.")
        else:
            checkup.warn(BRONZE, f"It can be read, and nothing is loaded yet: {load_command()}")
    with checkup.asking(BUILT):
        found.taken = read_taken(pipeline)
    with checkup.asking(DAYS):
        found.trust = Trust(read_proof(pipeline), read_failures(pipeline))
    with checkup.asking(NEWEST_RUN):
        found.runs = newest_runs(pipeline)
        if pipeline.default_schema_name:
            checkup.columns = [*pipeline.default_schema.tables.get("events", {}).get("columns", {})]
    if destination == "snowflake":
        check_loader(checkup, pipeline)


def _judge(
    checkup: Checkup,
    ledgers: Mapping[str, Ledger],
    found: Found,
    projects: Sequence[AmplitudeSettings],
    *,
    has_silver: bool,
) -> None:
    for settings in projects:
        shown = settings.project if len(projects) > 1 else None
        _judge_hours(checkup, settings, ledgers.get(settings.project, {}), shown)
    if has_silver and found.taken is not None:
        _judge_silver(checkup, ledgers, found.taken, projects)
    if has_silver and found.trust is not None:
        _judge_days(checkup, found.trust, projects)


def _judge_hours(checkup: Checkup, settings: AmplitudeSettings, ledger: Ledger, shown: str | None) -> None:
    option = ["--project", shown] if shown else []
    gaps = [each for each in coverage(ledger, settings.first_hour, settings.newest_hour) if each.status == "missing"]
    if gaps:
        more = f" {len(gaps)} gaps in all: {load_command('--gaps', *option)}" if len(gaps) > 1 else ""
        checkup.fail(HOURS, f"{gap_text(gaps[0], option)}{more}", shown)
    else:
        checkup.ok(HOURS, "None is missing between the first and the newest.", shown)
    newest = newest_final(ledger)
    late = [*stale(settings, ledger)]
    for sentence in late:
        checkup.fail(LOADED, sentence, shown)
    if newest is None:
        checkup.warn(LOADED, f"No hour is finished yet: {load_command(*option)}", shown)
    elif not late:
        checkup.ok(LOADED, f"{format_hour(newest)}, {(settings.present - newest) // HOUR} hours ago.", shown)
    if rejecting := rejecting_hours(ledger.values(), settings):
        checkup.fail(REJECTED, rejecting_text(rejecting, settings), shown)
    else:
        rejected = sum(row.rejected_rows for row in ledger.values())
        checkup.ok(REJECTED, f"{rejected:,} in all, and in no hour too many.", shown)
    if damage := sample_damage(settings, ledger):
        checkup.fail(ARCHIVE, f"{damage} Mend it: {load_command('archive', 'verify', *option)}", shown)
    else:
        checkup.ok(ARCHIVE, "A sample of its hours is whole, and as the ledger has it.", shown)
        _judge_retention(checkup, settings, ledger, shown)


def _judge_retention(checkup: Checkup, settings: AmplitudeSettings, ledger: Ledger, shown: str | None) -> None:
    if settings.lake.retention_days is None:
        return
    with checkup.asking(ARCHIVE, shown):
        archive = Archive(settings.lake, settings.project, exports=settings.exports)
        if hour := oldest_overdue(archive, ledger, settings.kept_from):
            days = f"{settings.variable(RETENTION)}={settings.lake.retention_days}"
            text = f"The lake still has files of hour {format_hour(hour)} in spite of {days}: "
            checkup.warn(ARCHIVE, text + load_command("archive", "prune"), shown)


def _judge_runs(checkup: Checkup, newest: Sequence[Run] | None, projects: Sequence[AmplitudeSettings]) -> None:
    if newest is None:
        checkup.skip(NEWEST_RUN, BRONZE)
        return
    of_project = {run.project: run for run in newest}
    for settings in projects:
        shown, run = settings.project if len(projects) > 1 else None, of_project.get(settings.project)
        if run is None:
            checkup.ok(NEWEST_RUN, "None is noted yet; the next load notes itself.", shown)
        elif run.outcome == FAILED:
            checkup.fail(NEWEST_RUN, str(run), shown)
        elif run.outcome in (None, STOPPED):
            checkup.warn(NEWEST_RUN, str(run), shown)
        else:
            checkup.ok(NEWEST_RUN, str(run), shown)


def _judge_silver(
    checkup: Checkup, ledgers: Mapping[str, Ledger], taken: Taken, projects: Sequence[AmplitudeSettings]
) -> None:
    where = standing(ledgers, taken, projects) or ""
    if not taken:
        checkup.warn(BUILT, where)
    else:
        behind = lag(built(ledgers, taken, overdue_before(projects)))
        for sentence in behind:
            checkup.fail(BUILT, sentence)
        if not behind:
            newest = bounds(taken)[1]
            age = (projects[0].present - newest) // HOUR
            checkup.ok(BUILT, f"{where} The newest is {age} hours old.")
    for hours in restatements(ledgers, taken):
        checkup.warn(BUILT, restate_text(hours))
    for sentence in unloaded_projects(ledgers, project_names()):
        checkup.fail(BUILT, sentence)


def _judge_days(checkup: Checkup, trust: Trust, projects: Sequence[AmplitudeSettings]) -> None:
    unproven = [*doubts(Trust(trust.days, []), projects)]
    for sentence in unproven:
        checkup.warn(DAYS, sentence)
    if not unproven:
        names = [settings.project for settings in projects]
        sentences = [*proofs(trust.days, names)] or ["None yet: gold has no day that Amplitude was asked about."]
        checkup.ok(DAYS, " ".join(sentences))
    failed = [*doubts(Trust([], trust.failures), projects)]
    for sentence in failed:
        checkup.warn(REST, sentence)
    if not failed:
        checkup.ok(REST, "Nothing that was asked of them has failed.")

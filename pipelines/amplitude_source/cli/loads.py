"""Loads: a pipeline that is alone, hours that become bronze, and what is shown of it."""

import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import dlt
import pyarrow as pa

from .. import (
    RESOURCES,
    Asking,
    amplitude,
    amplitude_merges,
    due_resources,
    empty_tables,
    first_unseen_hour,
    forget_loads,
    load_resources,
    read_merges,
    remove_leftovers,
    remove_superseded,
)
from ..bronze.destinations import interrupted_loads, kept_open, load_lines, make_pipeline, pipeline_name, run_pipeline
from ..bronze.files import BronzeFiles
from ..bronze.ledger import Ledger, read_ledgers
from ..bronze.proof import doubtful_days, read_proof
from ..bronze.taken import read_taken, restatements
from ..bronze.upkeep import put_in_order
from ..charts.compared import compared_charts
from ..errors import PartlyLoadedError, RejectedRowsError
from ..export.client import ExportClient
from ..invocation import load_command
from ..lake.archive import erased_persons
from ..lock import locked
from ..plan import Work
from ..rest.limits import Limiter
from ..rest.resources import EVENT_TYPES, FAILED, LOADED
from ..rest.session import RestSession
from ..settings import (
    AmplitudeSettings,
    format_hour,
)
from ..tables import IDS_OF_PERSONS
from .logs import notice, status, warn
from .reports import (
    out,
    progress_bar,
    rejecting_text,
    report,
    restate_text,
)
from .runs import RunUnderWay

MANY_FILES = 200  # from here on, reading them may take seconds


def load_project(
    pipeline: dlt.Pipeline,
    settings: AmplitudeSettings,
    plan: Callable[[AmplitudeSettings, Ledger], Work],
    run: RunUnderWay,
    only: Collection[str] = (),
) -> None:
    """Load the hours of a plan, then the REST resources that are due, or those of a selection.

    Raises:
        RejectedRowsError: too many rows of an hour were rejected.
        PartlyLoadedError: the hours are loaded, and some resources are not.
    """
    ledgers = opened_ledgers(pipeline, settings)
    work = plan(settings, ledgers.get(settings.project, {}))
    if work.archive.is_being_erased_from:
        warn(f"An erasure was interrupted; nobody comes back by this load, but finish it: {load_command('erase')}")
    client = api_client(settings) if work.asks_amplitude else None
    if work.merges:
        if len(work.merges) > MANY_FILES:
            notice(f"Reading {len(work.merges):,} files of merged users ...")
        # Before the hours: once those are loaded, no run would look for the merges beside them again.
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
        load_hours(pipeline, settings, work, ledgers, run)
    failed: list[str] = []
    if client and (work.cursors or only):
        due = due_resources(pipeline, settings, has_new_hours=bool(work.size))
        names = [name for name in RESOURCES if name in only] if only else due
        failed = load_answers(pipeline, settings, client, work.first, names)
    if rejecting := run.progress.rejecting:
        raise RejectedRowsError(rejecting_text(rejecting, settings))
    if failed:
        raise partly_loaded(failed)


def load_only(pipeline: dlt.Pipeline, settings: AmplitudeSettings, names: Collection[str]) -> None:
    """Load REST resources and no hours.

    Raises:
        PartlyLoadedError: some could not be had; the others are loaded.
    """
    ledger = opened_ledgers(pipeline, settings).get(settings.project, {})
    hour = first_unseen_hour(settings, ledger)
    if failed := load_answers(pipeline, settings, ExportClient(settings), hour, names):
        raise partly_loaded(failed)


def partly_loaded(failed: list[str]) -> PartlyLoadedError:
    """Make the error of resources that could not be had."""
    again = [argument for name in failed for argument in ("--only", name)]
    return PartlyLoadedError(
        f"Not loaded: {', '.join(failed)}; all else is. The next run asks again, or this one: {load_command(*again)}"
    )


def api_client(settings: AmplitudeSettings) -> ExportClient | None:
    """Return the client of Amplitude's API; None where hours come from a bucket and there are no keys for the rest."""
    if settings.exports and not settings.api_key and not settings.secret_key:
        warn(
            "There are no keys for Amplitude's API, so no event type is known to be inactive, and there are no numbers "
            "to compare ours with."
        )
        return None
    return ExportClient(settings)


def load_answers(
    pipeline: dlt.Pipeline, settings: AmplitudeSettings, client: ExportClient, hour: datetime, names: Collection[str]
) -> list[str]:
    """Load REST resources, and say what is left out.

    Args:
        pipeline: of the destination.
        settings: of the project.
        client: has the keys.
        hour: the first one that silver cannot have seen.
        names: of the resources.

    Returns:
        the names of those that failed. One that Amplitude does not offer to the project is none of them.
    """
    if not names:
        return []
    with kept_open(pipeline):
        doubtful = doubtful_days(read_proof(pipeline), settings.project)
    session = RestSession(client, Limiter(client.host, warn))
    charts = compared_charts(Path.cwd())  # the repository's root
    asking = Asking(settings, session, pipeline, hour, warn, charts, doubtful)
    with status("Asking Amplitude's REST APIs ..."):  # on a terminal; each event type may cost a request
        outcomes = load_resources(asking, names)
    loaded = [outcome.resource for outcome in outcomes if outcome.outcome == LOADED]
    if loaded and loaded != [EVENT_TYPES]:
        out.print(f"From the REST APIs: {', '.join(loaded)}.")
    for outcome in outcomes:
        if outcome.problem:
            warn(f"{outcome.resource}: {outcome.problem}")
    return [outcome.resource for outcome in outcomes if outcome.outcome == FAILED]


def load_hours(
    pipeline: dlt.Pipeline, settings: AmplitudeSettings, work: Work, ledgers: dict[str, Ledger], run: RunUnderWay
) -> None:
    """Loads them, and reports.

    Raises:
        AmplitudeError: not all could be had; those before are loaded.
    """
    taken = read_taken(pipeline)
    known = restatements(ledgers, taken)
    progress, started = run.progress, time.monotonic()
    ledgers = run_loads(pipeline, settings, work, ledgers, run)
    if progress.hours or not progress.error:
        report(work, progress, time.monotonic() - started)
    for restatement in restatements(ledgers, taken):
        if restatement not in known:
            out.print(restate_text(restatement))
    if progress.error:
        raise progress.error


@contextmanager
def loading(destination: str, projects: list[AmplitudeSettings]) -> Iterator[dlt.Pipeline]:
    """The pipeline of a destination for a command that loads: alone in the work folders of its projects."""
    with alone(projects):
        yield open_pipeline(destination, projects[0])


@contextmanager
def alone(projects: list[AmplitudeSettings]) -> Iterator[None]:
    """Hold the work folders of projects, so that no load runs meanwhile.

    Raises:
        BusyError: another process has one.
    """
    command = load_command(*sys.argv[1:])
    with ExitStack() as locks:
        for folder in sorted({settings.work_path.resolve() for settings in projects}):
            locks.enter_context(locked(folder, projects[0].present, command))
        yield


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
    pipelines = settings.pipelines_path
    if loads := interrupted_loads(pipelines, destination):
        # An interrupted run's load may be half in place: its hours are read anew, and what it left never counts.
        notice("The last run was interrupted; its unfinished load is dropped, and its hours are loaded again.")
        with TemporaryDirectory() as empty:
            pipeline = make_pipeline(destination, settings, Path(empty))
            with kept_open(pipeline):
                pipeline.sync_destination()  # first, because dlt explains here what a destination refuses
                forget_loads(pipeline, loads)
    shutil.rmtree(pipelines / pipeline_name(destination), ignore_errors=True)
    pipeline = make_pipeline(destination, settings, pipelines)
    if destination == "filesystem":
        BronzeFiles(pipeline).forget_states()
    with kept_open(pipeline):
        pipeline.sync_destination()
    return pipeline


def run_loads(
    pipeline: dlt.Pipeline, settings: AmplitudeSettings, work: Work, ledgers: dict[str, Ledger], run: RunUnderWay
) -> dict[str, Ledger]:
    """Runs the pipeline until the hours are used up; each load commits for itself. Gives the ledgers after it."""
    progress = run.progress
    with progress_bar(work) as watched:
        while not progress.is_done:
            with typed_folder(pipeline) as folder:
                export = amplitude(settings, watched, ledgers.get(settings.project, {}), progress, folder)
                known: list[str] = [*pipeline.default_schema.tables] if pipeline.default_schema_name else []
                pipeline.extract([export, empty_tables(known)])
            pipeline.normalize()
            with kept_open(pipeline):
                load_lines(pipeline, progress.longest_line, progress.text_bytes // max(1, progress.lines))
                ledgers = tidied_ledgers(pipeline, settings)
                run.note()
    return ledgers


def opened_ledgers(pipeline: dlt.Pipeline, settings: AmplitudeSettings) -> dict[str, Ledger]:
    """The ledgers at the start of a run; what any earlier run left that does not count is gone from bronze."""
    with kept_open(pipeline):
        ledgers = tidied_ledgers(pipeline, settings)
        remove_leftovers(pipeline, ledgers)
        put_in_order(pipeline)
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


def store_merges(
    pipeline: dlt.Pipeline, settings: AmplitudeSettings, merges: pa.Table, ledgers: dict[str, Ledger]
) -> None:
    """Load what `read_merges` gives, and report it. Files as destination have no use for it."""
    if pipeline.destination.destination_name == "filesystem":
        warn(f"{merges.num_rows:,} merges of users are left out: they are for a warehouse.")
        return
    if erased := erased_persons(settings.lake, settings.project, settings.privacy):
        merges = erased.others(merges, IDS_OF_PERSONS["merge_ids"])
    hour = first_unseen_hour(settings, ledgers.get(settings.project, {}))
    (load_id,) = run_pipeline(pipeline, amplitude_merges(settings, merges, hour)).loads_ids
    count = f"SELECT COUNT(*) FROM merge_ids WHERE _dlt_load_id = '{load_id}'"
    new = pipeline.dataset().query(count).fetchall()[0][0]
    effect = f": silver takes them in with hour {format_hour(hour)}" if new else ""
    out.print(f"{merges.num_rows:,} merges of users read, {new:,} of them new{effect}.")

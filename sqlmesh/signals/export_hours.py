"""The gates: which export hours silver may take in, and which of them the models behind it."""

from datetime import datetime

from sqlmesh import DatetimeRanges, ExecutionContext, signal
from sqlmesh.core.snapshot import DeployabilityIndex, Snapshot
from sqlmesh.utils.date import to_timestamp
from sqlmesh.utils.errors import SQLMeshError

# dlt writes `_dlt_loads` once all tables of a load are in place: a row of an unfinished load does not count. Of an hour
# in several loads the newest counts; none is pending once an earlier one was final.
LANDED_HOURS = """
    WITH ledger AS (
        SELECT hours.project, hours.export_hour, hours.status
        FROM bronze.export_hours AS hours
        JOIN bronze._dlt_loads AS loads ON loads.load_id = hours._dlt_load_id AND loads.status = 0
    ), first_hours AS (
        SELECT project, MIN(export_hour) AS first_hour
        FROM ledger
        GROUP BY project
    ), landed AS (
        SELECT export_hour, COUNT(DISTINCT project) AS projects
        FROM ledger
        WHERE status <> 'pending' AND export_hour >= '{first}'
        GROUP BY export_hour
    )
    SELECT landed.export_hour
    FROM landed
    JOIN first_hours ON first_hours.first_hour <= landed.export_hour
    GROUP BY landed.export_hour, landed.projects
    HAVING COUNT(*) = landed.projects
"""


@signal()
def export_hours_landed(batch: DatetimeRanges, context: ExecutionContext) -> bool | DatetimeRanges:
    """Lets hours through in order, up to the first that some project lacks: it is neither loaded nor empty there.

    In order, because which copy of a re-sent event counts depends on the hours before, and a run cannot write outside
    its interval. All projects at once, because a model has one timeline: an hour that was taken in without a project's
    rows would not run again when they come. So a project that fails holds silver back for all, until it is mended or
    its hours are declared empty.

    A project counts from the first hour that it has in the ledger; hours before go through without it. One that is
    added later therefore holds back only what silver has not taken in yet, until it has caught up. Then its earlier
    hours are taken in by restating `silver.events` from its first hour on, with the command that the load prints.
    """
    first = batch[0][0].strftime("%Y-%m-%d %H:%M:%S")
    try:
        rows = context.engine_adapter.fetchall(LANDED_HOURS.format(first=first), quote_identifiers=False)
    except Exception as error:  # of whatever engine
        raise SQLMeshError(
            f"bronze.export_hours cannot be read ({' '.join(str(error).split())}): load hours first, with `python "
            "pipelines/amplitude.py`; or give this role the right to read the schema bronze."
        ) from error
    landed = {hour for (hour,) in rows}
    return leading(batch, [as_naive(start) in landed for start, _ in batch])


@signal()
def parents_have_run(batch: DatetimeRanges, snapshot: Snapshot, context: ExecutionContext) -> bool | DatetimeRanges:
    """Lets hours through that every incremental parent has taken in, or takes in in this run.

    Where parents work in the same run, SQLMesh itself holds back from a model what it holds back from them. Where they
    do not (a plan in stages, a selection of models), an hour done before its parent had it would never be computed.
    """
    if context.parent_intervals:
        return True
    deployability = context.deployability_index or DeployabilityIndex.all_deployable()
    parents = [context.snapshots[parent.name] for parent in snapshot.parents]
    done = [
        parent.intervals if deployability.is_deployable(parent) else parent.dev_intervals
        for parent in parents
        if parent.is_incremental
    ]
    ranges = [(to_timestamp(start), to_timestamp(end)) for start, end in batch]
    return leading(
        batch,
        [all(any(low <= start and end <= high for low, high in spans) for spans in done) for start, end in ranges],
    )


def leading(batch: DatetimeRanges, is_ready: list[bool]) -> bool | DatetimeRanges:
    """The ranges before the first that is not ready; True where all are, as SQLMesh looks up each one of a list."""
    return True if all(is_ready) else batch[: is_ready.index(False)]


def as_naive(time: datetime) -> datetime:
    """SQLMesh's intervals carry a zone, the ledger's hours none; both are UTC."""
    return time.replace(tzinfo=None)

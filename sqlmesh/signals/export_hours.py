"""The gates: which export hours silver may take in, and which of them the models behind it."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlmesh import DatetimeRanges, ExecutionContext, signal
from sqlmesh.core.snapshot import DeployabilityIndex, Snapshot
from sqlmesh.utils.date import to_datetime, to_timestamp
from sqlmesh.utils.errors import SQLMeshError

from macros.ledger import COUNTED_HOURS

# A mark `retired` ends a project: from there on nobody waits for it.
LANDED_HOURS = f"""
    WITH ledger AS ({COUNTED_HOURS}), projects AS (
        SELECT
            project,
            MIN(export_hour) AS first_hour,
            MAX(CASE WHEN status = 'retired' THEN export_hour END) AS end_hour
        FROM ledger
        GROUP BY project
    ), landed AS (
        SELECT project, export_hour
        FROM ledger
        WHERE status IN ('loaded', 'empty') AND export_hour >= '{{first}}'
    ), hours AS (
        SELECT DISTINCT export_hour
        FROM landed
    )
    SELECT hours.export_hour
    FROM hours
    JOIN projects
        ON projects.first_hour <= hours.export_hour
        AND (projects.end_hour IS NULL OR hours.export_hour < projects.end_hour)
    LEFT JOIN landed ON landed.project = projects.project AND landed.export_hour = hours.export_hour
    GROUP BY hours.export_hour
    HAVING COUNT(*) = COUNT(landed.project)
"""


@signal()
def export_hours_landed(batch: DatetimeRanges, context: ExecutionContext) -> bool:
    """Lets hours through in order, up to the first that some project lacks: it is neither loaded nor empty there.

    In order, because which copy of a re-sent event counts depends on the hours before, and a run cannot write outside
    its interval. All projects at once, because a model has one timeline: an hour that was taken in without a project's
    rows would not run again when they come. So a project that fails holds silver back for all, until it is mended, its
    hours are declared empty, or the project is retired.

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
    return leading(batch, lambda start, _: as_naive(start) in landed)


@signal()
def table_is_what_the_state_says(batch: DatetimeRanges, snapshot: Snapshot, context: ExecutionContext) -> bool:
    """Refuses to build on where SQLMesh's state says that hours are done which the model's table does not have.

    The warehouse was then restored from a copy that is older than the state, and such hours would never be built again.
    The model must have a row in each of its hours.
    """
    before = as_naive(batch[0][0]) - timedelta(hours=1)
    is_done = any(low <= to_timestamp(before) < high for low, high in snapshot.intervals)
    deployability = context.deployability_index or DeployabilityIndex.all_deployable()
    if not is_done or not deployability.is_deployable(snapshot):
        return True
    last = last_hour(context, snapshot.table_name())
    if last is not None and last >= before:
        return True
    start = last + timedelta(hours=1) if last else as_naive(to_datetime(snapshot.intervals[0][0]))
    raise SQLMeshError(
        f"SQLMesh's state says that silver and gold hold the hours to {before}, but they end at {last}: the warehouse "
        "was restored without the state. To build what is missing: sqlmesh plan --restate-model silver.events --start "
        f"'{start}'."
    )


@signal()
def parents_have_run(batch: DatetimeRanges, snapshot: Snapshot, context: ExecutionContext) -> bool:
    """Lets hours through that every incremental parent has taken in, or takes in in this run.

    Where parents work in the same run, SQLMesh itself holds back from a model what it holds back from them. Where they
    do not (a plan in stages, a selection of models), an hour done before its parent had it would never be computed.
    """
    if context.parent_intervals or not all(parent.name in context.snapshots for parent in snapshot.parents):
        return True  # the second: a plan audits what is built, because metadata changed, and knows those models alone
    deployability = context.deployability_index or DeployabilityIndex.all_deployable()
    parents = [context.snapshots[parent.name] for parent in snapshot.parents]
    done = [
        parent.intervals if deployability.is_deployable(parent) else parent.dev_intervals
        for parent in parents
        if parent.is_incremental
    ]

    def is_done(start: datetime, end: datetime) -> bool:
        span = to_timestamp(start), to_timestamp(end)
        return all(any(low <= span[0] and span[1] <= high for low, high in spans) for spans in done)

    return leading(batch, is_done)


def last_hour(context: ExecutionContext, table: str) -> datetime | None:
    """Return the last hour of a table; None where it is empty or not there."""
    if not context.engine_adapter.table_exists(table):
        return None
    ((hour,),) = context.engine_adapter.fetchall(f"SELECT MAX(export_hour) FROM {table}", quote_identifiers=False)
    return hour  # type: ignore[no-any-return]  # the column is a timestamp


def leading(batch: DatetimeRanges, is_ready: Callable[[datetime, datetime], bool]) -> bool:
    """Leave in the batch the ranges before the first that is not ready.

    SQLMesh goes on with the batch if it is given True. It would look up each range of a list in the whole batch, which
    takes half a minute for five years of hours.
    """
    first = next((number for number, span in enumerate(batch) if not is_ready(*span)), len(batch))
    del batch[first:]
    return True


def as_naive(time: datetime) -> datetime:
    """SQLMesh's intervals carry a zone, the ledger's hours none; both are UTC."""
    return time.replace(tzinfo=None)

"""The gates: which export hours silver may take in, and which of them the models behind it."""

from datetime import datetime

from sqlmesh import DatetimeRanges, ExecutionContext, signal
from sqlmesh.core.snapshot import DeployabilityIndex, Snapshot
from sqlmesh.utils.date import to_timestamp

LEDGER = "bronze.export_hours"

# dlt writes `_dlt_loads` once all tables of a load are in place: a row of an unfinished load does not count. Of an hour
# in several loads the newest counts; none is pending once an earlier one was final.
LANDED_HOURS = """
    SELECT DISTINCT hours.export_hour
    FROM bronze.export_hours AS hours
    JOIN bronze._dlt_loads AS loads ON loads.load_id = hours._dlt_load_id AND loads.status = 0
    WHERE hours.status <> 'pending' AND hours.export_hour >= CAST('{first}' AS TIMESTAMP)
"""


@signal()
def export_hours_landed(batch: DatetimeRanges, context: ExecutionContext) -> bool | DatetimeRanges:
    """Lets hours through in order, up to the first that is neither loaded nor empty.

    In order, because which copy of a re-sent event counts depends on the hours before, and a run cannot write outside
    its interval.
    """
    if not context.engine_adapter.table_exists(LEDGER):
        return False
    first = batch[0][0].strftime("%Y-%m-%d %H:%M:%S")
    rows = context.engine_adapter.fetchall(LANDED_HOURS.format(first=first), quote_identifiers=False)
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

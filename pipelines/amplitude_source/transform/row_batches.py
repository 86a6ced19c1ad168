"""Batches of a plan that hold many rows rather than few hours.

`batch_size` of a model bounds the hours of a batch, and so its memory. SQLMesh takes a third of a second for each
batch, whatever it holds, and five years are 261 batches of `silver.events`. So neighbours with few rows are joined.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import accumulate

from sqlmesh.core.environment import EnvironmentNamingInfo
from sqlmesh.core.scheduler import Scheduler, SnapshotToIntervals
from sqlmesh.core.snapshot import DeployabilityIndex, Snapshot, SnapshotId
from sqlmesh.core.snapshot.definition import Interval
from sqlmesh.utils.dag import DAG
from sqlmesh.utils.date import to_timestamp

JOINED_ROWS = 500_000
"""The most rows of bronze in batches that are joined."""
EVENTS = "silver.events"
JOINED_MODELS = (EVENTS, "silver.user_device_hours", "silver.export_repeats")
"""Ours with a `batch_size`; a user's own models keep theirs."""

# Loads that do not count are taken in, too: a batch may well be smaller than it could be.
ROWS_OF_HOURS = (
    "SELECT export_hour, SUM(loaded_rows) FROM bronze.export_hours GROUP BY export_hour ORDER BY export_hour"
)
# By the ids, the time and the contents that silver.events goes by. Rows that differ in nothing are one event for good.
HOURS_OF_LATER_EVENTS = """
    WITH copied AS (
        SELECT
            _project, app, device_id, _insert_id, MIN(COALESCE(server_upload_time, _export_hour)) AS first_uploaded_at
        FROM bronze.events
        WHERE device_id <> '' AND _insert_id <> ''
        GROUP BY _project, app, device_id, _insert_id
        HAVING
            MAX(COALESCE(server_upload_time, _export_hour))
            > MIN(COALESCE(server_upload_time, _export_hour)) + INTERVAL '7 days'
            AND (MIN(event_type) <> MAX(event_type) OR MIN(event_time) <> MAX(event_time))
    )
    SELECT DISTINCT events._export_hour
    FROM bronze.events AS events
    JOIN copied
        ON copied._project = events._project
        AND copied.app = events.app
        AND copied.device_id = events.device_id
        AND copied._insert_id = events._insert_id
    WHERE COALESCE(events.server_upload_time, events._export_hour) > copied.first_uploaded_at + INTERVAL '7 days'
    ORDER BY events._export_hour
"""


class RowScheduler(Scheduler):
    """Joins neighbouring batches that together have few rows."""

    def batch_intervals(
        self,
        merged_intervals: SnapshotToIntervals,
        deployability_index: DeployabilityIndex | None,
        environment_naming_info: EnvironmentNamingInfo,
        dag: DAG[SnapshotId] | None = None,
        is_restatement: bool = False,
    ) -> dict[Snapshot, list[Interval]]:
        """Return the intervals that each model is to build at once."""
        batches = super().batch_intervals(
            merged_intervals, deployability_index, environment_naming_info, dag, is_restatement
        )
        many = {
            each: found
            for each, found in batches.items()
            if each.is_model and each.model.name in JOINED_MODELS and len(found) > 1
        }
        if not many:
            return batches
        rows = Rows(dict(self.snapshot_evaluator.adapter.fetchall(ROWS_OF_HOURS, quote_identifiers=False)))
        return batches | {
            snapshot: self._joined_events(found, rows) if snapshot.model.name == EVENTS else joined(found, rows)
            for snapshot, found in many.items()
        }

    def _joined_events(self, batches: list[Interval], rows: "Rows") -> list[Interval]:
        """Join batches of `silver.events`, which finds at most one event of the same ids in a batch.

        An id may be that of another event more than 7 days after the first: the batch with it begins anew.
        """
        if joined(batches, rows) == batches:
            return batches  # without reading all rows for it
        found = self.snapshot_evaluator.adapter.fetchall(HOURS_OF_LATER_EVENTS, quote_identifiers=False)
        later = Rows(dict.fromkeys((hour for (hour,) in found), 1))
        return joined(batches, rows, begins_anew=lambda batch: later.within(batch) > 0)


class Rows:
    """How many rows hours have.

    Args:
        of_hours: by hour (UTC, without a zone), in order.
    """

    def __init__(self, of_hours: Mapping[datetime, int]) -> None:
        self._hours = [to_timestamp(hour) for hour in of_hours]
        self._before = [0, *accumulate(int(rows or 0) for rows in of_hours.values())]

    def within(self, interval: Interval) -> int:
        """Return how many rows the hours of an interval have."""
        first, end = (bisect_left(self._hours, time) for time in interval)
        return self._before[end] - self._before[first]


def joined(
    batches: Sequence[Interval], rows: Rows, begins_anew: Callable[[Interval], bool] = lambda _: False
) -> list[Interval]:
    """Join batches that follow each other without a gap, up to `JOINED_ROWS`.

    Args:
        batches: in order.
        rows: of all hours.
        begins_anew: whether a batch may not be joined to the one before.
    """
    result: list[Interval] = []
    for batch in batches:
        whole = (result[-1][0], batch[1]) if result and result[-1][1] == batch[0] else None
        if whole and rows.within(whole) <= JOINED_ROWS and not begins_anew(batch):
            result[-1] = whole
        else:
            result.append(batch)
    return result

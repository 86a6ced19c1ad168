"""What no longer counts is deleted from bronze: earlier contents of an hour, and what unfinished loads left."""

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import dlt
from dlt.destinations.exceptions import DatabaseUndefinedRelation
from dlt.destinations.sql_client import SqlClientBase

from .files import BronzeFiles
from .ledger import Ledger

# What a load of hours appends to, and how the columns of project and hour begin. The ledger last: the others go by it.
BRONZE_TABLES = {"events": "_", "rejected_rows": "_", "export_hours": ""}


LONGEST_LOAD_SECONDS = 7 * 86_400  # an unfinished load that is older is dead, on whatever machine


def remove_superseded(pipeline: dlt.Pipeline, project: str, ledger: Ledger) -> None:
    """Deletes the rows of the newest load's hours that another load brought: earlier contents, unfinished loads.

    Called after each load. Bounded by the load's hours, so that its cost does not grow with history; what it misses,
    `remove_leftovers` finds. Files (the filesystem destination) keep such rows.
    """
    newest = max((row.load_id for row in ledger.values()), default=None)
    if newest is None:
        return
    if pipeline.destination.destination_name == "filesystem":
        BronzeFiles(pipeline).join_ledger()
        return
    hours = [hour for hour, row in ledger.items() if row.load_id == newest]
    with pipeline.sql_client() as client:
        for table, prefix in BRONZE_TABLES.items():
            client.execute_sql(
                f"DELETE FROM {client.make_qualified_table_name(table)} "
                f"WHERE {prefix}project = '{project}' "
                f"AND {prefix}export_hour BETWEEN '{min(hours)}' AND '{max(hours)}' "
                f"AND _dlt_load_id <> '{newest}' AND {prefix}export_hour IN ("
                f"SELECT export_hour FROM {client.make_qualified_table_name('export_hours')} "
                f"WHERE _dlt_load_id = '{newest}')"
            )


def forget_loads(pipeline: dlt.Pipeline, loads: list[str]) -> None:
    """Delete what loads of this work folder that were interrupted have brought."""
    if pipeline.destination.destination_name == "filesystem":
        BronzeFiles(pipeline).forget(loads)
        return
    with pipeline.sql_client() as client:
        for table in BRONZE_TABLES:
            with suppress(DatabaseUndefinedRelation):  # the load was to make it
                client.execute_sql(
                    f"DELETE FROM {client.make_qualified_table_name(table)} WHERE _dlt_load_id IN ({quoted(loads)}) "
                    f"AND _dlt_load_id NOT IN ({finished_loads(client)})"
                )


def remove_leftovers(pipeline: dlt.Pipeline, ledgers: Mapping[str, Ledger]) -> None:
    """Delete every row that does not count, whichever run left it.

    The number of rows shows whether there are any, at no cost. Only then are the loads looked at that have more rows
    than the ledger says. An unfinished load may be under way on another machine, unless bronze is a DuckDB file: that
    has one writer.
    """
    if not ledgers or pipeline.destination.destination_name == "filesystem":
        return
    rows = [row for ledger in ledgers.values() for row in ledger.values()]
    expected: dict[str, Counter[str]] = {table: Counter() for table in BRONZE_TABLES}
    for row in rows:
        for table, count in zip(BRONZE_TABLES, (row.loaded_rows, row.rejected_rows, 1), strict=True):
            expected[table][row.load_id] += count
    with pipeline.sql_client() as client:
        names = {table: client.make_qualified_table_name(table) for table in BRONZE_TABLES}
        counts = ", ".join(f"(SELECT COUNT(*) FROM {name})" for name in names.values())
        if list(query(client, f"SELECT {counts}")[0]) == [loads.total() for loads in expected.values()]:
            return
        finished = {load_id for (load_id,) in query(client, finished_loads(client))}
        is_shared = pipeline.destination.destination_name != "duckdb"
        alive_since = time.time() - LONGEST_LOAD_SECONDS if is_shared else math.inf
        newest = (
            f"SELECT project, export_hour, MAX(_dlt_load_id) FROM {names['export_hours']} "
            f"WHERE _dlt_load_id IN ({finished_loads(client)}) GROUP BY project, export_hour"
        )
        for table, prefix in BRONZE_TABLES.items():
            found = query(client, f"SELECT _dlt_load_id, COUNT(*) FROM {names[table]} GROUP BY _dlt_load_id")
            larger = [load_id for load_id, count in found if count > expected[table][load_id]]
            if over := [load_id for load_id in larger if load_id in finished or float(load_id) < alive_since]:
                client.execute_sql(
                    f"DELETE FROM {names[table]} WHERE _dlt_load_id IN ({quoted(over)}) "
                    f"AND ({prefix}project, {prefix}export_hour, _dlt_load_id) NOT IN ({newest})"
                )


def finished_loads(client: SqlClientBase[Any]) -> str:
    """Return the query for the loads that dlt has as finished."""
    return f"SELECT load_id FROM {client.make_qualified_table_name('_dlt_loads')} WHERE status = 0"


def query(client: SqlClientBase[Any], sql: str) -> list[tuple[Any, ...]]:
    with client.execute_query(sql) as cursor:
        return list(cursor.fetchall())


def quoted(loads: Iterable[str]) -> str:
    return ", ".join(f"'{load_id}'" for load_id in loads)

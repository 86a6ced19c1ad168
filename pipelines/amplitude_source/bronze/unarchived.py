"""Rows of persons in hours whose files the archive no longer has: they are deleted from bronze itself.

Such an hour keeps its load and its SHA-256, because there are no files that could be loaded anew. Its row of the ledger
counts what was deleted, and its revision goes up, so silver and gold take it in again.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import NamedTuple

from ..lake.erased import Erased
from .ledger import Ledger
from .persons import CLEARED_EXAMPLES, Client, Persons, batches, id_tables, places

ORIGIN = ("_export_hour", "_archive_file", "_archive_row")
DELETION = "DELETE FROM {table} WHERE _project = %s AND (_archive_file, _archive_row) IN ({places})"
NEW_COUNTS = """
    UPDATE {table}
    SET loaded_rows = loaded_rows - %s, rejected_rows = rejected_rows - %s, erased_rows = COALESCE(erased_rows, 0) + %s,
        revision = revision + 1, revised_at = %s
    WHERE project = %s AND export_hour = %s AND _dlt_load_id = %s
"""


class Line(NamedTuple):
    """Where a row comes from."""

    hour: datetime
    file: str
    number: int


Lines = Mapping[str, Sequence[Line]]
"""By table: `events` and `rejected_rows`."""


def lines_of(client: Client, project: str, erased: Erased) -> Lines:
    """Return the lines of persons that bronze has rows of."""
    persons = Persons(client, project, erased)
    events = [table for table in id_tables(client) if table.title == "bronze.events"]
    loaded = [Line(*row) for table in events for row in persons.rows(table, ", ".join(ORIGIN))[1]]
    names, rows = persons.rejected()
    origin = [[name.lower() for name in names].index(name) for name in ORIGIN] if rows else []
    return {"events": loaded, "rejected_rows": [Line(*(row[place] for place in origin)) for row in rows]}


def in_hours(lines: Lines, hours: Collection[datetime]) -> Lines:
    """Return those lines that are of some hours."""
    return {table: [line for line in of_table if line.hour in hours] for table, of_table in lines.items()}


def rows_by_hour(lines: Lines) -> Counter[datetime]:
    """Count lines of all tables by hour."""
    return Counter(line.hour for of_table in lines.values() for line in of_table)


def delete_lines(client: Client, project: str, lines: Lines, ledger: Ledger, now: datetime) -> None:
    """Delete rows, and have the ledger say so, together or not at all.

    Args:
        client: of the warehouse.
        project: whose rows they are.
        lines: of hours that the ledger has.
        ledger: of the project.
        now: the present.
    """
    counts = {table: Counter(line.hour for line in of_table) for table, of_table in lines.items()}
    loaded, rejected = counts["events"], counts["rejected_rows"]
    with client.begin_transaction():
        for table, of_table in lines.items():
            name = client.make_qualified_table_name(table)
            for some in batches(of_table):
                pairs = ", ".join(f"({places(line[1:])})" for line in some)
                values = chain.from_iterable(line[1:] for line in some)
                client.execute_sql(DELETION.format(table=name, places=pairs), project, *values)
        for file in sorted({line.file for of_table in lines.values() for line in of_table}):
            client.execute_sql(CLEARED_EXAMPLES, file)
        update = NEW_COUNTS.format(table=client.make_qualified_table_name("export_hours"))
        for hour in sorted({*loaded, *rejected}):
            figures = loaded[hour], rejected[hour], loaded[hour] + rejected[hour]
            client.execute_sql(update, *figures, now, project, hour, ledger[hour].load_id)

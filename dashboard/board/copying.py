"""Makes the copy of gold that the pages read. A process of its own, so that its memory goes with it.

Views are computed once here, instead of for each viewer. The copy takes its place in one step, so a page sees all of
one state or all of the next.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from amplitude_source.bronze.duckdb_file import giving_way, is_held
from amplitude_source.environment import keep_private
from amplitude_source.settings import CATALOG

BUSY_EXIT = 4
FORMAT = "1"
"""Of the copy. Another one makes each copy anew."""
SESSION = "SET TimeZone = 'UTC'; SET disabled_optimizers = 'join_order,build_side_probe_side'"
SINGLE_ROWS = ("events", "users", "event_values", "experiment_exposures")  # of gold; the file itself is asked
SILVER = ("apps", "event_types", "annotations", "cohorts")
COLUMNS = {"bronze.rejected_rows": "* EXCLUDE (line)"}  # a line may have 64 KB
BRONZE = ("rejected_rows", "schema_changes", "resource_loads")
TABLES = """
    SELECT LOWER(schema_name), LOWER(name), schema_name, name
    FROM (
        SELECT database_name, schema_name, view_name AS name FROM duckdb_views()
        UNION ALL
        SELECT database_name, schema_name, table_name FROM duckdb_tables()
    )
    WHERE database_name = ?
    ORDER BY ALL
"""


def quoted(path: Path) -> str:
    """Return a path as it stands between single quotes of SQL."""
    return str(path).replace("'", "''")


def state_of(path: Path) -> str:
    """Return what changes whenever a DuckDB file does, or what a copy holds; empty where there is no file."""
    files = [each for each in (path, path.with_name(f"{path.name}.wal")) if each.exists()]
    return " ".join([FORMAT, *(f"{each.stat().st_mtime_ns}/{each.stat().st_size}" for each in files)]) if files else ""


def is_copied(schema: str, name: str) -> bool:
    """Whether pages read a table of the copy."""
    wanted = {"silver": SILVER, "bronze": BRONZE}.get(schema, ())
    return name in wanted or (schema == "gold" and name not in SINGLE_ROWS)


def copy_gold(source: Path, target: Path) -> Iterator[str]:
    """Copy what the pages read, and yield how far it is.

    The file is opened anew for each table, so that a load or a run can take it in between; then the copy is given up.

    Raises:
        duckdb.Error: the file cannot be read, is taken, or a view fails.
    """
    state = state_of(source)
    new = target.with_name(f"{target.name}.{os.getpid()}")
    target.parent.mkdir(exist_ok=True)
    try:
        with duckdb.connect() as connection:
            connection.execute(f"{SESSION}; ATTACH '{quoted(new)}' AS copy")
            connection.execute("CREATE TABLE copy.failed (name TEXT, problem TEXT)")
            tables = list(relations(connection, source))
            for place, (schema, name, address) in enumerate(tables, 1):
                yield f"{place} of {len(tables)}: {schema}.{name}"
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS copy.{schema}")
                columns = COLUMNS.get(f"{schema}.{name}", "*")
                create = f'CREATE TABLE copy.{schema}."{name}" AS SELECT {columns} FROM {address}'
                with attached(connection, source):
                    if problem := failure_of(connection, create):
                        connection.execute("INSERT INTO copy.failed VALUES (?, ?)", [f"{schema}.{name}", problem])
            connection.execute("CREATE TABLE copy.copied AS SELECT ? AS state", [state])
        if state_of(source) != state:
            raise duckdb.InterruptException("The warehouse changed while it was copied.")
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)


def failure_of(connection: duckdb.DuckDBPyConnection, statement: str) -> str:
    """Run a statement, and return why it failed, as a chart does whose column is gone; empty if it did not.

    Raises:
        duckdb.Error: it is not the statement's own fault.
    """
    try:
        connection.execute(statement)
    except (duckdb.InterruptException, duckdb.IOException, duckdb.OutOfMemoryException):
        raise
    except duckdb.Error as error:
        return str(error).splitlines()[0]
    return ""


@contextmanager
def attached(connection: duckdb.DuckDBPyConnection, source: Path) -> Iterator[None]:
    """Attach the warehouse for reading, by the name that its views go by."""
    connection.execute(f"ATTACH '{quoted(source)}' AS {CATALOG} (READ_ONLY)")
    try:
        with giving_way(connection, source):
            yield
    finally:
        connection.execute(f"USE memory; DETACH {CATALOG}")


def relations(connection: duckdb.DuckDBPyConnection, source: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the tables to copy: schema and name in small letters, and what to write in SQL."""
    with attached(connection, source):
        found = connection.execute(TABLES, [CATALOG]).fetchall()
    for schema, name, own_schema, own_name in found:
        if is_copied(schema, name):
            yield schema, name, f'{CATALOG}."{own_schema}"."{own_name}"'


def main(source: str, target: str) -> int:
    """Make the copy; print the progress, and one sentence if it fails."""
    keep_private()
    try:
        for progress in copy_gold(Path(source), Path(target)):
            print(progress, flush=True)
    except duckdb.InterruptException:
        return say("A load or a run came while gold was copied.", BUSY_EXIT)
    except duckdb.Error as error:
        if is_held(error):
            return say("A load or a run has the DuckDB file.", BUSY_EXIT)
        return say(f"Gold could not be copied for the dashboard: {str(error).splitlines()[0]}", 1)
    return 0


def say(sentence: str, code: int) -> int:
    sys.stderr.write(f"{sentence}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""The DuckDB file without what was deleted from it: DuckDB keeps freed pages in the file, and their bytes."""

import shutil
from pathlib import Path

import duckdb

from ..errors import AmplitudeError
from ..settings import CATALOG
from .destinations import NEW_FILE
from .duckdb_file import patiently

SPILLS = ".tmp"


def rewrite(path: Path) -> None:
    """Copy all tables and views into a new file, which takes the old one's place in one step.

    A reader of the old file keeps other processes from it until the new one is there.

    Raises:
        BusyError: another process holds the file.
        AmplitudeError: the copy lacks rows.
    """
    new = path.with_name(f"{path.name}.rewritten")
    new.unlink(missing_ok=True)  # of a run that was killed
    with patiently(lambda: duckdb.connect(path), path) as connection:
        connection.execute("CHECKPOINT")  # so that nothing is left in the log beside the file
        remove_spilled(path)
    with duckdb.connect(config={"temp_directory": f"{path}{SPILLS}"}) as connection:
        patiently(lambda: connection.execute(f"ATTACH '{quoted(path)}' AS {CATALOG} (READ_ONLY)"), path)
        storage = NEW_FILE["storage_compatibility_version"]
        connection.execute(f"ATTACH '{quoted(new)}' AS rewritten (STORAGE_VERSION '{storage}')")
        connection.execute(f"COPY FROM DATABASE {CATALOG} TO rewritten")
        before, after = (counted(connection, name) for name in (CATALOG, "rewritten"))
        connection.execute("DETACH rewritten")
        if before != after:
            new.unlink()
            raise AmplitudeError(f"{path} could not be copied: the copy has other rows; run again.")
        shutil.copymode(path, new)
        new.replace(path)


def remove_spilled(path: Path) -> None:
    """Remove what queries that were killed had no room for in memory: beside the file, or in the current folder."""
    for folder in (path.with_name(f"{path.name}{SPILLS}"), Path(SPILLS)):
        for spilled in folder.glob("duckdb_temp_*"):
            spilled.unlink()


def counted(connection: duckdb.DuckDBPyConnection, catalog: str) -> list[tuple[str, str, int]]:
    """Return the number of rows of each table."""
    tables = connection.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = ? ORDER BY ALL", [catalog]
    ).fetchall()
    rows = []
    for schema, name in tables:
        found = connection.execute(f'SELECT COUNT(*) FROM "{catalog}"."{schema}"."{name}"').fetchone()
        rows.append((schema, name, found[0] if found else 0))
    return rows


def quoted(path: Path) -> str:
    """Return a path as it stands between single quotes of SQL."""
    return str(path).replace("'", "''")

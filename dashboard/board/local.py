"""DuckDB: a copy of gold for the pages, and the file itself for single events."""

import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import duckdb
import pandas as pd

from amplitude_source.bronze.duckdb_file import is_held
from amplitude_source.cli.dashboard import COPY_FOLDER
from amplitude_source.invocation import load_command, sqlmesh_command
from amplitude_source.settings import CATALOG
from board.copying import BUSY_EXIT, FORMAT, SESSION, attached, state_of
from board.errors import BusyError, MissingError, UnansweredError
from board.sql import for_engine

BETWEEN_SECONDS = 0.5  # from one question to the file to the next: those who wait for it look five times a second
IS_WRITTEN = "A load or a run has the DuckDB file. Look again when it has ended."


class Copying:
    """The process that makes a copy.

    Args:
        source: the DuckDB file.
        copy: the file to make.
    """

    def __init__(self, source: Path, copy: Path) -> None:
        self.has_older = copy.exists()
        command = [sys.executable, "-m", "board.copying", str(source), str(copy)]
        folder = Path(__file__).resolve().parents[1]
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._line = "a copy of gold is being made"
        self._code, self._said = 0, ""
        self.reader = threading.Thread(target=self._follow, daemon=True)
        self.reader.start()

    def _follow(self) -> None:
        with self._process as process:
            for line in process.stdout or ():
                self._line = line.strip()
            self._said = (process.stderr.read() if process.stderr else "").strip()
        self._code = self._process.returncode

    def progress(self) -> str:
        return self._line if self.reader.is_alive() else ""

    def problem(self) -> str:
        if self.reader.is_alive() or not self._code:
            return ""
        return (self._said.splitlines() or ["The copy of gold ended without a word."])[-1]

    @property
    def was_busy(self) -> bool:
        """Whether it gave way to a load or a run."""
        return not self.reader.is_alive() and self._code == BUSY_EXIT


class DuckDBWarehouse:
    """The DuckDB file of the settings.

    Args:
        path: the file.
    """

    engine = "duckdb"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._copy = path.parent / COPY_FOLDER / path.name
        self._copying: Copying | None = None
        self._state = ""
        self._starting = threading.Lock()
        self._turn, self._next = threading.Lock(), 0.0

    def version(self) -> str:
        return str(self._copy.stat().st_mtime_ns) if self._copy.exists() else ""

    def refresh(self) -> Copying | None:
        with self._starting:
            state = state_of(self._path)
            if self._copying and (self._copying.progress() or self._is_hopeless(self._copying, state)):
                return self._copying
            self._copying = None
            if state and state != copied(self._copy, self.version()).state:
                self._state, self._copying = state, Copying(self._path, self._copy)
            return self._copying

    def _is_hopeless(self, copying: Copying, state: str) -> bool:
        """Whether a copy failed, not because it gave way, and nothing has changed since."""
        return bool(copying.problem()) and not copying.was_busy and self._state == state

    def problems(self) -> list[str]:
        return copied(self._copy, self.version()).problems

    def answer(self, sql: str, *, live: bool) -> pd.DataFrame:
        if not self._path.exists():
            raise MissingError(f"There is no warehouse yet at {self._path}. Load something first: `{load_command()}`")
        query = for_engine(sql, self.engine)
        return self._ask_file(query) if live else self._ask_copy(query)

    def _ask_copy(self, query: str) -> pd.DataFrame:
        if not self._copy.exists():
            raise MissingError(f"There is no gold to show yet. Build it: `{sqlmesh_command('plan', '--auto-apply')}`")
        with duckdb.connect(self._copy, read_only=True) as connection:
            return rows_of(connection, query)

    def _ask_file(self, query: str) -> pd.DataFrame:
        """Ask the file, one question at a time, so that between two of them a load or a run can take it."""
        with self._turn:
            time.sleep(max(0, self._next - time.monotonic()))
            try:
                with duckdb.connect() as connection, attached(connection, self._path):
                    connection.execute(f"{SESSION}; SET search_path = '{CATALOG}'")
                    return rows_of(connection, query)
            except duckdb.InterruptException as error:
                raise BusyError(IS_WRITTEN) from error
            except duckdb.IOException as error:
                if is_held(error):
                    raise BusyError(IS_WRITTEN) from error
                raise UnansweredError(f"DuckDB cannot read {self._path}: {error}") from error
            finally:
                self._next = time.monotonic() + BETWEEN_SECONDS


def rows_of(connection: duckdb.DuckDBPyConnection, query: str) -> pd.DataFrame:
    """Ask DuckDB.

    Raises:
        MissingError: the warehouse lacks a table or a column.
    """
    try:
        found = connection.execute(query).df()
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        plan = sqlmesh_command("plan", "--auto-apply")
        raise MissingError(
            f"The warehouse lacks what this page shows, as before its first plan or after an update: `{plan}`\n\n"
            f"{str(error).splitlines()[0]}"
        ) from error
    return found.rename(columns=str.lower)


@dataclass(frozen=True)
class Copied:
    """What a copy says of itself."""

    state: str = ""
    """The state of the warehouse that it is a copy of; empty where there is no copy."""
    problems: list[str] = field(default_factory=list)
    """A sentence for each table that could not be copied."""


@lru_cache(maxsize=1)
def copied(copy: Path, version: str) -> Copied:
    """Read what a copy says of itself, once for each version, because every page asks.

    Args:
        copy: the file.
        version: changes whenever the file does; empty where there is none.
    """
    if not version:
        return Copied()
    with duckdb.connect(copy, read_only=True) as connection:
        ((state,),) = connection.execute("SELECT state FROM copied").fetchall()
        if not state.startswith(f"{FORMAT} "):
            return Copied(state)
        failed = connection.execute("SELECT name, problem FROM failed ORDER BY ALL").fetchall()
    return Copied(state, [f"{name} cannot be read: {problem}" for name, problem in failed])

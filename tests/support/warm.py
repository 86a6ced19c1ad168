"""Runs of the command in processes that start at once: forks of one that has the imports behind it.

A new Python is busy for a second and a half with importing dlt, DuckDB and pyarrow, longer than with a small run. A
fork has nothing but these imports from the process before it, which never runs the command itself.
"""

import gc
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from unittest import mock

import duckdb

from support.project import COMMAND, REPOSITORY, Project, Result

# What every run needs, and what it would import only on its way.
NEEDED = ("amplitude", "dlt.destinations.impl.duckdb.duck", "pyarrow.dataset", "sqlglot.dialects.duckdb")
# A thread would be missing in the fork, and what it had locked would stay so: these libraries are to start none.
WITHOUT_THREADS = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
POLL_SECONDS = 0.005
KILL = b"\n"


class WarmPython:
    """A process that forks runs of the command, one at a time; it ends with the process that started it."""

    def __enter__(self) -> Self:
        folders = (REPOSITORY, REPOSITORY / "pipelines", REPOSITORY / "tests")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.warm"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, **WITHOUT_THREADS, "PYTHONPATH": os.pathsep.join(map(str, folders))},
            start_new_session=True,  # Ctrl-C does not reach it: it goes by the end of its input
        )
        assert self._process.stdin
        assert self._process.stdout
        self._orders, self._results = self._process.stdin, self._process.stdout
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.communicate()

    def start(self, project: Project, *arguments: str, constants: Mapping[str, object] | None = None) -> None:
        """Begins a run; `constants` are values of the code, by their full names, that are to be others in it."""
        order = json.dumps([str(project.root), project.env, arguments, constants or {}])
        self._orders.write(f"{order}\n".encode())

    def has_ended(self) -> bool:
        return bool(select.select([self._results], [], [], 0)[0])

    def kill(self) -> Result:
        """Ends the run with SIGKILL, unless it has ended before."""
        self._orders.write(KILL)
        return self.end()

    def end(self) -> Result:
        """Waits for the run's end."""
        return subprocess.CompletedProcess([COMMAND], *json.loads(self._results.readline()))


def serve() -> int:
    """Forks a run for each order, and tells what became of it."""
    for module in NEEDED:
        import_module(module)
    duckdb.default_connection().close()  # it came with the import, and has threads
    gc.freeze()
    with open(sys.stdin.fileno(), "rb", buffering=0) as orders:  # what was not read yet is there for `select`
        for order in orders:
            if order == KILL:  # of a run that had just ended
                continue
            assert len([*Path("/proc/self/task").glob("*")]) <= 1, "a process that forks has one thread"
            with tempfile.TemporaryFile("w+") as output:
                if not (run := os.fork()):
                    return run_here(output, *json.loads(order))  # and end as any Python does
                code = code_of(run)
                output.seek(0)
                print(json.dumps([code, *json.loads(output.read() or '["", ""]')]), flush=True)
    return 0


def run_here(output: IO[str], root: str, env: dict[str, str], arguments: list[str], constants: dict[str, Any]) -> int:
    """The run itself; what it prints goes into a file."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, sys.stdin.fileno())
    os.dup2(nothing, sys.stdout.fileno())
    for name, value in constants.items():
        mock.patch(name, value).start()
    result = Project(Path(root), env).load_here(*arguments)
    json.dump([result.stdout, result.stderr], output)
    return result.returncode


def code_of(run: int) -> int:
    """Waits for a run's exit code; kills it when there is anything to read, be it that nobody writes any more."""
    while True:
        ended, status = os.waitpid(run, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if select.select([sys.stdin], [], [], POLL_SECONDS)[0]:
            os.kill(run, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(serve())

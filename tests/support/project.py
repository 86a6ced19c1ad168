"""A checkout of its own for a test, and its commands."""

import contextlib
import functools
import io
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias
from unittest import mock

import duckdb
from dlt.common.configuration import resolve
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs import base_configuration
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

from simulator.server import DEMO_CREDENTIALS, Simulator

REPOSITORY = Path(__file__).resolve().parents[2]

# What a test's checkout gets, as far as it exists; never a .env, secrets or data of the developer.
CHECKOUT = (
    ".dlt/config.toml", "config.py", "pipelines", "sqlmesh", "orchestration", "dashboard", "docs/reference/tables.md",
)  # fmt: skip

NOT_COPIED = ("__pycache__", ".cache", "logs", "*.duckdb*")

COMMAND = "pipelines/amplitude.py"

# The arguments with which Python is `sqlmesh`.
SQLMESH = (
    "-c",
    f"import sys; sys.path.append({str(REPOSITORY / 'tests')!r}); from support import shared_models; sys.path.pop(); "
    "shared_models.main()",
)

COMMAND_TIMEOUT_SECONDS = 300

Result: TypeAlias = subprocess.CompletedProcess[str]

_NUMBERS = itertools.count(1)

os.environ["MAX_FORK_WORKERS"] = "1"  # else SQLMesh forks this process, which has threads, for cores that are taken

# For each setting that it looks up, in each place, dlt works out anew what is inside the same few type hints: more than
# a third of all calls of a small run.
_extract_inner_hint = functools.cache(base_configuration.extract_inner_hint)


@dataclass
class Project:
    """A copy of the repository with its own `data/`; every command gets exactly the environment `env`."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def database(self) -> Path:
        return self.root / "data/amplitude.duckdb"

    @property
    def lake(self) -> Path:
        return self.root / "data/lake"

    @property
    def work(self) -> Path:
        return self.root / "data/work"

    @property
    def first_hour(self) -> datetime:
        return datetime.fromisoformat(self.env["SOURCES__AMPLITUDE__START_HOUR"])

    def set_clock(self, now: datetime, simulator: Simulator) -> None:
        """Sets the present for the commands and for the simulated Amplitude."""
        simulator.now = now
        self.env["SOURCES__AMPLITUDE__NOW"] = now.isoformat()

    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Runs Python with these arguments in the checkout, as a process of its own: `run(*SQLMESH, "plan")`."""
        return subprocess.run(
            [sys.executable, *command],
            cwd=self.root,
            env={**self.env, **env},
            capture_output=True,
            encoding="utf-8",
            timeout=COMMAND_TIMEOUT_SECONDS,
            check=False,
        )

    def load(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Runs `python pipelines/amplitude.py` with these arguments as a process of its own."""
        return self.run(COMMAND, *arguments, **env)

    def kill_after(self, seconds: float, *command: str) -> None:
        """Starts Python with these arguments and kills it with SIGKILL after so long, unless it has ended before.

        With all that it has forked: while SQLMesh reads models, those would wait for it for ever.
        """
        with subprocess.Popen(
            [sys.executable, *command],
            cwd=self.root,
            env=self.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)

    def load_here(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """The same as `load` inside this process, which saves the two seconds that the imports take."""
        output, errors = io.StringIO(), io.StringIO()
        with self.entered(env), contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = _run_main(self.root, arguments)
        return subprocess.CompletedProcess(list(arguments), code, output.getvalue(), errors.getvalue())

    @contextlib.contextmanager
    def entered(self, env: Mapping[str, str] | None = None) -> Iterator[None]:
        """This process as one that was started in the checkout: folder, environment, time zone, dlt's settings.

        And without connections to S3, which would have another environment's credentials. What a command keeps this
        process from importing can be imported again later.
        """
        before, run_context = Path.cwd(), Container()[PluggableRunContext]
        umask = os.umask(0o022)
        if used := sys.modules.get("amplitude_source.lake.s3"):
            used.TellingFileSystem.clear_instance_cache()
        try:
            with (
                mock.patch.dict(os.environ, {**self.env, **(env or {})}, clear=True),
                mock.patch.object(sys, "meta_path", [*sys.meta_path]),
            ):
                os.chdir(self.root)
                time.tzset()
                run_context.reload(str(self.root))
                yield
        finally:
            os.umask(umask)
            os.chdir(before)
            time.tzset()
            run_context.reload(str(before))

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """DuckDB opens the file once for the queries within, and not for each: that takes longer than most of them."""
        with duckdb.connect(str(self.database), read_only=True):
            yield

    def archived(self) -> dict[str, bytes]:
        """The lake's members by their names."""
        return {path.name: path.read_bytes() for path in self.lake.rglob("*.json.gz")}

    def query(self, sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query on the checkout's DuckDB file, opened for reading only."""
        with duckdb.connect(str(self.database), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(sql, parameters).fetchall()


def _run_main(root: Path, arguments: tuple[str, ...]) -> int:
    """Calls the command's `main` and gives its exit code, as the interpreter would."""
    from amplitude_source.cli import (
        alarms,
        alert,
        chart,
        commands,
        privacy,
        process,
        projects,
        runs,
    )
    from amplitude_source.cli.doctor import command  # only here, all of them: other tests need not wait for them

    with (
        mock.patch.object(commands, "ROOT", root),
        mock.patch.object(projects, "ROOT", root),
        mock.patch.object(runs, "ROOT", root),
        mock.patch.object(alarms, "ROOT", root),
        mock.patch.object(alert, "ROOT", root),
        mock.patch.object(commands, "INVOKED_FROM", root),
        mock.patch.object(command, "ROOT", root),
        mock.patch.object(chart, "INVOKED_FROM", root),
        mock.patch.object(privacy, "INVOKED_FROM", root),
        mock.patch.object(sys, "argv", [COMMAND, *arguments]),
        mock.patch.object(process, "keep_memory_flat"),  # it would last, and slow down what comes after
        mock.patch.object(base_configuration, "extract_inner_hint", _extract_inner_hint),
        mock.patch.object(resolve, "extract_inner_hint", _extract_inner_hint),
    ):
        try:
            commands.main()
        except SystemExit as exit_:
            if isinstance(exit_.code, str):
                print(exit_.code, file=sys.stderr)
                return 1
            return exit_.code or 0
        except Exception:
            traceback.print_exc()
            return 1
    return 0


def make_project(folder: Path, simulator: Simulator) -> Project:
    """A checkout below the folder with settings for the simulator; its path is one that has to be quoted everywhere."""
    root = folder / "it's a checkout"
    copy_checkout(root)
    (folder / "home").mkdir()
    env = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
    env |= {
        "HOME": str(folder / "home"),
        "TZ": "Asia/Kolkata",  # five and a half hours from UTC: local time anywhere shows
        "COLUMNS": "200",
        "SQLMESH__CACHE_DIR": str(REPOSITORY / ".cache"),  # queries by what they are made of: for all checkouts
        "SOURCES__AMPLITUDE__API_KEY": DEMO_CREDENTIALS[0],
        "SOURCES__AMPLITUDE__SECRET_KEY": DEMO_CREDENTIALS[1],
        "SOURCES__AMPLITUDE__BASE_URL": simulator.base_url,
        "SOURCES__AMPLITUDE__REST_RESOURCES": '["event_types", "daily_numbers"]',  # tests/rest has the others
        "SOURCES__AMPLITUDE__START_HOUR": f"{simulator.product.start:%Y-%m-%dT%H}",
        "SOURCES__AMPLITUDE__NOW": simulator.now.isoformat(),
    }
    return Project(root, env)


def copy_checkout(root: Path) -> None:
    """Copies what the commands need to a new folder."""
    for name in CHECKOUT:
        source, target = REPOSITORY / name, root / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=_not_copied, symlinks=True)
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def succeeded(result: Result) -> Result:
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return result


def partly(result: Result) -> Result:
    """Pass on a load whose hours are loaded, and which could not have all of the REST APIs."""
    assert result.returncode == 7, result.stdout + result.stderr
    return result


def sentence(result: Result) -> str:
    """The one sentence with which a command failed."""
    assert result.returncode == 1, f"exit code {result.returncode}\n{result.stdout}\n{result.stderr}"
    assert "Traceback" not in result.stdout + result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, result.stderr
    assert result.stderr.splitlines()[-1] == errors[0], "nothing follows the sentence"
    return errors[0].removeprefix("error: ")


def _not_copied(folder: str, names: list[str]) -> set[str]:
    """A link named .env points to the root's, of which a test has its own or none; a file would be the developer's."""
    secrets = {name for name in names if name.startswith(".env") and not (Path(folder) / name).is_symlink()}
    return shutil.ignore_patterns(*NOT_COPIED)(folder, names) | secrets

"""A checkout of its own for each test, and a simulated Amplitude for it to ask."""

import base64
import contextlib
import functools
import gc
import gzip
import hashlib
import io
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from unittest import mock

import duckdb
import pytest
from dlt.common.configuration import resolve
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs import base_configuration
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

from amplitude_source.lock import LOCK_FILE
from amplitude_source.settings import hours_between
from amplitude_source.tables import EXPORT_COLUMNS
from postgres import Postgres
from simulator.archive import Member
from simulator.product import Product
from simulator.server import DEMO_CREDENTIALS, Simulator

if TYPE_CHECKING:
    from s3 import S3Server
    from snowflake_standin import SnowflakeProject, Standin

REPOSITORY = Path(__file__).resolve().parents[1]
# What a test's checkout gets, as far as it exists; never a .env, secrets or data of the developer.
CHECKOUT = (".dlt/config.toml", "config.py", "pipelines", "sqlmesh", "dashboard", "orchestration")
NOT_COPIED = ("__pycache__", ".cache", "logs", "*.duckdb*")
COMMAND = "pipelines/amplitude.py"
COMMAND_TIMEOUT_SECONDS = 300

SMALL_PRODUCT = Product(days=3, events_per_day=200)

Result: TypeAlias = subprocess.CompletedProcess[str]
Origin: TypeAlias = tuple[datetime, str, int, str]
"""Of a line: its hour, file and number; and its uuid, or the line itself where it was rejected."""

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
        """Runs Python with these arguments in the checkout, as a process of its own: `run("-m", "sqlmesh", "plan")`."""
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
        """Starts Python with these arguments and kills it with SIGKILL after so long, unless it has ended before."""
        with subprocess.Popen(
            [sys.executable, *command],
            cwd=self.root,
            env=self.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            process.kill()

    def load_here(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """The same as `load` inside this process, which saves the two seconds that the imports take."""
        output, errors = io.StringIO(), io.StringIO()
        with self.entered(env), contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = _run_main(self.root, arguments)
        return subprocess.CompletedProcess(list(arguments), code, output.getvalue(), errors.getvalue())

    @contextlib.contextmanager
    def entered(self, env: Mapping[str, str] | None = None) -> Iterator[None]:
        """This process as one that was started in the checkout: folder, environment, time zone, dlt's settings.

        And without connections to S3, which would have another environment's credentials.
        """
        before, run_context = Path.cwd(), Container()[PluggableRunContext]
        umask = os.umask(0o022)
        if used := sys.modules.get("amplitude_source.lake.s3"):
            used.TellingFileSystem.clear_instance_cache()
        try:
            with mock.patch.dict(os.environ, {**self.env, **(env or {})}, clear=True):
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
    from amplitude_source.cli import commands, process  # only here: other tests need not wait for them

    with (
        mock.patch.object(commands, "ROOT", root),
        mock.patch.object(commands, "INVOKED_FROM", root),
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The soak comes last: its short tests keep every processor busy to the end, and its time is its own then."""
    items.sort(key=lambda item: item.path.name == "test_soak.py")


def pytest_collection_finish() -> None:
    """What is imported by now stays: the garbage collector need not look through it again and again.

    SQLMesh makes so many small objects that by default a quarter of its time goes into looking for garbage.
    """
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tells what the soak's kills struck."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    properties = [pair for report in reports for pair in getattr(report, "user_properties", ())]
    if struck := Counter(value for name, value in properties if name == "killed while"):
        times = ", ".join(f"{work} {count}" for work, count in struck.most_common())
        terminalreporter.write_line(f"Runs killed while: {times}.")


@pytest.fixture(scope="session")
def product() -> Product:
    """Three days of a small shop: some 600 rows, with late and repeated ones, empty hours and a new key."""
    return SMALL_PRODUCT


@pytest.fixture
def simulator(product: Product) -> Iterator[Simulator]:
    """Amplitude with that product; its clock stands at noon after the last day."""
    with Simulator(product) as simulator:
        yield simulator


@pytest.fixture
def project(tmp_path: Path, simulator: Simulator) -> Iterator[Project]:
    """A checkout without data, set up to ask the simulated Amplitude from the product's first hour on."""
    project = make_project(tmp_path, simulator)
    yield project
    assert_no_secret_is_kept(project)


@pytest.fixture(scope="session")
def s3_server() -> "Iterator[S3Server]":
    """S3 over HTTP, one server for all tests of a process."""
    from s3 import S3Server  # only here: moto's imports take a second

    with S3Server() as server:
        yield server


@pytest.fixture
def s3(s3_server: "S3Server") -> "Iterator[S3Server]":
    """S3 with nothing asked yet, no faults, and every right for everybody."""
    s3_server.asked.clear()
    yield s3_server
    s3_server.fault = None
    s3_server.check_rights(float("inf"))


@pytest.fixture(scope="session")
def loaded_data(tmp_path_factory: pytest.TempPathFactory, product: Product) -> Path:
    """The database and the lake after one load of the whole product, to be copied by tests that begin there."""
    folder = tmp_path_factory.mktemp("loaded")
    with Simulator(product) as simulator:
        project = make_project(folder, simulator)
        result = project.load_here()
    assert result.returncode == 0, result.stderr
    return project.root / "data"


@pytest.fixture
def loaded(project: Project, loaded_data: Path) -> Project:
    """A project that has loaded the whole product; its `data/work` is gone, as on another machine."""
    shutil.copytree(loaded_data, project.root / "data", ignore=shutil.ignore_patterns("work"))
    return project


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server; a test makes a database of its own."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def standin(tmp_path_factory: pytest.TempPathFactory, s3_server: "S3Server") -> Iterator["Standin"]:
    """The stand-in for Snowflake; it reads from that S3."""
    import snowflake_standin  # only here: most tests need not wait for it

    with snowflake_standin.served(tmp_path_factory.mktemp("standin"), s3_server) as standin:
        yield standin


@pytest.fixture
def snowflake_project(
    tmp_path: Path, simulator: Simulator, standin: "Standin", s3: "S3Server"
) -> Iterator["SnowflakeProject"]:
    """The same checkout for Snowflake and S3."""
    from snowflake_standin import make_snowflake_project

    project = make_snowflake_project(tmp_path, simulator, standin, s3)
    yield project
    assert_no_secret_is_kept(project)


def make_project(folder: Path, simulator: Simulator) -> Project:
    """A checkout below the folder with settings for the simulator."""
    root = folder / "checkout"
    copy_checkout(root)
    (folder / "home").mkdir()
    env = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
    env |= {
        "HOME": str(folder / "home"),
        "TZ": "Asia/Kolkata",  # five and a half hours from UTC: local time anywhere shows
        "COLUMNS": "200",
        "SOURCES__AMPLITUDE__API_KEY": DEMO_CREDENTIALS[0],
        "SOURCES__AMPLITUDE__SECRET_KEY": DEMO_CREDENTIALS[1],
        "SOURCES__AMPLITUDE__BASE_URL": simulator.base_url,
        "SOURCES__AMPLITUDE__START_HOUR": f"{simulator.product.start:%Y-%m-%dT%H}",
        "SOURCES__AMPLITUDE__NOW": simulator.now.isoformat(),
    }
    return Project(root, env)


def take_all_hours(project: Project) -> None:
    """Write to gold what SQLMesh would write once silver and gold have all hours before the first pending one."""
    with duckdb.connect(str(project.database)) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS gold")
        connection.execute("""
            CREATE OR REPLACE TABLE gold.export_hours_taken AS
            SELECT project, export_hour, sha256, revision, _dlt_load_id AS load_id
            FROM bronze.export_hours
            WHERE export_hour < COALESCE(
                (SELECT MIN(export_hour) FROM bronze.export_hours WHERE status = 'pending'), TIMESTAMP '9999-12-31'
            )
        """)


def assert_no_secret_is_kept(project: Project) -> None:
    """Neither key of Amplitude is in a file that a command made: the lake, bronze, dlt's state and traces, logs."""
    login = base64.b64encode(":".join(DEMO_CREDENTIALS).encode())
    secrets = [*(key.encode() for key in DEMO_CREDENTIALS), login]
    folders = (project.root / "data", project.root / "logs", project.root.parent / "home")
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        kept = [secret for secret in secrets if secret in path.read_bytes()]
        assert kept == [], f"{path} holds a key of Amplitude"


def copy_checkout(root: Path) -> None:
    """Copies what the commands need to a new folder."""
    for name in CHECKOUT:
        source, target = REPOSITORY / name, root / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=_not_copied, symlinks=True)
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def export_row(**values: object) -> dict[str, object]:
    """A row with all 55 keys, null but for those that identify it and those given."""
    number = next(_NUMBERS)
    required = {
        "uuid": f"00000000-0000-4000-a000-{number:012}",
        "app": SMALL_PRODUCT.app,
        "amplitude_id": number,
        "event_type": "click",
        "event_time": "2026-06-01 10:00:00.000000",
        "server_upload_time": "2026-06-01 10:00:01.000000",
    }
    return dict.fromkeys(EXPORT_COLUMNS) | required | values


def gzip_lines(*lines: Mapping[str, object] | bytes) -> bytes:
    """A member's bytes: JSON lines of rows, or lines as they are, gzipped without a time."""
    texts = (line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    return gzip.compress(b"".join(text + b"\n" for text in texts), mtime=0)


def member_name(hour: datetime, partition: int = 0, app: int = SMALL_PRODUCT.app) -> str:
    """The base name of an export's member."""
    return f"{app}_{hour:%Y-%m-%d}_{hour.hour}#{partition}.json.gz"


def hour_text(hour: datetime) -> str:
    """An hour as the command takes it."""
    return f"{hour:%Y-%m-%dT%H}"


def succeeded(result: Result) -> Result:
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return result


def sentence(result: Result) -> str:
    """The one sentence with which a command failed."""
    assert result.returncode == 1, f"exit code {result.returncode}\n{result.stdout}\n{result.stderr}"
    assert "Traceback" not in result.stdout + result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, result.stderr
    assert result.stderr.splitlines()[-1] == errors[0], "nothing follows the sentence"
    return errors[0].removeprefix("error: ")


def rows_that_do_not_count(project: Project) -> list[tuple[Any, ...]]:
    """Hours with rows that the ledger ascribes to another load, or to one that dlt does not know as finished."""
    return project.query("""
        SELECT _export_hour, COUNT(*)
        FROM (SELECT * FROM bronze.events UNION ALL BY NAME SELECT * FROM bronze.rejected_rows) AS loaded
        LEFT JOIN bronze.export_hours AS hours
            ON hours.export_hour = loaded._export_hour AND hours._dlt_load_id = loaded._dlt_load_id
        LEFT JOIN bronze._dlt_loads AS loads ON loads.load_id = hours._dlt_load_id AND loads.status = 0
        WHERE loads.load_id IS NULL
        GROUP BY ALL
    """)


def assert_bronze_holds(project: Project, members: Sequence[Member], last: datetime) -> None:
    """Bronze, its ledger and the lake hold these members, each line once, and nothing is left over.

    `last` is the newest hour that was asked for. A line is expected among the rejected rows if it is no JSON object.
    """
    loaded, rejected = Counter[Origin](), Counter[Origin]()
    for member in members:
        for number, line in enumerate(gzip.decompress(member.data).splitlines(), 1):
            row = _json_object(line)
            content = line.decode() if row is None else str(row["uuid"])
            (rejected if row is None else loaded)[member.hour, member.file_name, number, content] += 1
    origin = "_export_hour, _archive_file, _archive_row"
    with project.opened():
        assert Counter(project.query(f"SELECT {origin}, uuid FROM bronze.events")) == loaded
        assert Counter(project.query(f"SELECT {origin}, line FROM bronze.rejected_rows")) == rejected
        assert rows_that_do_not_count(project) == []
        assert _ledger_of(project) == {
            hour: _expected_entry([member for member in members if member.hour == hour], loaded, rejected)
            for hour in hours_between(project.first_hour, last)
        }
    assert project.archived() == {member.file_name: member.data for member in members}
    assert_nothing_left(project)


def assert_nothing_left(project: Project) -> None:
    """No download, copy or load that is not finished is on disk."""
    assert {path.name for path in project.work.iterdir()} <= {"pipelines", LOCK_FILE}
    assert list(project.lake.rglob("*.unfinished")) == []
    assert [path for path in project.work.rglob("*/typed/*") if path.is_file()] == []
    assert list(project.work.glob("pipelines/*/load/new/*")) == []
    assert list(project.work.glob("pipelines/*/load/normalized/*")) == []


Entry: TypeAlias = tuple[str, int, int, int, int, str | None]


def _ledger_of(project: Project) -> dict[datetime, Entry]:
    """The ledger's entries; that an hour is pending or empty depends on the clock, so both are no data."""
    entries = project.query("""
        SELECT export_hour, CASE WHEN status IN ('empty', 'pending') THEN 'no data' ELSE status END,
            files, bytes, loaded_rows, rejected_rows, sha256
        FROM bronze.export_hours
    """)
    found = {hour: (status, *rest) for hour, status, *rest in entries}
    assert len(found) == len(entries), "an hour has one row in the ledger"
    return found


def _expected_entry(members: Sequence[Member], loaded: Counter[Origin], rejected: Counter[Origin]) -> Entry:
    if not members:
        return ("no data", 0, 0, 0, 0, None)
    names = {member.file_name for member in members}
    in_order = sorted(members, key=lambda member: int(member.name.rpartition("#")[2].partition(".")[0]))
    digests = "".join(f"{hashlib.sha256(member.data).hexdigest()} {member.file_name}\n" for member in in_order)
    return (
        "loaded",
        len(members),
        sum(len(member.data) for member in members),
        sum(count for origin, count in loaded.items() if origin[1] in names),
        sum(count for origin, count in rejected.items() if origin[1] in names),
        hashlib.sha256(digests.encode()).hexdigest(),
    )


def _json_object(line: bytes) -> dict[str, object] | None:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return None
    return row if isinstance(row, dict) else None


def _not_copied(folder: str, names: list[str]) -> set[str]:
    """A link named .env points to the root's, of which a test has its own or none; a file would be the developer's."""
    secrets = {name for name in names if name.startswith(".env") and not (Path(folder) / name).is_symlink()}
    return shutil.ignore_patterns(*NOT_COPIED)(folder, names) | secrets


def is_same(key: str, value: object, stored: object) -> bool:
    """Whether a column holds what the line holds, as far as JSON tells values apart."""
    if value is None or stored is None:
        return value is None and stored is None
    match EXPORT_COLUMNS.get(key, "text"):
        case "bigint":
            return not isinstance(value, bool) and isinstance(stored, int) and str(value) == str(stored)
        case "double":
            return not isinstance(value, bool) and isinstance(value, int | float | str) and float(value) == stored
        case "bool":
            return value is stored or value == str(stored).lower()
        case "timestamp":
            return isinstance(stored, datetime) and datetime.fromisoformat(str(value)) == stored
        case "json":
            return parses_to(str(stored), value)
        case _:
            return stored == value if isinstance(value, str) else parses_to(str(stored), value)


def parses_to(text: str, value: object) -> bool:
    try:
        parsed = json.loads(text)
    except json.JSONDecodeError:
        return False
    return type(parsed) is type(value) and bool(parsed == value)


@dataclass(frozen=True)
class Answer:
    """What the scripted server sends; a body shorter than `promised` breaks off."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    promised: int | None = None


class Script(ThreadingHTTPServer):
    """Answers one request after the other; the last answer stays."""

    daemon_threads = True

    def __init__(self, answers: list[Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _ScriptHandler)
        self.answers = answers
        self.authorizations: list[str | None] = []

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _ScriptHandler(BaseHTTPRequestHandler):
    server: Script

    def do_GET(self) -> None:
        answers, asked = self.server.answers, self.server.authorizations
        answer = answers[min(len(asked), len(answers) - 1)]
        asked.append(self.headers.get("Authorization"))
        self.send_response_only(answer.status)  # without a date: the tests have a time of their own
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(answer.promised or len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        """Keeps the console quiet."""


@contextlib.contextmanager
def serving(*answers: Answer) -> Iterator[Script]:
    script = Script(list(answers))
    thread = threading.Thread(target=script.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield script
    finally:
        script.shutdown()
        thread.join()
        script.server_close()

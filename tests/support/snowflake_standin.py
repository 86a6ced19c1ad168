"""The Snowflake stand-in (standin/) as tests use it: a server for each test run, a database for each test."""

import functools
import itertools
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from simulator.server import Simulator
from support.project import REPOSITORY, Project, make_project
from support.s3 import S3Server

if TYPE_CHECKING:
    from snowflake.connector import SnowflakeConnection

PYTHON = REPOSITORY / ".venv-standin/bin/python"
SERVER = REPOSITORY / "tests/support/standin/server.py"
START_SECONDS = 60
ACCOUNT, USER, ROLE, WAREHOUSE = "standin", "AMPLITUDE_LOADER", "AMPLITUDE_LOADER", "AMPLITUDE_WH"
STAGE = "BRONZE.LAKE_STAGING"
S3_ACCESS_KEY = "standin"  # with which the server signs what it asks of S3

_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Fault:
    """What becomes of the next statements in which a pattern is found; of a login, as `LOGIN <role> <warehouse>`."""

    pattern: str
    message: str = ""
    code: str = ""
    """Snowflake's error number, in six digits."""
    state: str = ""
    """Its SQLSTATE."""
    times: int = 1
    hold: bool = False
    """Whether, instead, the statement is done and its answer kept back until the client is gone, with its session."""


@dataclass(frozen=True)
class Statement:
    """A statement that was sent, and what became of it."""

    sql: str
    ok: bool
    error: str | None


class Standin:
    """A running server.

    Args:
        folder: holds its files.
        port: on which it listens, on 127.0.0.1, with TLS.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self.port = port

    @property
    def key(self) -> Path:
        """The private key with which clients sign in."""
        return self._folder / "private_key.pem"

    def make_database(self, stage_url: str) -> "Database":
        """A database as infra/snowflake/setup.sql makes it: the schemas, and the stage at this URL."""
        database = Database(self, f"AMPLITUDE_{os.getpid()}_{next(_NUMBERS)}")
        for schema in ("BRONZE", "BRONZE_STAGING", "SILVER", "GOLD"):
            database.query(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        database.query(f"CREATE STAGE {STAGE} URL = '{stage_url}' STORAGE_INTEGRATION = AMPLITUDE_LAKE")
        return database

    def log(self, database: str) -> Path:
        return self._folder / f"{database}.jsonl"

    def faults(self, database: str) -> Path:
        return self._folder / f"{database}.faults.json"

    def env(self, database: str) -> dict[str, str]:
        """What both commands need to use a database of it as their Snowflake."""
        credentials = {
            "HOST": ACCOUNT,
            "USERNAME": USER,
            "PRIVATE_KEY_PATH": str(self.key),
            "DATABASE": database,
            "WAREHOUSE": WAREHOUSE,
            "ROLE": ROLE,
            # Only here: an account's address follows from its name.
            "QUERY": json.dumps({"host": "127.0.0.1", "port": str(self.port)}),
        }
        return {
            "REQUESTS_CA_BUNDLE": str(self._folder / "ca.pem"),
            "AMPLITUDE_DESTINATION": "snowflake",
            "SQLMESH_GATEWAY": "snowflake",
            "SQLMESH_SNOWFLAKE_HOST": "127.0.0.1",
            "SQLMESH_SNOWFLAKE_PORT": str(self.port),
            "SQLMESH_STATE_FILE": "data/state.duckdb",  # PostgreSQL has tests of its own
            "DESTINATION__SNOWFLAKE__STAGE_NAME": f"{database}.{STAGE}",
            **{f"DESTINATION__SNOWFLAKE__CREDENTIALS__{name}": value for name, value in credentials.items()},
        }

    def connect(self, database: str) -> "SnowflakeConnection":
        from snowflake import connector  # only here: most tests need not wait for it

        return connector.connect(
            account=ACCOUNT,
            user=USER,
            private_key_file=str(self.key),
            host="127.0.0.1",
            port=self.port,
            database=database,
            role="OBSERVER",  # whose statements are not recorded
            login_timeout=30,
        )


class Database:
    """A database of the stand-in."""

    def __init__(self, standin: Standin, name: str) -> None:
        self._standin = standin
        self.name = name

    @property
    def env(self) -> dict[str, str]:
        return self._standin.env(self.name)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.connected() as connection:
            cursor = connection.cursor()
            cursor.execute(sql)
            return [*cursor.fetchall()]

    @contextmanager
    def connected(self) -> Iterator["SnowflakeConnection"]:
        """A connection whose statements are not recorded."""
        with trusting(self.env["REQUESTS_CA_BUNDLE"]), self._standin.connect(self.name) as connection:
            yield connection

    def statements(self) -> list[Statement]:
        """All that were sent since the last `forget`, without those of `query`, in the order in which they ended."""
        entries = self._entries()
        return [Statement(entry["sql"], entry["ok"], entry.get("error")) for entry in entries if "sql" in entry]

    def logins(self) -> list[dict[str, Any]]:
        """The parameters of each session since then."""
        return [entry["parameters"] for entry in self._entries() if "login" in entry]

    def forget(self) -> None:
        self._standin.log(self.name).unlink(missing_ok=True)

    def fail(self, *faults: Fault) -> None:
        """Has these statements fail from now on, and no others."""
        self._standin.faults(self.name).write_text(json.dumps([asdict(fault) for fault in faults]))

    def await_held(self, seconds: float = START_SECONDS) -> None:
        """Waits until a statement is held back."""
        deadline = time.monotonic() + seconds
        while not any("held" in entry for entry in self._entries()):
            assert time.monotonic() < deadline, "no statement met the fault that holds it back"
            time.sleep(0.05)

    def _entries(self) -> list[dict[str, Any]]:
        log = self._standin.log(self.name)
        whole = log.read_text().rpartition("\n")[0] if log.exists() else ""  # the last line may be under way
        return [json.loads(line) for line in whole.splitlines()]


@contextmanager
def trusting(authority: str) -> Iterator[None]:
    before = os.environ.get("REQUESTS_CA_BUNDLE")
    os.environ["REQUESTS_CA_BUNDLE"] = authority
    try:
        yield
    finally:
        if before is None:
            del os.environ["REQUESTS_CA_BUNDLE"]
        else:
            os.environ["REQUESTS_CA_BUNDLE"] = before


@contextmanager
def served(folder: Path, s3: S3Server) -> Iterator[Standin]:
    """Start the server, which reads staged files from that S3.

    A login reads its key two or three times, and each time OpenSSL proves its primes anew, for a thirtieth of a second.
    A test has up to 150 logins, so while the server runs this process reads each key once.
    """
    assert PYTHON.exists(), "the stand-in's environment is missing: make .venv-standin/installed"
    key = make_key(folder / "private_key.pem")
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "public_key.pem").write_bytes(public)
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(
            [PYTHON, SERVER, s3.url, folder], stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=folder
        )
    try:
        with keys_read_once():
            yield Standin(folder, await_port(process, folder))
    finally:
        process.communicate()


@contextmanager
def keys_read_once() -> Iterator[None]:
    """Within, dlt and the connector get the key that was read before."""
    pem, der = map(functools.cache, (serialization.load_pem_private_key, serialization.load_der_private_key))
    with (
        mock.patch.object(serialization, "load_pem_private_key", pem),
        mock.patch("snowflake.connector.auth.keypair.load_der_private_key", der),
    ):
        yield


def make_key(path: Path) -> rsa.RSAPrivateKey:
    """Makes a private key, as `openssl genrsa` and `openssl pkcs8` would."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return key


def await_port(process: subprocess.Popen[bytes], folder: Path) -> int:
    deadline = time.monotonic() + START_SECONDS
    while not (folder / "port").exists():
        log = (folder / "server.log").read_text()
        assert process.poll() is None, f"the stand-in did not start: {log}"
        assert time.monotonic() < deadline, f"the stand-in does not listen: {log}"
        time.sleep(0.05)
    return int((folder / "port").read_text())


@dataclass
class SnowflakeProject(Project):
    """A checkout whose warehouse is a database of the stand-in, and whose lake is a bucket."""

    snowflake: Database = field(kw_only=True)
    s3: S3Server = field(kw_only=True)
    bucket: str = field(kw_only=True)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Nothing has to be kept open."""
        yield

    @property
    def staging(self) -> str:
        """The URL that the stage is to have."""
        return f"{self.env['SOURCES__AMPLITUDE__LAKE__BUCKET_URL']}/staging/"

    def archived(self) -> dict[str, bytes]:
        """The lake's members by their names."""
        files = self.s3.files(self.bucket, "amplitude/raw/")
        return {Path(key).name: data for key, data in files.items() if key.endswith(".json.gz")}

    def query(self, sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query, in Snowflake's SQL."""
        assert parameters is None, "the stand-in's queries take no parameters"
        return self.snowflake.query(sql)


def make_snowflake_project(folder: Path, simulator: Simulator, standin: Standin, s3: S3Server) -> SnowflakeProject:
    """A checkout set up to ask the simulated Amplitude and to load into a database of its own."""
    bucket = s3.new_bucket()
    database = standin.make_database(f"s3://{bucket}/amplitude/staging/")
    project = make_project(folder, simulator)
    env = project.env | s3.env(bucket) | database.env
    return SnowflakeProject(project.root, env, snowflake=database, s3=s3, bucket=bucket)

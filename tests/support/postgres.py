"""A PostgreSQL of the tests' own: Debian's binaries, a data folder that goes with it, a port on 127.0.0.1."""

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg2

BINARIES = "/usr/lib/postgresql/*/bin"  # Debian keeps them off the PATH
INSTALL = "PostgreSQL is needed for this test and was not found: apt-get install postgresql"
USER = "sqlmesh"
PR_SET_PDEATHSIG = 1  # of sys/prctl.h
START_SECONDS, STOP_SECONDS = 60, 60
# It lives for a test: nothing needs to last, and little memory does.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "shared_buffers": "16MB",
    "max_connections": "100",
}


class Postgres:
    """A server while it is entered; `stop` and `start` in between leave its data and its port as they are."""

    def __enter__(self) -> Self:
        self.password = secrets.token_hex()
        self._binaries = find_binaries()
        # Not below pytest's folder, which is closed to the user that PostgreSQL is to run as.
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._owner = owner()
        try:
            self._make_cluster()
            self.port = free_port()
            self.start()
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self.stop()
        shutil.rmtree(self._folder)

    def _make_cluster(self) -> None:
        password = self._folder / "password"
        password.write_text(self.password)
        if self._owner:
            for path in (self._folder, password):
                os.chown(path, self._owner.pw_uid, self._owner.pw_gid)
        options = ["--no-sync", "--auth=scram-sha-256", f"--username={USER}", "--pwfile=password"]
        made = self._run("initdb", "-D", "data", "--encoding=UTF8", "--locale=C", *options)
        assert made.wait() == 0, self._log.read_text()

    def start(self) -> None:
        """Starts it, and waits until it takes connections."""
        settings = [text for name, value in SETTINGS.items() for text in ("-c", f"{name}={value}")]
        self._process = self._run("postgres", "-D", "data", "-p", str(self.port), *settings)
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            assert self._process.poll() is None, self._log.read_text()
            try:
                self.connect("postgres").close()
            except psycopg2.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise TimeoutError(f"PostgreSQL does not answer on port {self.port}")

    def stop(self) -> None:
        """Ends it at once; whoever is connected is cut off."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(STOP_SECONDS)

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    def _run(self, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [self._binaries / program, *arguments],
                cwd=self._folder,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
                stdout=log,
                stderr=log,
                user=self._owner.pw_uid if self._owner else None,
                group=self._owner.pw_gid if self._owner else None,
                extra_groups=[] if self._owner else None,
                preexec_fn=end_with_parent,
            )

    def connect(self, database: str) -> "psycopg2.extensions.connection":
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user=USER, password=self.password, dbname=database
        )
        connection.autocommit = True
        return connection

    def execute(self, database: str, sql: str) -> list[tuple[object, ...]]:
        """The rows of a statement."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def dump(self, database: str) -> str:
        """A database as a script, for the servers of other processes, which have the same version."""
        return self._ask("pg_dump", database)

    def restore(self, database: str, script: str) -> None:
        """Runs such a script in an empty database."""
        self._ask("psql", database, "--quiet", "--set=ON_ERROR_STOP=1", script=script)

    def _ask(self, program: str, database: str, *options: str, script: str = "") -> str:
        """What a client of PostgreSQL's prints."""
        return subprocess.run(
            [self._binaries / program, "--host=127.0.0.1", f"--port={self.port}", *options, database],
            env={"PATH": os.environ["PATH"], "PGUSER": USER, "PGPASSWORD": self.password},
            input=script,
            capture_output=True,
            encoding="utf-8",
            check=True,
        ).stdout

    def settings(self, database: str) -> dict[str, str]:
        """The environment variables by which SQLMesh keeps its state in a database of it."""
        return {
            "SQLMESH_STATE_HOST": "127.0.0.1",
            "SQLMESH_STATE_PORT": str(self.port),
            "SQLMESH_STATE_DATABASE": database,
            "SQLMESH_STATE_USERNAME": USER,
            "SQLMESH_STATE_PASSWORD": self.password,
            "SQLMESH_STATE_SSLMODE": "disable",
        }


def end_with_parent() -> None:
    """Has Linux send SIGINT to this process when the one that started it has ended, be that killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def find_binaries() -> Path:
    """The folder of `initdb` and `postgres`: of the newest version, or on the PATH."""
    found = sorted(Path("/").glob(BINARIES.lstrip("/")), key=lambda path: int(path.parent.name))
    on_path = shutil.which("initdb")
    folders = [*reversed(found), *([Path(on_path).resolve().parent] if on_path else [])]
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise FileNotFoundError(INSTALL)


def owner() -> pwd.struct_passwd | None:
    """Whom it runs as, if not as this process: PostgreSQL refuses root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""The fixtures of all tests."""

import gc
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadGroupScheduling

from amplitude_source.export import client
from amplitude_source.rest import limits
from simulator.product import Product
from simulator.server import Simulator
from support.postgres import Postgres

if TYPE_CHECKING:
    from support.ducklake import DuckLakeProject
    from support.gcs import GcsServer
    from support.s3 import S3Server
    from support.snowflake_standin import SnowflakeProject, Standin

from support.assertions import assert_no_secret_is_kept
from support.members import SMALL_PRODUCT
from support.project import Project, make_project

LONGEST_FIRST = (
    "test_snowflake_warehouse.py",
    "test_verify_snowflake.py",
    "test_orchestration.py",
    "test_increments.py",
    "test_demo.py",
    "production",
    "warehouse",
    "transform",
)
"""Files, and folders whose tests plan and run SQLMesh."""


IN_ONE_PROCESS = (
    ("test_dashboard_pages.py", "test_dashboard_product.py", "test_dashboard_questions.py"),
    ("test_foreign_bronze.py",),
)
"""Files whose tests share a process, because each process would start a browser, or read all models, of its own."""

COMPRESSED = (r"\x1f\x8b", r"PK\x03", "BZh9")
"""The first bytes of gzip, zip and bzip2, as pytest writes them into the name of a test."""


class Scheduling(LoadGroupScheduling):  # type: ignore[misc]  # xdist has no types
    """Sends tests to processes one by one, and those of IN_ONE_PROCESS together.

    xdist's own mark for that (`xdist_group`) has no effect with pytest 9.2, and no message (its issue 1386).
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return next((files[0] for files in IN_ONE_PROCESS if path.endswith(files)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Have `--dist loadgroup` go by files."""
    return Scheduling(config, log) if config.getvalue("dist") == "loadgroup" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the longest tests come first, so that the short ones keep every processor busy to the end.

    Raises:
        pytest.UsageError: A test's name shows compressed bytes. They hold the time they were made at, and processes
            that collect a second apart then disagree about the tests.
    """
    if odd := [item.nodeid for item in items if any(mark in item.nodeid for mark in COMPRESSED)]:
        raise pytest.UsageError(f"Give these tests names without compressed bytes, by `ids`: {odd}")
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> tuple[bool, int]:
    """The slow tests come before the others."""
    names = (item.path.name, item.path.parent.name)
    rank = next((rank for rank, name in enumerate(LONGEST_FIRST) if name in names), len(LONGEST_FIRST))
    return item.get_closest_marker("slow") is None, rank


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


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of this machine between a client in this process and what the tests serve."""
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waits between attempts but those that Amplitude asks for, and short ones where it has had enough."""
    monkeypatch.setattr(client, "FIRST_WAIT_SECONDS", 0)
    monkeypatch.setattr(limits, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(limits, "PATIENCE_SECONDS", 0.2)


@pytest.fixture(scope="session")
def s3_server() -> "Iterator[S3Server]":
    """S3 over HTTP, one server for all tests of a process."""
    from support.s3 import S3Server  # only here: moto's imports take a second

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
def gcs_server() -> "Iterator[GcsServer]":
    """Google Cloud Storage over HTTP, one server for all tests of a process."""
    from support.gcs import GcsServer  # only here: its imports take a moment

    with GcsServer() as server:
        yield server


@pytest.fixture
def gcs(gcs_server: "GcsServer") -> "GcsServer":
    """Google Cloud Storage without buckets, with nothing asked yet, and no faults."""
    gcs_server.reset()
    return gcs_server


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
    from support import snowflake_standin  # only here: most tests need not wait for it

    with snowflake_standin.served(tmp_path_factory.mktemp("standin"), s3_server) as standin:
        yield standin


@pytest.fixture
def snowflake_project(
    tmp_path: Path, simulator: Simulator, standin: "Standin", s3: "S3Server"
) -> Iterator["SnowflakeProject"]:
    """The same checkout for Snowflake and S3."""
    from support.snowflake_standin import make_snowflake_project

    project = make_snowflake_project(tmp_path, simulator, standin, s3)
    yield project
    assert_no_secret_is_kept(project)


@pytest.fixture
def ducklake_project(
    tmp_path: Path, simulator: Simulator, postgres: Postgres, s3: "S3Server"
) -> Iterator["DuckLakeProject"]:
    """The same checkout for DuckLake, with its catalogue in PostgreSQL and its files on S3."""
    from support.ducklake import make_ducklake_project

    project = make_ducklake_project(tmp_path, simulator, postgres, s3)
    yield project
    assert_no_secret_is_kept(project)

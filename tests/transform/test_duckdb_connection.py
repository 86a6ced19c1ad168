"""SQLMesh's DuckDB takes a bounded part of the memory, and writes what does not fit beside its file."""

from pathlib import Path

import duckdb
import pytest

from amplitude_source.errors import AmplitudeError
from amplitude_source.settings import MEMORY_VARIABLE
from amplitude_source.transform.duckdb_connection import MEMORY
from amplitude_source.transform.sqlmesh_config import duckdb as connection_to

GIBIBYTES = {"MiB": 1 / 1024, "GiB": 1, "TiB": 1024}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    duckdb.connect(folder / "amplitude.duckdb").close()
    return folder


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MEMORY_VARIABLE, raising=False)


def settings_of(file: Path | str) -> tuple[str, str]:
    """The limit of memory and the folder for what does not fit, of a connection as SQLMesh makes it."""
    adapter = connection_to(str(file)).create_engine_adapter()
    try:
        ((limit, folder),) = adapter.fetchall(
            "SELECT current_setting('memory_limit'), current_setting('temp_directory')"
        )
    finally:
        adapter.close()
    return str(limit), str(folder)


def gibibytes(size: str) -> float:
    found = MEMORY.fullmatch(size)
    assert found, size
    return float(found[1]) * GIBIBYTES[found[2]]


def test_by_default_it_takes_half_where_duckdb_would_take_four_fifths(folder: Path) -> None:
    ((duckdbs_own,),) = duckdb.connect().execute("SELECT current_setting('memory_limit')").fetchall()
    limit, spilled = settings_of(folder / "amplitude.duckdb")
    assert gibibytes(limit) / gibibytes(duckdbs_own) == pytest.approx(0.5 / 0.8, rel=0.02)
    assert spilled == str(folder / "amplitude.duckdb.tmp")


def test_a_limit_of_the_users_holds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, "512MiB")
    assert settings_of(folder / "amplitude.duckdb")[0] == "512.0 MiB"


@pytest.mark.slow
def test_a_query_beyond_the_limit_goes_beside_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, "100MB")
    adapter = connection_to(str(folder / "amplitude.duckdb")).create_engine_adapter()
    adapter.execute("CREATE TABLE amplitude.sorted AS SELECT hash(i)::TEXT AS a FROM range(4_000_000) t(i) ORDER BY a")
    assert adapter.fetchone("SELECT COUNT(*) FROM amplitude.sorted") == (4_000_000,)
    adapter.close()
    assert [path.name for path in folder.iterdir()] == ["amplitude.duckdb"], "what was spilled goes with the connection"


def test_rows_wait_for_no_order_of_tables(folder: Path) -> None:
    """DuckDB would hold what one thread has written until the rows before it are there."""
    adapter = connection_to(str(folder / "amplitude.duckdb")).create_engine_adapter()
    assert adapter.fetchone("SELECT current_setting('preserve_insertion_order')") == (False,)
    adapter.close()


@pytest.mark.parametrize("size", ["lots", "4", "50%", "0GB", "-5GB", "4 apples", "4gigs"])
def test_what_is_no_size_is_named(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB takes a negative size for no limit."""
    monkeypatch.setenv(MEMORY_VARIABLE, size)
    with pytest.raises(
        AmplitudeError, match=rf"^{MEMORY_VARIABLE}: write a size such as 4GB or 512MB, not '{size}'\.$"
    ):
        connection_to(":memory:")

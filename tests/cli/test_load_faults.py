"""A load that cannot go on: one sentence with the mend, and no secret in it."""

import base64
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from amplitude_source.settings import HOUR, hours_between
from simulator.product import Product
from simulator.server import Simulator
from support.loads import (
    BUSY_HOUR,
    END,
    START,
    assert_no_half_hour,
    ledger,
    made,
    write_members,
)
from support.members import export_row, gzip_lines, hour_text, member_name
from support.project import Project, Result, make_project, sentence, succeeded

# --- what the user can mend


def _wrong_key(project: Project) -> Result:
    return project.load_here(SOURCES__AMPLITUDE__SECRET_KEY="wrong")


def _no_scheme(project: Project) -> Result:
    return project.load_here(SOURCES__AMPLITUDE__BASE_URL="amplitude.example")


def _end_before_start(project: Project) -> Result:
    return project.load_here("--start", "2026-06-02T05", "--end", "2026-06-02T04")


def _end_before_the_cursor(project: Project) -> Result:
    return project.load_here("--end", "2026-05-31T04")


def _future(project: Project) -> Result:
    return project.load_here("--end", hour_text(END + 12 * HOUR))


def _no_hour(project: Project) -> Result:
    return project.load_here("--start", "yesterday")


def _no_exports(project: Project) -> Result:
    (project.root / "exports").mkdir()
    return project.load_here("--replay", "exports")


def _no_folder(project: Project) -> Result:
    return project.load_here("--replay", "missing [old]")


def _empty_archive(project: Project) -> Result:
    return project.load_here("--replay")


def _before_start_hour(project: Project) -> Result:
    return project.load_here("--start", "2026-05-31T23", "--end", "2026-06-01T03")


def _exports_before_start_hour(project: Project) -> Result:
    write_members(project.root / "exports", [made(START - HOUR, gzip_lines(export_row()))])
    return project.load_here("--replay", "exports")


def _no_start_hour(project: Project) -> Result:
    del project.env["SOURCES__AMPLITUDE__START_HOUR"]
    return project.load_here()


def _bad_start_hour(project: Project) -> Result:
    return project.load_here(SOURCES__AMPLITUDE__START_HOUR="June")


def _bad_now(project: Project) -> Result:
    return project.load_here(SOURCES__AMPLITUDE__NOW="noon")


def _bad_settle_hours(project: Project) -> Result:
    return project.load_here(SOURCES__AMPLITUDE__SETTLE_HOURS="six")


def _no_keys(project: Project) -> Result:
    del project.env["SOURCES__AMPLITUDE__API_KEY"], project.env["SOURCES__AMPLITUDE__SECRET_KEY"]
    return project.load_here()


def _lake_is_a_file(project: Project) -> Result:
    project.lake.parent.mkdir()
    project.lake.write_text("in the way")
    return project.load_here()


def _database_of_another_name(project: Project) -> Result:
    return project.load_here(DESTINATION__DUCKDB__CREDENTIALS="data/warehouse.duckdb")


def _declare_the_future(project: Project) -> Result:
    hour = hour_text(END + 12 * HOUR)
    return project.load_here("declare-empty", "--start", hour, "--end", hour)


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(
    ("run", "named"),
    [
        (_wrong_key, ["refuses the keys", "SOURCES__AMPLITUDE__SECRET_KEY"]),
        (_no_scheme, ["amplitude.example", "SOURCES__AMPLITUDE__BASE_URL"]),
        (_end_before_start, ["--end 2026-06-02T04", "2026-06-02T05"]),
        (_end_before_the_cursor, ["--end 2026-05-31T04", "2026-06-01T00"]),
        (_future, ["2026-06-04T12", "not over yet"]),
        (_no_hour, ["--start", "yesterday", "2026-06-01T00"]),
        (_no_exports, ["exports", "no exported files"]),
        (_no_folder, ["missing [old]", "no exported files"]),
        (_empty_archive, ["archive holds no hours"]),
        (_before_start_hour, ["2026-05-31T23", "START_HOUR"]),
        (_exports_before_start_hour, ["2026-05-31T23", "START_HOUR"]),
        (_no_start_hour, ["SOURCES__AMPLITUDE__START_HOUR"]),
        (_bad_start_hour, ["SOURCES__AMPLITUDE__START_HOUR", "June"]),
        (_bad_now, ["SOURCES__AMPLITUDE__NOW", "noon"]),
        (_bad_settle_hours, ["SOURCES__AMPLITUDE__SETTLE_HOURS", "six"]),
        (_no_keys, ["SOURCES__AMPLITUDE__API_KEY", "SOURCES__AMPLITUDE__SECRET_KEY"]),
        (_lake_is_a_file, ["data/lake"]),
        (_database_of_another_name, ["DESTINATION__DUCKDB__CREDENTIALS", "amplitude.duckdb", "warehouse.duckdb"]),
        (_declare_the_future, ["2026-06-04T12", "not over yet"]),
    ],
)
def test_what_the_user_can_mend_is_one_sentence_and_leaves_no_half_hour(
    project: Project, run: Callable[[Project], Result], named: list[str]
) -> None:
    message = sentence(run(project))
    assert [part for part in named if part not in message] == [], message
    assert_no_half_hour(project)


def test_a_new_warehouse_has_the_format_that_loads_faster(loaded: Project) -> None:
    formats = "SELECT tags['storage_version'] FROM duckdb_databases() WHERE path IS NOT NULL"
    assert loaded.query(formats) == [("v1.3.0+",)]


HOLD = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


def test_a_replay_keeps_to_its_bounds_and_leaves_out_a_truncated_hour(loaded: Project) -> None:
    (path,) = (p for p in loaded.lake.rglob(member_name(BUSY_HOUR)))
    path.write_bytes(path.read_bytes()[:-4])
    loaded.database.unlink()
    succeeded(loaded.load_here("--replay", "--start", hour_text(START + HOUR), "--end", hour_text(START + 2 * HOUR)))
    assert sorted(ledger(loaded)) == [START + HOUR, START + 2 * HOUR]
    assert path.name in sentence(loaded.load_here("--replay", "--start", hour_text(BUSY_HOUR - HOUR)))
    others = {*hours_between(BUSY_HOUR - HOUR, END + 5 * HOUR)} - {BUSY_HOUR}
    assert {*ledger(loaded)} == {START + HOUR, START + 2 * HOUR, *others}
    assert_no_half_hour(loaded)


def test_an_unknown_option_shows_the_usage_with_exit_code_2(project: Project) -> None:
    result = project.load_here("--nonsense")
    assert result.returncode == 2
    assert "Usage:" in result.stderr
    assert "Traceback" not in result.stderr


# --- secrets


def everything_below(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Each file's bytes, unpacked where it is gzip."""
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            yield path, data
            if data[:2] == b"\x1f\x8b":
                yield path, gzip.decompress(data)


def test_the_secret_key_is_in_no_file_and_in_no_output(tmp_path: Path, product: Product) -> None:
    secret = "Tr0ub4dor-s3cr3t"
    with Simulator(product, api_key="the-api-key", secret_key=secret) as simulator:
        project = make_project(tmp_path, simulator)
        project.env |= {
            "SOURCES__AMPLITUDE__API_KEY": "the-api-key",
            "SOURCES__AMPLITUDE__SECRET_KEY": secret,
        }
        results = [project.load_here("--end", hour_text(START + 14 * HOUR)), project.load_here("status")]
        refused = project.load_here("--start", hour_text(BUSY_HOUR), SOURCES__AMPLITUDE__API_KEY="another")
        assert "refuses the keys" in sentence(refused)
    texts = [secret.encode(), base64.b64encode(f"the-api-key:{secret}".encode())]
    for result in [*results, refused]:
        assert secret not in result.stdout + result.stderr
    found = {path for path, data in everything_below(project.root / "data") if any(text in data for text in texts)}
    found |= {path for path, data in everything_below(tmp_path / "home") if any(text in data for text in texts)}
    assert found == set()


def test_what_a_load_writes_is_the_users_alone(project: Project) -> None:
    succeeded(project.load_here("--end", hour_text(START + 14 * HOUR)))
    data = project.root / "data"
    kinds = {path.suffix for path in data.rglob("*") if path.is_file()}
    assert {".duckdb", ".gz", ".json"} <= kinds
    assert [path for path in (data, *data.rglob("*")) if path.stat().st_mode & 0o077] == []

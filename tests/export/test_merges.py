"""Amplitude's merge feed: files of merged users in bronze, and what silver and gold make of them."""

import gzip
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

import oracle
from amplitude_source.export.exported import Source
from amplitude_source.export.merges import read_merges
from simulator.server import Simulator
from support import warehouse
from support.members import SMALL_PRODUCT
from support.project import Project, sentence, succeeded

HOUR = timedelta(hours=1)
START, END = SMALL_PRODUCT.start, SMALL_PRODUCT.end
TIME = datetime(2026, 6, 1, 10, 30, 0, 123000)
GOOD = {"amplitude_id": 1, "merged_amplitude_id": 2, "merge_event_time": f"{TIME}", "merge_server_time": f"{TIME}"}
COLUMNS = "_project, amplitude_id, merged_amplitude_id, merge_event_time, merge_server_time, _effective_hour"


def merges(project: Project) -> list[tuple[Any, ...]]:
    return project.query(f"SELECT {COLUMNS} FROM bronze.merge_ids ORDER BY ALL")


def lines(*values: object) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def write(project: Project, *values: object, name: str = "merges.json") -> str:
    (project.root / name).write_bytes(lines(*values))
    return name


def next_hour(project: Project) -> datetime:
    """The first hour that bronze does not have for good."""
    ((hour,),) = project.query("SELECT MIN(export_hour) FROM bronze.export_hours WHERE status = 'pending'")
    assert isinstance(hour, datetime)
    return hour


def test_a_new_warehouse_has_the_table_without_a_row(loaded: Project) -> None:
    assert merges(loaded) == []


def test_a_merge_file_may_differ_in_case_time_format_and_compression(
    loaded: Project,
) -> None:
    upper = {name.upper(): value for name, value in GOOD.items()}
    of_s3 = {"scope": 7, "merge_time": 1780309800123, "merge_server_time": 1780309800123}
    plain = write(loaded, upper, GOOD | {"amplitude_id": 3, "merge_server_time": "2026-06-01T16:00:00.123+05:30"})
    (loaded.root / "s3.json.gz").write_bytes(
        gzip.compress(lines(of_s3 | {"amplitude_id": 4, "merged_amplitude_id": 2}))
    )
    result = succeeded(loaded.load_here("load-merges", plain, "s3.json.gz"))
    hour = next_hour(loaded)
    assert merges(loaded) == [("default", user, 2, TIME, TIME, hour) for user in (1, 3, 4)]
    assert (
        result.stdout == f"3 merges of users read, 3 of them new: silver takes them in with hour {hour:%Y-%m-%dT%H}.\n"
    )


def test_what_bronze_has_stays_as_it_is_and_another_time_is_another_merge(
    loaded: Project, simulator: Simulator
) -> None:
    write(loaded, GOOD, GOOD)
    succeeded(loaded.load_here("load-merges", "merges.json", "merges.json"))
    before = merges(loaded)
    assert len(before) == 1
    loaded.set_clock(END + timedelta(days=3), simulator)
    succeeded(loaded.load_here())
    assert next_hour(loaded) > before[0][-1]
    result = succeeded(loaded.load_here("load-merges", "merges.json"))
    assert result.stdout == "1 merges of users read, 0 of them new.\n"
    assert merges(loaded) == before
    write(loaded, GOOD, GOOD | {"merge_server_time": f"{TIME + HOUR}"})
    succeeded(loaded.load_here("load-merges", "merges.json"))
    assert merges(loaded) == [*before, ("default", 1, 2, TIME, TIME + HOUR, next_hour(loaded))]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "no JSON"),
        (b"", "no JSON"),
        (b"[1, 2]", "no JSON object"),
        (lines(GOOD | {"amplitude_id": "1"}).rstrip(), 'amplitude_id is no whole number of 64 bits: "1"'),
        (lines(GOOD | {"amplitude_id": True}).rstrip(), "amplitude_id is no whole number of 64 bits: true"),
        (lines(GOOD | {"amplitude_id": 1.0}).rstrip(), "amplitude_id is no whole number of 64 bits: 1.0"),
        (
            lines(GOOD | {"merged_amplitude_id": 2**63}).rstrip(),
            f"merged_amplitude_id is no whole number of 64 bits: {2**63}",
        ),
        (lines(GOOD | {"merged_amplitude_id": None}).rstrip(), "merged_amplitude_id is missing"),
        (lines(GOOD | {"merge_event_time": "today"}).rstrip(), 'merge_event_time is no time: "today"'),
        (lines(GOOD | {"merge_server_time": 10**18}).rstrip(), f"merge_server_time is no time: {10**18}"),
        (b" " * 70_000, "a line of more than 65,536 bytes"),
    ],
)
def test_a_line_that_is_no_merge_is_told_with_its_place_and_nothing_is_loaded(
    loaded: Project, line: bytes, reason: str
) -> None:
    write(loaded, GOOD)
    (loaded.root / "bad.json").write_bytes(lines(GOOD) + line + b"\n" + lines(GOOD))
    message = sentence(loaded.load_here("load-merges", "merges.json", "bad.json"))
    assert message == f"{loaded.root}/bad.json, line 2: {reason}; nothing was loaded."
    assert merges(loaded) == []


def test_a_file_that_is_not_there_or_breaks_off_is_told(loaded: Project) -> None:
    assert sentence(loaded.load_here("load-merges", "no.json")) == (
        f"{loaded.root}/no.json cannot be read (No such file or directory); nothing was loaded."
    )
    (loaded.root / "cut.json.gz").write_bytes(gzip.compress(lines(GOOD))[:-4])
    assert "cut.json.gz cannot be read" in sentence(loaded.load_here("load-merges", "cut.json.gz"))
    assert merges(loaded) == []


def test_of_several_projects_one_is_to_be_named(loaded: Project) -> None:
    prefix = "SOURCES__AMPLITUDE__PROJECTS__"
    keys = {name: loaded.env.pop(f"SOURCES__AMPLITUDE__{name}") for name in ("API_KEY", "SECRET_KEY")}
    loaded.env |= {f"{prefix}{name}__{key}": value for name in ("WEB", "IOS") for key, value in keys.items()}
    write(loaded, GOOD)
    assert "--project" in loaded.load_here("load-merges", "merges.json").stderr
    succeeded(loaded.load_here("load-merges", "merges.json", "--project", "web"))
    assert [row[0] for row in merges(loaded)] == ["web"]
    assert merges(loaded)[0][-1] == START, "a project that was never loaded begins there"


def test_each_merge_of_a_large_file_is_kept_once(tmp_path: Path) -> None:
    (tmp_path / "merges.json").write_bytes(lines(*(GOOD | {"amplitude_id": number % 700} for number in range(2000))))
    assert sorted(read_merges([Source.of(tmp_path / "merges.json")])["amplitude_id"].to_pylist()) == [*range(700)]


@pytest.mark.slow
@pytest.mark.nightly
def test_merges_between_runs_count_as_if_they_had_always_been_there(project: Project, simulator: Simulator) -> None:
    """Of all users the odd ones into the next, so that chains of them wait for users to come, and one in a circle."""
    told: list[oracle.Merge] = []
    for number, end in enumerate((START + 30 * HOUR, START + 60 * HOUR, END)):
        project.set_clock(end + 9 * HOUR, simulator)
        succeeded(project.load_here())
        with duckdb.connect(str(project.database), read_only=True) as connection:
            seen = [
                user
                for (user,) in connection.execute(
                    "SELECT DISTINCT amplitude_id FROM bronze.events ORDER BY 1"
                ).fetchall()
            ]
        pairs = [*zip(seen[number::4], seen[number + 1 :: 4], strict=False), (seen[-1], seen[-2]), (seen[-2], seen[-1])]
        time = TIME + number * HOUR
        write(
            project,
            *(
                {
                    "amplitude_id": a,
                    "merged_amplitude_id": b,
                    "merge_event_time": f"{time}",
                    "merge_server_time": f"{time}",
                }
                for a, b in pairs
            ),
        )
        told += [oracle.Merge(warehouse.DEFAULT, *pair, time, time) for pair in pairs]
        succeeded(project.load_here("load-merges", "merges.json"))
        warehouse.run(project) if number else warehouse.plan(project)
    project.set_clock(END + timedelta(days=1), simulator)
    succeeded(project.load_here())
    warehouse.run(project)
    warehouse.assert_equals_oracle(project, sorted(project.lake.rglob("*.json.gz")), merges=told)

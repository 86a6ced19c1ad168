"""The ledger: what is known of each hour, where the next run begins, and which hours are missing."""

import io
from collections import Counter
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import IO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplitude_source.bronze.ledger import (
    Ledger,
    LedgerRow,
    Status,
    coverage,
    first_open,
    ledger_row,
    ledger_table,
)
from amplitude_source.bronze.renames import retirement
from amplitude_source.bronze.taken import Restatement, TakenHour, restatements
from amplitude_source.errors import AmplitudeError
from amplitude_source.lake.archive import ArchivedMember, ExportHour, Member, MemberName, content_sha256
from amplitude_source.settings import HOUR, hours_between
from amplitude_source.tables import LEDGER_COLUMNS
from support.members import member_name

FIRST = datetime(2026, 6, 1)
ASKED = datetime(2026, 6, 4, 11)
NOW = datetime(2026, 6, 4, 12)


def member(sha256: str, partition: int = 0, size: int = 10) -> ArchivedMember:
    def opened() -> IO[bytes]:
        return io.BytesIO()

    name = MemberName.parse(member_name(FIRST, partition))
    assert name
    return ArchivedMember(Member(name, opened), size, sha256, sha256)


def entry(hour: datetime, status: Status = "loaded", **values: int | datetime | None) -> LedgerRow:
    is_loaded = status == "loaded"
    row = LedgerRow(
        project="web",
        export_hour=hour,
        status=status,
        files=int(is_loaded),
        bytes=10 * is_loaded,
        loaded_rows=5 * is_loaded,
        rejected_rows=0,
        sha256="a" if is_loaded else None,
        revision=1,
        revised_at=None,
        exported_at=ASKED,
        loaded_at=NOW,
    )
    return replace(row, **values)  # type: ignore[arg-type]  # any field


def exported(*members: ArchivedMember) -> ExportHour:
    return ExportHour(FIRST, [*members], ASKED)


def seen(hour: ExportHour, known: LedgerRow | None, rows: int = 5, rejected: int = 0) -> LedgerRow:
    """The ledger's row after a load of the hour."""
    return ledger_row("web", hour, Counter({FIRST: rows}), Counter({FIRST: rejected}), known, NOW)


LOADED = exported(member("a"))
CHANGED = exported(member("b"))
EMPTY = exported()
PENDING = replace(EMPTY, is_final=False)


def test_a_loaded_hour_counts_its_files_bytes_and_rows_and_the_rejected_ones_apart() -> None:
    hour = exported(member("a", 0, 10), member("b", 7, 32))
    row = seen(hour, None, rows=17, rejected=3)
    content = content_sha256({member_name(FIRST, 0): "a", member_name(FIRST, 7): "b"})
    assert row == LedgerRow("web", FIRST, "loaded", 2, 42, 17, 3, content, 1, None, ASKED, NOW)


def test_rows_of_other_hours_do_not_count() -> None:
    row = ledger_row("web", LOADED, Counter({FIRST + HOUR: 9}), Counter({FIRST + HOUR: 9}), None, NOW)
    assert (row.loaded_rows, row.rejected_rows) == (0, 0)


@pytest.mark.parametrize(("hour", "status"), [(LOADED, "loaded"), (EMPTY, "empty"), (PENDING, "pending")])
def test_the_status_tells_no_data_from_not_yet(hour: ExportHour, status: str) -> None:
    row = seen(hour, None)
    assert row.status == status
    assert row.is_final == (status != "pending")


@pytest.mark.parametrize(
    ("history", "revisions"),
    [
        ([LOADED], [1]),
        ([LOADED, LOADED, LOADED], [1, 1, 1]),
        ([LOADED, CHANGED], [1, 2]),
        ([LOADED, CHANGED, CHANGED, LOADED], [1, 2, 2, 3]),
        ([PENDING, PENDING, LOADED], [1, 1, 1]),
        ([PENDING, EMPTY, EMPTY], [1, 1, 1]),
        ([EMPTY, LOADED], [1, 2]),
        ([LOADED, EMPTY], [1, 2]),
    ],
)
def test_the_revision_rises_only_when_the_content_of_a_final_hour_changed(
    history: list[ExportHour], revisions: list[int]
) -> None:
    known: LedgerRow | None = None
    found = []
    for hour in history:
        known = seen(hour, known)
        found.append(known.revision)
    assert found == revisions


def test_a_final_hour_never_becomes_pending_again() -> None:
    """Silver has it already; a 404 within the settle time tells nothing new about an hour that was declared empty."""
    assert seen(PENDING, seen(EMPTY, None)).status == "empty"


def test_the_checksum_covers_names_and_bytes_of_all_members() -> None:
    hours = [
        [member("a", 0)],
        [member("b", 0)],
        [member("a", 1)],
        [member("a", 0), member("b", 1)],
        [member("b", 0), member("a", 1)],
    ]
    assert len({seen(exported(*members), None).sha256 for members in hours}) == len(hours)
    assert seen(EMPTY, None).sha256 is None


def test_the_table_has_the_columns_and_types_of_bronze() -> None:
    table = ledger_table([entry(FIRST), entry(FIRST + HOUR, "empty")])
    assert table.column_names == list(LEDGER_COLUMNS)
    assert [row["export_hour"] for row in table.to_pylist()] == [FIRST, FIRST + HOUR]
    assert [row["sha256"] for row in table.to_pylist()] == ["a", None]


# --- coverage


def test_neighbouring_hours_of_one_status_are_one_range_with_sums() -> None:
    hours = hours_between(FIRST, FIRST + 9 * HOUR)
    statuses: list[Status | None] = ["loaded", "loaded", None, "empty", "empty", "loaded", None, None, "pending", None]
    ledger = {h: entry(h, s, rejected_rows=1) for h, s in zip(hours, statuses, strict=True) if s}
    assert [
        (r.status, r.first, r.last, r.hours, r.files, r.bytes, r.loaded_rows, r.rejected_rows)
        for r in coverage(ledger, FIRST, hours[-1])
    ] == [
        ("loaded", hours[0], hours[1], 2, 2, 20, 10, 2),
        ("missing", hours[2], hours[2], 1, 0, 0, 0, 0),
        ("empty", hours[3], hours[4], 2, 0, 0, 0, 2),
        ("loaded", hours[5], hours[5], 1, 1, 10, 5, 1),
        ("missing", hours[6], hours[7], 2, 0, 0, 0, 0),
        ("pending", hours[8], hours[9], 2, 0, 0, 0, 1),
    ]


def test_hours_after_the_last_one_asked_for_are_pending_others_missing() -> None:
    def ranges(*asked: int) -> list[tuple[str, int]]:
        ledger = {hour: entry(hour, "empty") for hour in hours_of(*asked)}
        return [(range_.status, range_.hours) for range_ in coverage(ledger, FIRST, FIRST + 4 * HOUR)]

    assert ranges() == [("pending", 5)]
    assert ranges(2) == [("missing", 2), ("empty", 1), ("pending", 2)]


def test_hours_of_the_ledger_past_the_newest_count_too() -> None:
    found = coverage({FIRST + 3 * HOUR: entry(FIRST + 3 * HOUR)}, FIRST, FIRST)
    assert [(r.status, r.hours) for r in found] == [("missing", 3), ("loaded", 1)]


def test_a_warehouse_that_begins_in_the_future_has_no_ranges() -> None:
    assert coverage({}, FIRST, FIRST - HOUR) == []


ledgers = st.dictionaries(
    st.integers(0, 30).map(lambda n: FIRST + n * HOUR), st.sampled_from(["loaded", "empty", "pending"]), max_size=30
)


@settings(deadline=None)
@given(ledgers, st.integers(0, 30))
def test_ranges_tile_the_hours_and_each_has_the_status_of_its_hours(
    statuses: dict[datetime, Status], length: int
) -> None:
    newest = FIRST + length * HOUR
    ranges = coverage({hour: entry(hour, status) for hour, status in statuses.items()}, FIRST, newest)
    hours = [hour for range_ in ranges for hour in hours_between(range_.first, range_.last)]
    assert hours == hours_between(FIRST, max([newest, *statuses]))
    for range_ in ranges:
        for hour in hours_between(range_.first, range_.last):
            unknown = "missing" if any(asked > hour for asked in statuses) else "pending"
            assert range_.status == statuses.get(hour, unknown)
    assert all(a.status != b.status for a, b in pairwise(ranges))
    assert sum(range_.files for range_ in ranges) == list(statuses.values()).count("loaded")


# --- the cursor


def hours_of(*numbers: int) -> list[datetime]:
    return [FIRST + number * HOUR for number in numbers]


@pytest.mark.parametrize(
    ("statuses", "start", "expected"),
    [
        ({}, 0, 0),
        ({0: "loaded", 1: "loaded"}, 0, 2),
        ({0: "loaded", 1: "empty"}, 0, 2),
        ({0: "loaded", 1: "pending", 2: "loaded", 3: "pending"}, 0, 1),
        ({1: "loaded", 2: "loaded"}, 1, 3),
        ({0: "loaded", 2: "loaded"}, 0, 1),
        ({0: "pending", 1: "loaded"}, 1, 2),
    ],
)
def test_the_next_run_begins_with_the_first_hour_that_may_still_bring_data(
    statuses: dict[int, Status], start: int, expected: int
) -> None:
    ledger = {FIRST + n * HOUR: entry(FIRST + n * HOUR, status) for n, status in statuses.items()}
    assert first_open(FIRST + start * HOUR, ledger) == FIRST + expected * HOUR


@settings(deadline=None)
@given(ledgers, st.integers(0, 20))
def test_all_hours_that_the_next_run_leaves_out_are_final_and_its_first_is_not(
    statuses: dict[datetime, Status], start: int
) -> None:
    ledger = {hour: entry(hour, status) for hour, status in statuses.items()}
    found = first_open(FIRST + start * HOUR, ledger)
    assert all(ledger[hour].is_final for hour in hours_between(FIRST + start * HOUR, found - HOUR))
    assert found not in ledger or not ledger[found].is_final


# --- what silver has to take in anew


def ledger_of(project: str, *rows: LedgerRow) -> dict[str, Ledger]:
    return {project: {row.export_hour: replace(row, project=project) for row in rows}}


def taken_of(ledgers: dict[str, Ledger], *, is_certain: bool = True) -> dict[tuple[str, datetime], TakenHour]:
    """What silver and gold hold if they took in all of the ledgers."""
    return {
        (project, hour): TakenHour(row.sha256, row.revision, is_certain)
        for project in ledgers
        for hour, row in ledgers[project].items()
    }


def test_before_silver_is_built_nothing_is_to_be_restated() -> None:
    assert restatements(ledger_of("web", entry(FIRST, revised_at=NOW)), {}) == []


def test_hours_without_a_change_need_no_restatement() -> None:
    web = ledger_of("web", *map(entry, hours_of(0, 1, 2)), entry(FIRST + 3 * HOUR, revised_at=NOW))
    assert restatements(web, taken_of(web)) == []


def test_neighbouring_hours_of_any_projects_that_changed_are_restated_together() -> None:
    first, second = datetime(2026, 6, 5), datetime(2026, 6, 6)
    before = ledger_of("web", *map(entry, hours_of(0, 1, 5))) | ledger_of("ios", entry(FIRST), entry(FIRST + HOUR))
    changed = [replace(entry(hour, revised_at=first), sha256="other") for hour in hours_of(0, 5)]
    web = ledger_of("web", changed[0], entry(FIRST + HOUR), changed[1])
    ios = ledger_of("ios", entry(FIRST), replace(entry(FIRST + HOUR, revised_at=second), sha256="other"))
    assert restatements(web | ios, taken_of(before)) == [
        Restatement(FIRST, FIRST + HOUR, second),
        Restatement(FIRST + 5 * HOUR, FIRST + 5 * HOUR, first),
    ]


def test_hours_that_a_project_brings_late_are_restated_where_others_had_them() -> None:
    later = NOW + HOUR
    web = ledger_of("web", *map(entry, hours_of(0, 1, 2, 3)))
    ios = ledger_of("ios", *[entry(hour, loaded_at=later) for hour in hours_of(2, 3, 4)])
    assert restatements(web | ios, taken_of(web)) == [Restatement(FIRST + 2 * HOUR, FIRST + 3 * HOUR, later)]


def test_hours_under_a_name_that_the_ledger_no_longer_has_are_restated() -> None:
    web = ledger_of("web", *map(entry, hours_of(0, 1)))
    ((restated),) = restatements(web, taken_of(ledger_of("default", *map(entry, hours_of(0, 1)))))
    assert (restated.first, restated.last) == (FIRST, FIRST + HOUR)


def test_an_hour_that_was_replaced_while_models_ran_is_restated() -> None:
    web = ledger_of("web", entry(FIRST))
    assert [hours.first for hours in restatements(web, taken_of(web, is_certain=False))] == [FIRST]


# --- projects that are given up


def test_a_retired_project_ends_with_the_first_hour_that_is_not_final() -> None:
    web = ledger_of("web", *map(entry, hours_of(0, 1)), entry(FIRST + 2 * HOUR, "pending"))["web"]
    mark = retirement("web", web, NOW)
    assert (mark.status, mark.export_hour) == ("retired", FIRST + 2 * HOUR)
    with pytest.raises(AmplitudeError, match="retired already"):
        retirement("web", {**web, mark.export_hour: mark}, NOW)
    with pytest.raises(AmplitudeError, match="no project 'wbe'"):
        retirement("wbe", {}, NOW)

"""Batches of a plan that are joined: they hold the same hours, and silver the same events, as batches of a week."""

import itertools
import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracle
from amplitude_source.transform import row_batches
from amplitude_source.transform.row_batches import JOINED_ROWS, Rows, joined
from support import warehouse
from support.members import export_row, gzip_lines, hour_text, member_name
from support.project import Project, succeeded

HOUR, WEEK = timedelta(hours=1), timedelta(weeks=1)
START = datetime(2026, 6, 1)
REUSED_FROM, END = START + 3 * WEEK, START + 7 * WEEK
FIRST = datetime(2026, 6, 1, tzinfo=UTC)

Batch = tuple[int, int]


@given(
    batches=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, JOINED_ROWS * 2 // 3), st.booleans()), min_size=1, max_size=12
    )
)
def test_joined_batches_hold_the_same_hours_and_few_rows_and_begin_where_they_must(
    batches: list[tuple[int, int, bool]],
) -> None:
    """A batch is a day; hours lie between it and the one before; its last hour has all of its rows."""
    days: list[Batch] = []
    rows, must_begin, now = dict[datetime, int](), set[Batch](), FIRST
    for gap, number, begins in batches:
        now += gap * HOUR
        days.append((stamp(now), stamp(now + timedelta(days=1))))
        rows[(now + 23 * HOUR).replace(tzinfo=None)] = number
        must_begin |= {days[-1]} if begins else set()
        now += timedelta(days=1)
    counted = Rows(rows)
    result = joined(days, counted, lambda batch: batch in must_begin)
    parts = [[day for day in days if whole[0] <= day[0] and day[1] <= whole[1]] for whole in result]
    assert [day for part in parts for day in part] == days
    for whole, part in zip(result, parts, strict=True):
        assert sum(end - start for start, end in part) == whole[1] - whole[0], "it has hours that nobody asked for"
        assert len(part) == 1 or counted.within(whole) <= JOINED_ROWS
        assert not must_begin & {*part[1:]}
    for (start, end), (following, last) in itertools.pairwise(result):
        first_of_next = next(day for day in days if day[0] == following)
        fits = counted.within((start, first_of_next[1])) <= JOINED_ROWS
        assert end != following or not fits or first_of_next in must_begin, (last, "it could have been joined")


def stamp(time: datetime) -> int:
    return int(time.timestamp() * 1000)


@pytest.mark.parametrize("differ", ["types", pytest.param("times", marks=pytest.mark.slow)])
def test_ids_that_come_again_after_weeks_count_as_in_batches_of_a_week(
    project: Project, tmp_path: Path, differ: str
) -> None:
    """Copies come at any time; from the fourth week on, ids are used again for events of other types or times."""
    folder = tmp_path / "exports"
    paths = write(folder, rows_by_hour(random.Random(5), differ))
    span = "--start", hour_text(START), "--end", hour_text(END - HOUR)
    project.env["SOURCES__AMPLITUDE__START_HOUR"] = hour_text(START)
    project.env["SOURCES__AMPLITUDE__NOW"] = f"{END + WEEK:%Y-%m-%dT%H:%M:%S}"
    succeeded(project.load_here("--replay", str(folder), *span))
    succeeded(project.load_here("declare-empty", *span))
    with joining() as batches:
        warehouse.plan(project, models=("silver.events",))
    assert 1 < len(batches) < (END - START) / WEEK, "the weeks before ids are used again are one batch"
    assert batches[0][1] - batches[0][0] >= (REUSED_FROM - START) / timedelta(milliseconds=1)

    read = (oracle.read_event(row, (), (), ZoneInfo("UTC")) for row in warehouse.exported_rows(paths))
    expected = sorted((str(event.uuid), event.export_hour) for event in oracle.unique_events(read))
    assert project.query("SELECT uuid, export_hour FROM silver.events ORDER BY uuid") == expected


@contextmanager
def joining() -> Iterator[list[Batch]]:
    """Collects the batches of the last model whose batches are joined."""
    batches: list[Batch] = []

    def noting(*arguments: object, **options: object) -> list[Batch]:
        batches[:] = joined(*arguments, **options)  # type: ignore[arg-type]  # passed on
        return [*batches]

    with mock.patch.object(row_batches, "joined", noting):
        yield batches


def rows_by_hour(chance: random.Random, differ: str) -> dict[datetime, list[dict[str, object]]]:
    rows = defaultdict(list)
    for number in range(100):
        is_reused = number < 3
        first = REUSED_FROM + 2 * WEEK if is_reused else START
        uploads = [first + chance.random() * (END - first) for _ in range(chance.randint(1, 6))]
        if number == 0:
            uploads = [REUSED_FROM, REUSED_FROM + WEEK + HOUR]
        for sent, uploaded in enumerate(uploads):
            change = sent % 2 if is_reused else 0
            row = export_row(
                amplitude_id=number,
                device_id=f"d{number}",
                event_type="buy" if change and differ == "types" else "open",
                event_time=f"{START + change * HOUR}" if differ == "times" else f"{START}",
                server_upload_time=f"{uploaded}",
                **{"$insert_id": f"i{number}"},
            )
            rows[uploaded.replace(minute=0, second=0, microsecond=0)].append(row)
    return rows


def write(folder: Path, rows: dict[datetime, list[dict[str, object]]]) -> list[Path]:
    folder.mkdir()
    paths = []
    for hour, each in rows.items():
        paths.append(folder / member_name(hour))
        paths[-1].write_bytes(gzip_lines(*each))
    return paths

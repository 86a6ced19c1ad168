"""Promise 2 as a property: whatever way the same hours are split into runs, silver and gold equal one full rebuild.

Each seed draws a small crowd with rows up to 60 days late, repeats, reused insert ids, wrong clocks, logins, merges by
Amplitude, users from before the export and types that become inactive or are deleted, then a way to load and build its
hours: slices in any order, some replayed, with `sqlmesh run` at any time. In the end the export goes on for days
without any row.
"""

import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from operator import itemgetter
from pathlib import Path

import duckdb
import pytest

import oracle
from simulator.server import Simulator
from support import warehouse
from support.members import export_row, gzip_lines, hour_text, member_name
from support.project import Project, make_project, succeeded

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EPOCH, MILLISECOND = datetime(1970, 1, 1), timedelta(milliseconds=1)
START, DAYS, SILENT_DAYS = datetime(2026, 6, 1), 75, 9
HOURS_WITH_ROWS, ROWS_PER_HOUR, SLICES = 30, 12, 3
USERS, MERGES = 12, 10
DELAYS = (timedelta(seconds=3), timedelta(minutes=40), 5 * HOUR, 3 * DAY, 20 * DAY, 60 * DAY, -4 * DAY)
WRONG_CLOCKS = (datetime(1970, 1, 1, 12), datetime(2100, 1, 1, 12))
EVENT_TYPES = ("open", "view", "buy", "ping")
KNOWN_BEFORE: tuple[object, ...] = (2, 5, 9)
FLAGGED, DELETED = "ping", "view"

# Weeks and days as they are by default have examples enough in test_warehouse.py.
CHARTS = (
    oracle.Charts(timezone="America/New_York", week_start="sunday"),
    oracle.Charts(timezone="Asia/Kolkata"),
)


@dataclass(frozen=True)
class Crowd:
    """What Amplitude exports."""

    rows: dict[datetime, list[dict[str, object]]]
    """By export hour."""
    flags: dict[datetime, bool]
    """With which export hours the type FLAGGED becomes inactive, or active again."""
    deletions: dict[datetime, bool]
    """With which export hours the type DELETED is deleted, or restored."""
    merges: list[tuple[datetime, oracle.Merge]]
    """Amplitude's merge feed, with the export hour from which on each row counts."""


def crowd(chance: random.Random) -> Crowd:
    hours = sorted(chance.sample([START + number * HOUR for number in range(DAYS * 24)], HOURS_WITH_ROWS))
    rows: dict[datetime, list[dict[str, object]]] = {hour: [] for hour in hours}
    for hour in hours:
        for _ in range(chance.randint(1, ROWS_PER_HOUR)):
            sent = [row for earlier in hours if earlier <= hour for row in rows[earlier]]
            repeated = bool(sent) and chance.random() < 0.15
            new = row_of(chance, hour)
            rows[hour].append(repeat(chance, chance.choice(sent), new) if repeated else new)
    mark_first_events([row for hour in hours for row in rows[hour]])
    flags = dict(zip(sorted(chance.sample(hours, 3)), (True, False, True), strict=True))
    merges = [(chance.choice(hours), merge_of(chance)) for _ in range(MERGES)]
    deletions = dict(zip(sorted(chance.sample(hours, 3)), (True, False, chance.random() < 0.5), strict=True))
    return Crowd(rows, flags, deletions, merges)


def mark_first_events(rows: list[dict[str, object]]) -> None:
    """Mark what Amplitude took in first of each user; some users it has known from before the export."""
    known = {*KNOWN_BEFORE}
    for row in sorted(rows, key=itemgetter("server_upload_time")):
        if row["amplitude_id"] not in known:
            known.add(row["amplitude_id"])
            row["data"] = {"first_event": True}


def merge_of(chance: random.Random) -> oracle.Merge:
    """Of anyone into anyone, be it in a circle or into a user who is never seen."""
    times = [START + chance.randrange(DAYS) * DAY for _ in range(2)]
    return oracle.Merge(warehouse.DEFAULT, chance.randint(1, USERS + 1), chance.randint(1, USERS + 2), *times)


def row_of(chance: random.Random, hour: datetime) -> dict[str, object]:
    uploaded = hour + chance.random() * HOUR
    happened = uploaded - chance.choice(DELAYS) if chance.random() < 0.97 else chance.choice(WRONG_CLOCKS)
    user = chance.randint(1, USERS)
    hour_of_day = happened.replace(minute=0, second=0, microsecond=0)
    session = chance.choice([hour_of_day, datetime(happened.year, happened.month, 1), START])  # some last for months
    return export_row(
        amplitude_id=user,
        user_id=f"u{user}" if user > 6 and chance.random() < 0.7 else None,
        device_id=chance.choice(["d1", "d2", "d3", "d4", None]),
        session_id=int((session - EPOCH) / MILLISECOND) if chance.random() < 0.8 else -1,
        event_type=chance.choice(EVENT_TYPES),
        event_time=f"{happened}",
        client_event_time=f"{happened + chance.choice([0, 0, 90]) * timedelta(seconds=1)}",
        server_upload_time=f"{uploaded}",
        platform=chance.choice(["Web", "iOS", "", None]),
        country=chance.choice(["Germany", "India", "", None]),
        event_properties={"[Amplitude] Page Path": chance.choice(["/", "/a"]), "n": chance.randint(0, 3)},
        user_properties={"plan": chance.choice(["free", "pro"]), **campaign(chance)},
        **{"$insert_id": f"i{chance.random()}"},
    )


def campaign(chance: random.Random) -> dict[str, str]:
    """What brought the user, as far as the event knows it."""
    known = {"utm_source": chance.choice(["EMPTY", "ads", "mail"]), "utm_campaign": chance.choice(["", "spring"])}
    return {key: value for key, value in known.items() if chance.random() < 0.5}


def repeat(chance: random.Random, sent: dict[str, object], new: dict[str, object]) -> dict[str, object]:
    """The event that was sent, once more with another uuid; or another event that uses its ids anew."""
    if chance.random() < 0.5:
        return {**new, "device_id": sent["device_id"], "$insert_id": sent["$insert_id"]}
    return {**sent, "uuid": new["uuid"], "server_upload_time": new["server_upload_time"]}


def write(folder: Path, rows: dict[datetime, list[dict[str, object]]]) -> list[Path]:
    folder.mkdir()
    paths = {hour: folder / member_name(hour) for hour in rows}
    for hour, path in paths.items():
        path.write_bytes(gzip_lines(*rows[hour]))
    return [*paths.values()]


def load(project: Project, folder: Path, all_of: Crowd, first: datetime, last: datetime) -> None:
    span = "--start", hour_text(first), "--end", hour_text(last)
    if any(first <= hour <= last for hour in all_of.rows):
        succeeded(project.load_here("--replay", str(folder), *span))
    succeeded(project.load_here("declare-empty", *span))
    list_flags(project, (item for item in all_of.flags.items() if first <= item[0] <= last))
    list_flags(project, (item for item in all_of.deletions.items() if first <= item[0] <= last), DELETED, "deleted")
    tell_merges(project, [merge for merge in all_of.merges if first <= merge[0] <= last])


def list_flags(
    project: Project, flags: Iterable[tuple[datetime, bool]], event_type: str = FLAGGED, flag: str = "non_active"
) -> None:
    """Write to bronze the event lists that changed a type's flag; once, even if the hours are loaded twice."""
    columns = f"value, display, {flag}, _project, _snapshot_at, _effective_hour, _dlt_load_id, _dlt_id"
    with duckdb.connect(str(project.database)) as connection:
        for hour, is_set in flags:
            row = [event_type, event_type, is_set, warehouse.DEFAULT, hour, hour, "lists"]
            row_id = f"{event_type} {hour_text(hour)}"
            connection.execute("DELETE FROM bronze.events_list WHERE _dlt_id = ?", [row_id])
            connection.execute(
                f"INSERT INTO bronze.events_list ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [*row, row_id]
            )


def tell_merges(project: Project, merges: Collection[tuple[datetime, oracle.Merge]]) -> None:
    """Writes to bronze the rows of the merge feed; once, be the hours loaded twice."""
    columns = "_effective_hour, _project, amplitude_id, merged_amplitude_id, merge_event_time, merge_server_time"
    with duckdb.connect(str(project.database)) as connection:
        for hour in {hour for hour, _ in merges}:
            connection.execute("DELETE FROM bronze.merge_ids WHERE _effective_hour = ?", [hour])
        for hour, merge in merges:
            row = [hour, *merge, "merges"]
            connection.execute(
                f"INSERT INTO bronze.merge_ids ({columns}, _dlt_load_id) VALUES (?, ?, ?, ?, ?, ?, ?)", row
            )


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.nightly)])
def test_any_split_and_order_of_hours_gives_what_one_rebuild_gives(
    tmp_path: Path, simulator: Simulator, seed: int
) -> None:
    chance, charts, end = random.Random(seed), CHARTS[seed], START + (DAYS + SILENT_DAYS) * DAY
    all_of = crowd(chance)
    members = write(tmp_path / "exports", all_of.rows)
    split, at_once = (make_project(tmp_path / name, simulator) for name in ("split", "once"))
    for project in (split, at_once):
        project.set_clock(end + DAY, simulator)
        warehouse.set_charts(project, charts)
    load(at_once, tmp_path / "exports", all_of, START, end - HOUR)
    warehouse.plan(at_once)
    inactive = {FLAGGED} if all_of.flags[max(all_of.flags)] else set()
    deleted = {DELETED} if all_of.deletions[max(all_of.deletions)] else set()
    merges = [merge for _, merge in all_of.merges]
    warehouse.assert_equals_oracle(at_once, members, charts, inactive, merges, deleted)
    silence = START + DAYS * DAY
    cuts = [START, *sorted(chance.sample([hour for hour in all_of.rows if hour > START], SLICES - 1)), silence]
    slices = [(first, last - HOUR) for first, last in pairwise(cuts)]
    for number, (first, last) in enumerate(chance.sample(slices, SLICES)):
        for _ in range(chance.choice([1, 1, 2])):
            load(split, tmp_path / "exports", all_of, first, last)
        if number == 0 or chance.random() < 0.6 or number == SLICES - 1:
            warehouse.run(split) if number else warehouse.plan(split)
    load(split, tmp_path / "exports", all_of, silence, end - HOUR)
    warehouse.run(split)
    warehouse.assert_same_tables(warehouse.tables(split), warehouse.tables(at_once))

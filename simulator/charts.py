"""Amplitude's own numbers: how many users of the product were active, and how many were new, on every day (UTC)."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from typing import NamedTuple, Self

from simulator.catalog import Row


class Seen(NamedTuple):
    """What the numbers need of a row."""

    uploaded_at: str
    day: str
    amplitude_id: int
    device_id: str
    is_logged_in: bool
    event_type: str

    @classmethod
    def of(cls, row: Row) -> Self:
        """From a row of the export."""
        return cls(
            str(row["server_upload_time"]),
            str(row["event_time"])[:10],
            int(str(row["amplitude_id"])),
            str(row["device_id"]),
            row["user_id"] is not None,
            str(row["event_type"]),
        )


def active_users(rows: Collection[Seen], inactive: Collection[str]) -> Counter[str]:
    """By day, the users with an event that is not of an inactive type."""
    merged = merged_users(rows)
    seen = {(row.day, merged[row.amplitude_id]) for row in rows if row.event_type not in inactive}
    return Counter(day for day, _ in seen)


def new_users(rows: Collection[Seen]) -> Counter[str]:
    """By day, the users whose earliest event was on it."""
    merged = merged_users(rows)
    days: defaultdict[int, list[str]] = defaultdict(list)
    for row in rows:
        days[merged[row.amplitude_id]].append(row.day)
    return Counter(min(own) for own in days.values())


def merged_users(rows: Iterable[Seen]) -> dict[int, int]:
    """Who each user counts as: one who never logged in is the first to have done so on one of his devices."""
    devices: defaultdict[int, set[str]] = defaultdict(set)
    logins: dict[str, tuple[str, int]] = {}
    known: set[int] = set()
    for row in sorted(rows):
        devices[row.amplitude_id].add(row.device_id)
        if row.is_logged_in:
            logins.setdefault(row.device_id, (row.uploaded_at, row.amplitude_id))
            known.add(row.amplitude_id)
    merged = {user: user for user in devices}
    for user in devices.keys() - known:
        if of_devices := [logins[device] for device in devices[user] if device in logins]:
            merged[user] = min(of_devices)[1]
    return merged

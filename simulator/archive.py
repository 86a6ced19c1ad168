"""Rows as Amplitude archives them: gzipped JSON lines, one to three members an hour."""

import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Self, cast

import orjson

from simulator.catalog import Row

# Higher levels cost more time than the rows themselves.
_COMPRESSION_LEVEL = 2
_GZIP_CONTAINER = 31  # zlib's number for a gzip header, which then holds neither a time nor a file name
_ROWS_PER_EXTRA_MEMBER = 10_000
_EPOCH = datetime(1970, 1, 1)

AVAILABLE_AFTER = timedelta(hours=3)  # from the hour's start: it comes out two hours after its end


@dataclass(frozen=True)
class Member:
    """One member of an export zip."""

    name: str
    hour: datetime
    data: bytes
    events: Counter[str]  # rows by event type

    @property
    def file_name(self) -> str:
        """The name without the folder."""
        return self.name.rpartition("/")[2]

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        return self.events.total()


def pack_hour(app: int, seed: int, hour: datetime, rows: list[Row], copies: int = 1) -> Iterator[Member]:
    """Yield the members of an hour in the order of their names; none for an hour without rows."""
    numbers = _partition_numbers(seed, hour, len(rows) * copies)
    lines: defaultdict[int, list[bytes]] = defaultdict(list)
    events: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for row in rows:
        number = numbers[int(str(row["uuid"])[-8:], 16) % len(numbers)]
        events[number][str(row["event_type"])] += copies
        lines[number].extend(orjson.dumps(_copied(row, copy) if copy else row) for copy in range(copies))
    for number in sorted(lines, key=str):
        yield Member(
            name=f"{app}/{app}_{hour:%Y-%m-%d}_{hour.hour}#{number}.json.gz",
            hour=hour,
            data=zlib.compress(b"\n".join(lines[number]) + b"\n", _COMPRESSION_LEVEL, _GZIP_CONTAINER),
            events=events[number],
        )


def _partition_numbers(seed: int, hour: datetime, rows: int) -> list[int]:
    """Amplitude's partition numbers have gaps; most hours have a partition 0."""
    rng = Random(seed * 1_000_003 + (hour - _EPOCH) // timedelta(hours=1))
    count = rng.choice((1, 1, 2, 3)) + rows // _ROWS_PER_EXTRA_MEMBER
    return [0, *rng.sample(range(1, 1000), count - 1)]


def _copied(row: Row, copy: int) -> Row:
    """The row as of another product just like this one: every id is another one."""
    return row | {
        "uuid": f"{int(str(row['uuid'])[:4], 16) ^ copy:04x}{str(row['uuid'])[4:]}",
        "$insert_id": f"{row['$insert_id']}-{copy}",
        "device_id": f"{row['device_id']}-{copy}",
        "user_id": row["user_id"] and f"{row['user_id']}-{copy}",
        "amplitude_id": cast(int, row["amplitude_id"]) + copy * 10**12,
    }


@dataclass(frozen=True)
class StoredMember:
    """A member kept on disk, and what a fault makes of its bytes."""

    name: str
    hour: datetime
    path: Path
    size: int
    edits: tuple[Callable[[bytes], bytes], ...] = ()

    def edited(self, edit: Callable[[bytes], bytes]) -> Self:
        """The same with one more edit, which waits until the member is read."""
        return replace(self, edits=(*self.edits, edit))

    def read(self) -> bytes:
        """The bytes to send."""
        return reduce(lambda data, edit: edit(data), self.edits, self.path.read_bytes())


class Archive:
    """All members of a product, written once to a temporary folder and found by their hour."""

    def __init__(self, members: Iterable[Member]) -> None:
        self._temporary = TemporaryDirectory(prefix="amplitude-simulator-")
        self.folder = Path(self._temporary.name)
        self._members: defaultdict[datetime, list[StoredMember]] = defaultdict(list)
        self._events: defaultdict[datetime, Counter[str]] = defaultdict(Counter)
        for member in members:
            path = self.folder / member.file_name
            path.write_bytes(member.data)
            self._members[member.hour].append(StoredMember(member.name, member.hour, path, len(member.data)))
            self._events[member.hour].update(member.events)

    @property
    def row_count(self) -> int:
        """The rows of all members."""
        return sum(events.total() for events in self._events.values())

    def members(self, first: datetime, last: datetime) -> list[StoredMember]:
        """The members of a range of hours, both ends included, in the order of their names."""
        hours = (hour for hour in self._members if first <= hour <= last)
        return sorted((member for hour in hours for member in self._members[hour]), key=lambda member: member.name)

    def rows(self, first: datetime, last: datetime) -> Iterator[Row]:
        """The rows of a range of hours, both ends included."""
        for member in self.members(first, last):
            yield from map(orjson.loads, zlib.decompress(member.read(), _GZIP_CONTAINER).splitlines())

    def events(self, first: datetime, last: datetime) -> Counter[str]:
        """Rows by event type in a range of hours, both ends included."""
        total: Counter[str] = Counter()
        for hour, events in self._events.items():
            if first <= hour <= last:
                total.update(events)
        return total

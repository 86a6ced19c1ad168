"""Amplitude's export to a bucket: the members of the Export API as files, and a mark for each hour that is done."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from simulator.archive import Member

_HOUR = timedelta(hours=1)


def bucket_files(app: int, members: Iterable[Member], first: datetime, last: datetime) -> Iterator[tuple[str, bytes]]:
    """Yield path and bytes of what lies in a bucket once the hours `first` to `last`, both included, are exported.

    Amplitude documents that there are files labelled as complete, and not their names.
    """
    for member in members:
        if first <= member.hour <= last:
            yield member.name, member.data
    for number in range((last - first) // _HOUR + 1):
        hour = first + number * _HOUR
        yield f"{app}/{app}_{hour:%Y-%m-%d}_{hour.hour}_complete", b""

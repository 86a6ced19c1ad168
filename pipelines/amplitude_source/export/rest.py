"""Amplitude's small REST endpoints: the event list, and the numbers of users a day.

Their answers have had other shapes than documented. What is not understood is left out with a warning: the rest loads.
"""

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import Any

import dlt
from dlt.common.typing import TDataItem
from dlt.extract import DltResource

from ..errors import AmplitudeError
from ..settings import AmplitudeSettings
from ..tables import EVENTS_LIST_COLUMNS, USER_COUNTS_COLUMNS, column_hints
from .client import EVENTS_LIST, USER_COUNTS, ExportClient, UnreadAnswerError

# How far back Amplitude's numbers of users are asked for: late rows still change them. Each run costs as many units for
# each metric, of 108,000 an hour.
DAYS_OF_USER_COUNTS = 30
METRICS = ("active", "new")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
NO_LIST = "The event list was not read, so the next run asks for it again"
NO_COUNTS = "Amplitude's own numbers of users are not to be had, so there is nothing to compare ours with"

Warn = Callable[[str], None]


@dlt.source(name="amplitude")
def amplitude_rest(
    settings: AmplitudeSettings, client: ExportClient, effective_hour: datetime, warn: Warn
) -> list[DltResource]:
    """Return a resource for each endpoint: the event list, and Amplitude's numbers of users a day.

    The list shows the current week only, so each run keeps a dated snapshot. `_effective_hour` is the first export hour
    that this run asked for, one that silver cannot have seen yet: silver applies a snapshot from that hour on, so that
    a rebuild gives what the runs gave. Of runs that ask for the same hour the last one's snapshot stays.

    Args:
        settings: of the project.
        client: asks Amplitude.
        effective_hour: the first export hour for which the event list counts.
        warn: takes a sentence on what was left out. A list that cannot be had at all is an error, because silver needs
            it; numbers of users are only compared with ours.
    """
    origin = {"_project": settings.project, "_snapshot_at": settings.present}

    def events_list() -> Iterator[TDataItem]:
        try:
            answer = client.get_json(f"{client.address.rstrip('/')}/{EVENTS_LIST}").json()
            types = event_types(answer, warn)
        except UnreadAnswerError as error:
            warn(f"{NO_LIST}: {error}")
            return
        dlt.current.resource_state()[settings.project] = effective_hour.isoformat()
        for type_ in types:
            yield type_ | origin | {"_effective_hour": effective_hour}

    def user_counts() -> Iterator[TDataItem]:
        for metric in METRICS:
            try:
                counts = count_users(settings, client, metric, warn)
            except AmplitudeError as error:
                warn(f"{NO_COUNTS}: {error}")
                return
            for day, users in counts.items():
                yield {"event_date": day, "metric": metric, "users": users, **origin}

    return [
        dlt.resource(
            events_list,
            write_disposition="merge",
            primary_key=["_project", "_effective_hour", "value"],
            max_table_nesting=0,
            columns=column_hints(EVENTS_LIST_COLUMNS),
        ),
        dlt.resource(
            user_counts,
            write_disposition="merge",
            primary_key=["_project", "metric", "event_date"],
            columns=column_hints(USER_COUNTS_COLUMNS),
        ),
    ]


def event_types(answer: Any, warn: Warn) -> list[dict[str, Any]]:
    """Return the entries of an event list that have a name.

    Raises:
        UnreadAnswerError: the answer is no event list.
    """
    entries = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(entries, list):
        raise UnreadAnswerError(f"the answer of {EVENTS_LIST} has no list named data.")
    types = [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("value"), str)]
    if len(types) < len(entries):
        warn(
            f"{len(entries) - len(types)} of {len(entries)} entries of the event list have no name; they are left out."
        )
    for type_ in types:
        for key, kind in {"display": str, "non_active": bool}.items():
            if not isinstance(type_.get(key), kind | None):
                warn(f"The event list has {key} = {type_[key]!r:.100} for {type_['value']!r}; it is taken as null.")
                type_[key] = None
    return types


def count_users(settings: AmplitudeSettings, client: ExportClient, metric: str, warn: Warn) -> dict[date, int]:
    """Return Amplitude's numbers of the last days that have ended or are about to, in the project's time zone.

    Raises:
        AmplitudeError: they cannot be had, or read.
    """
    last = settings.present.date() - timedelta(days=1)  # which has begun wherever the project is
    first = max(settings.first_hour.date(), last - timedelta(days=DAYS_OF_USER_COUNTS - 1))
    if first > last:
        return {}
    query = f"m={metric}&start={first:%Y%m%d}&end={last:%Y%m%d}&i=1"
    answer = client.get_json(f"{client.address.rstrip('/')}/{USER_COUNTS}?{query}").json()
    try:
        labels, (users, *_) = answer["data"]["xValues"], answer["data"]["series"]
        found = {parse_day(label, first, last): count for label, count in zip(labels, users, strict=False)}
        sizes = {len(labels), len(users)}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UnreadAnswerError(f"{client.host} answered {USER_COUNTS} in a way that is not known.") from None
    counts = {day: int(count) for day, count in found.items() if day and is_count(count)}
    if len(counts) < max(sizes):
        warn(
            f"Amplitude's numbers of {metric} users have {max(sizes)} days, of which {len(counts)} can be read; the "
            "others are left out."
        )
    return counts


def parse_day(label: object, first: date, last: date) -> date | None:
    """Return the day of a range that a label stands for, such as `2026-06-01` or `Jun 01`."""
    if not isinstance(label, str):
        return None
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    names = {f"{MONTHS[day.month - 1]} {day.day:02}": day for day in days} | {day.isoformat(): day for day in days}
    month, _, number = label.partition(" ")
    return names.get(label[:10]) or names.get(f"{month[:3]} {number:0>2}")


def is_count(value: object) -> bool:
    is_whole = type(value) is int or (isinstance(value, float) and value.is_integer())
    return is_whole and value >= 0  # type: ignore[operator]  # it is a number

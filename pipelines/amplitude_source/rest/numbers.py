"""Amplitude's own numbers of each day, which gold lays beside ours."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

import orjson

from ..export.client import NotOfferedError, UnreadAnswerError
from .answers import number_of, series_of
from .context import Answer, Asking
from .event_types import listed_types

# How far back Amplitude is asked: late rows still change its numbers.
DAYS = 30
# By event type only of the newest days, and of those in doubt, because each type costs a request.
DAYS_BY_TYPE = 2
MOST_TYPES = 300  # two days of them and the other measures cost 930 of the 1,000 units of five minutes
DAYS_OF_CHARTS = 365  # longer, and a label such as Jun 01 would stand for two days
ALL = "(all)"
SEGMENTATION = "api/2/events/segmentation"


@dataclass(frozen=True)
class Measure:
    """A number of a day, and how to ask for it."""

    name: str
    path: str
    query: dict[str, str]


class Number(NamedTuple):
    """One of Amplitude's numbers."""

    measure: str
    detail: str
    event_date: date
    value: float


MEASURES = (
    Measure("active_users", "api/2/users", {"m": "active", "i": "1"}),
    Measure("new_users", "api/2/users", {"m": "new", "i": "1"}),
    Measure("events", SEGMENTATION, {"e": '{"event_type":"_all"}', "m": "totals", "i": "1"}),
    Measure("sessions_per_user", "api/2/sessions/peruser", {}),
    Measure("average_session_seconds", "api/2/sessions/average", {}),
)


def daily_numbers(asking: Asking) -> list[Answer]:
    """Return Amplitude's numbers of the last days, those by event type and those of saved charts."""
    return [Answer("daily_numbers", [number._asdict() | asking.origin for number in _answers(asking)])]


def _answers(asking: Asking) -> Iterator[Number]:
    last = asking.settings.present.date() - timedelta(days=1)  # which has begun wherever the project is
    first = max(asking.settings.first_hour.date(), last - timedelta(days=DAYS - 1))
    if first > last:
        return
    for measure in MEASURES:
        yield from _or_failure(asking, _of_measure(asking, measure, ALL, first, last))
    newest = max(first, last - timedelta(days=DAYS_BY_TYPE - 1))
    spans = [(newest, last), *((day, day) for day in asking.doubtful_days if first <= day < newest)]
    yield from _or_failure(asking, _by_type(asking, spans))
    for chart in asking.saved_charts:
        yield from _or_failure(asking, _of_saved_chart(asking, chart))


def _or_failure(asking: Asking, numbers: Iterator[Number]) -> Iterator[Number]:
    """Yield numbers up to an answer that the plan lacks, or that cannot be read, which leaves the others alone."""
    try:
        yield from numbers
    except NotOfferedError as error:
        asking.warn(str(error))
    except UnreadAnswerError as error:
        asking.failures.append(str(error))


def _of_measure(asking: Asking, measure: Measure, detail: str, first: date, last: date) -> Iterator[Number]:
    days = {"start": f"{first:%Y%m%d}", "end": f"{last:%Y%m%d}"}
    answer = asking.session.json(measure.path, **measure.query, **days)
    series = series_of(answer, first, last, measure.path, asking.warn)
    if len(series) != 1:
        raise UnreadAnswerError(f"The answer of {measure.path} has {len(series)} series instead of one.")
    for day, value in series[0].items():
        yield Number(measure.name, detail, day, value)


def _by_type(asking: Asking, spans: list[tuple[date, date]]) -> Iterator[Number]:
    for type_ in asked_types(asking):
        query = {"e": orjson.dumps({"event_type": type_}).decode(), "m": "totals", "i": "1"}
        for first, last in spans:
            yield from _of_measure(asking, Measure("events", SEGMENTATION, query), type_, first, last)


def asked_types(asking: Asking) -> list[str]:
    """Return the event types to ask about, those with most events this week first."""
    entries = listed_types(asking.event_list, lambda _: None)
    entries = [entry for entry in entries if not entry.get("deleted")]
    names = [entry["value"] for entry in sorted(entries, key=lambda entry: -(number_of(entry.get("totals")) or 0))]
    if len(names) > MOST_TYPES:
        asking.warn(
            f"The project has {len(names):,} event types: Amplitude is asked about the {MOST_TYPES} with most events "
            "this week alone, and about all events together."
        )
    return names[:MOST_TYPES]


def _of_saved_chart(asking: Asking, chart: str) -> Iterator[Number]:
    """Yield the numbers of a chart that somebody saved in Amplitude."""
    path = f"api/3/chart/{chart}/query"
    last = asking.settings.present.date() + timedelta(days=1)
    series = series_of(asking.session.json(path), last - timedelta(days=DAYS_OF_CHARTS), last, path, asking.warn)
    if len(series) != 1:
        raise UnreadAnswerError(f"Amplitude's chart {chart} has {len(series)} series; one that is compared has one.")
    for day, value in series[0].items():
        yield Number("saved_chart", chart, day, value)

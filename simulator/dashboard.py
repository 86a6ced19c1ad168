"""The Dashboard REST API: the event list, and the numbers of charts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import orjson

from simulator.asked import Asked, BadRequestError, as_json, days_asked, not_found
from simulator.catalog import EVENT_TYPES, EXPOSURE, ORDER_COMPLETED
from simulator.charts import ANY_ACTIVE_EVENT, Figures
from simulator.connection import Response

_HOUR = timedelta(hours=1)
_SESSIONS_COST = 4
_ONE_SEGMENT = [{"segmentIndex": 0}]


@dataclass(frozen=True)
class SavedChart:
    """A chart that somebody saved: the numbers of one event on the days before today."""

    event_type: str
    metric: Literal["totals", "uniques"]
    days: int = 30


def default_charts() -> dict[str, SavedChart]:
    """Return the charts that a project has at first, by their ids."""
    return {"activeus": SavedChart(ANY_ACTIVE_EVENT, "uniques"), "orders7d": SavedChart(ORDER_COMPLETED, "totals", 7)}


def events_list(asked: Asked) -> Response:
    """Answer with the event types and the rows of the current week until now."""
    project = asked.project
    monday = (project.now - timedelta(days=project.now.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
    totals = project.archive.events(monday, project.now)
    before = project.archive.events(monday - timedelta(days=7), monday - _HOUR)
    types = (*EVENT_TYPES, *[EXPOSURE] * project.product.exposures)
    data = [
        {
            "autohidden": False,
            "clusters_hidden": False,
            "deleted": event_type in project.deleted_event_types,
            "display": event_type,
            "flow_hidden": False,
            "hidden": False,
            "id": 1000 + number,
            "in_waitroom": False,
            "name": event_type,
            "non_active": event_type in project.inactive_event_types,
            "timeline_hidden": False,
            "totals": totals[event_type],
            "totals_delta": totals[event_type] - before[event_type],
            "value": event_type,
            "waitroom_hidden": False,
        }
        for number, event_type in enumerate((*types, *sorted(project.deleted_event_types - {*types})))
    ]
    return as_json({"data": data})


def user_counts(asked: Asked) -> Response:
    """Answer with the active or new users of each day."""
    days = days_asked(asked)
    metric = asked.query.get("m", "active")
    if metric not in ("active", "new") or asked.query.get("i", "1") != "1":
        raise BadRequestError("m must be active or new, and i 1.")
    figures = asked.project.figures()
    if metric == "new":
        new = figures.new_users()
        return _series_of_days(days, [new[day] for day in days])
    active = figures.users(ANY_ACTIVE_EVENT)
    return _series_of_days(days, [len(active.get(day, ())) for day in days])


def session_lengths(asked: Asked) -> Response:
    """Answer with the mean seconds of the sessions that began on each day."""
    return _floats(days_asked(asked), asked.project.figures().average_session_seconds())


def sessions_per_user(asked: Asked) -> Response:
    """Answer with the sessions of each day per user who began one on it."""
    return _floats(days_asked(asked), asked.project.figures().sessions_per_user())


def segmentation(asked: Asked) -> Response:
    """Answer with how often one or two events happened on each day, or to how many users."""
    days = days_asked(asked)
    metric = asked.query.get("m", "uniques")
    if metric not in ("totals", "uniques") or asked.query.get("i", "1") != "1":
        raise BadRequestError("m must be totals or uniques, and i 1.")
    figures = asked.project.figures()
    series = [_series(figures, event_type, metric, days) for event_type in _event_types(asked)]
    data = {
        "series": [values for values, _ in series],
        "seriesLabels": _event_types(asked),
        "seriesCollapsed": [[{"value": collapsed}] for _, collapsed in series],
        "xValues": days,
    }
    return as_json({"data": data})


def saved_chart(asked: Asked) -> Response:
    """Answer with the numbers of a chart that somebody saved."""
    chart = asked.project.saved_charts.get(asked.id)
    if chart is None:
        return not_found(f"There is no chart {asked.id}.")
    today = asked.project.now.replace(tzinfo=UTC).astimezone(ZoneInfo(asked.project.timezone))
    days = [f"{today - timedelta(days=number):%Y-%m-%d}" for number in range(chart.days, 0, -1)]
    values, collapsed = _series(asked.project.figures(), chart.event_type, chart.metric, days)
    data = {
        "series": [[{"setId": "", "value": value} for value in values]],
        "seriesCollapsed": [[{"setId": "", "value": collapsed}]],
        "seriesLabels": [chart.event_type],
        "xValues": days,
    }
    return as_json({"data": data})


def cost_of_days(asked: Asked) -> int:
    """Return the cost of a chart of one event."""
    return len(days_asked(asked))


def cost_of_sessions(asked: Asked) -> int:
    """Return the cost of a chart of sessions."""
    return _SESSIONS_COST * len(days_asked(asked))


def cost_of_events(asked: Asked) -> int:
    """Return the cost of a segmentation."""
    return len(_event_types(asked)) * len(days_asked(asked))


def cost_of_saved_chart(asked: Asked) -> int:
    """Return the cost of a saved chart, for which the days are its own."""
    chart = asked.project.saved_charts.get(asked.id)
    return chart.days if chart else 1


def _series(figures: Figures, event_type: str, metric: str, days: list[str]) -> tuple[list[int], int]:
    """Return the numbers of an event by day, and the one for all days together."""
    if metric == "totals":
        totals = figures.totals(event_type)
        return [totals[day] for day in days], sum(totals[day] for day in days)
    users = figures.users(event_type)
    by_day = [users.get(day, set()) for day in days]
    return [len(own) for own in by_day], len(set().union(*by_day))


def _event_types(asked: Asked) -> list[str]:
    return [_event_type(asked.query.get(name, "")) for name in ("e", "e2") if name == "e" or name in asked.query]


def _event_type(text: str) -> str:
    try:
        event = orjson.loads(text)
    except orjson.JSONDecodeError:
        event = None
    if not isinstance(event, dict) or not isinstance(event.get("event_type"), str):
        raise BadRequestError('An event must be like {"event_type": "Signed Up"}.')
    if any(value for key, value in event.items() if key != "event_type"):
        raise BadRequestError("The simulator does not serve events with filters or groups.")
    return str(event["event_type"])


def _floats(days: list[str], values: Mapping[str, float]) -> Response:
    return _series_of_days(days, [values.get(day, 0.0) for day in days])


def _series_of_days(days: list[str], values: list[int] | list[float]) -> Response:
    return as_json({"data": {"series": [values], "seriesMeta": _ONE_SEGMENT, "xValues": days}})

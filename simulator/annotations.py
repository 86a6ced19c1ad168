"""Annotations: what a project's people noted on its charts."""

from datetime import datetime, timedelta

from simulator.asked import Asked, as_json
from simulator.connection import Response

_RELEASES, _CAMPAIGNS = ({"id": 101, "name": "Releases"}, {"id": 102, "name": "Campaigns"})


def default_categories() -> list[dict[str, object]]:
    """Return the categories that a project has at first."""
    return [dict(_RELEASES), dict(_CAMPAIGNS)]


def default_annotations(first: datetime, last: datetime) -> list[dict[str, object]]:
    """Return a release, a campaign of some days, and a note without a category, between two times."""
    third = (last - first) / 3
    release, start, end = (_moment(time) for time in (first, first + third, first + 2 * third))
    return [
        _annotation(1, release, None, "Version 3.1.1", "The checkout has one page.", _RELEASES),
        _annotation(2, start, end, "Summer sale", "All lamps at half price.", _CAMPAIGNS),
        _annotation(3, start, None, "Payments were down", None, None, chart_id="orders7d"),
    ]


def annotations(asked: Asked) -> Response:
    """Answer with the annotations, of one category or chart if the request names it."""
    category, chart_id = asked.query.get("category"), asked.query.get("chart_id")
    found = [
        note
        for note in asked.project.annotations
        if (category is None or _category_name(note) == category)
        and (chart_id is None or note["chart_id"] in (None, chart_id))
    ]
    return as_json({"data": found})


def categories(asked: Asked) -> Response:
    """Answer with the categories, or the one that the request names."""
    name = asked.query.get("category")
    return as_json({"data": [each for each in asked.project.annotation_categories if name in (None, each["name"])]})


def _annotation(
    id: int,
    start: str,
    end: str | None,
    label: str,
    details: str | None,
    category: dict[str, object] | None,
    chart_id: str | None = None,
) -> dict[str, object]:
    return {
        "id": id,
        "start": start,
        "end": end,
        "label": label,
        "details": details,
        "category": category and dict(category),
        "chart_id": chart_id,
    }


def _category_name(note: dict[str, object]) -> object:
    category = note["category"]
    return category["name"] if isinstance(category, dict) else None


def _moment(time: datetime) -> str:
    whole = time.replace(minute=0, second=0, microsecond=0) + timedelta(hours=9)
    return f"{whole:%Y-%m-%dT%H:%M:%S}+00:00"

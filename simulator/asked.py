"""A request to one of the read APIs: its parameters, and the forms of an answer."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import orjson

from simulator.connection import Response
from simulator.faults import Call

if TYPE_CHECKING:
    from simulator.project import Project

JSON = "application/json"
_DAY_FORM, _DAY_EXAMPLE = "%Y%m%d", "20260601"


class BadRequestError(Exception):
    """The request's parameters make no sense; the message says why."""


class Asked(NamedTuple):
    """A request, and the project that it is about."""

    project: "Project"
    call: Call
    id: str = ""
    """The word in the path for which its template has {id}."""

    @property
    def query(self) -> dict[str, str]:
        """The parameters by their names."""
        return self.call.query


def as_json(content: object, status: int = 200) -> Response:
    """Return an answer of JSON."""
    return Response(status, orjson.dumps(content), JSON)


def not_found(sentence: str) -> Response:
    """Return a 404 that says what is missing."""
    return as_json({"error": sentence}, 404)


def days_asked(asked: Asked) -> list[str]:
    """Return the days from `start` to `end`, both included, as in an answer's xValues.

    Raises:
        BadRequestError: one of them is missing or no day, or there are too many days.
    """
    start, end = (read_time(asked.query, name, _DAY_FORM, _DAY_EXAMPLE) for name in ("start", "end"))
    if end < start or end - start >= timedelta(days=365):
        raise BadRequestError("end must be start or one of the 364 days after it.")
    return [f"{start + timedelta(days=number):%Y-%m-%d}" for number in range((end - start).days + 1)]


def read_time(query: dict[str, str], name: str, form: str, example: str) -> datetime:
    """Return a time among the parameters.

    Raises:
        BadRequestError: it is missing, or in another form.
    """
    text = query.get(name, "")
    try:
        time = datetime.strptime(text, form)
    except ValueError:
        time = None
    # strptime is lenient about missing zeros
    if time is None or len(text) != len(example):
        raise BadRequestError(f"{name} must be like {example}.")
    return time


def read_number(query: dict[str, str], name: str, default: int) -> int:
    """Return a whole number among the parameters that is not negative.

    Raises:
        BadRequestError: it is something else.
    """
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise BadRequestError(f"{name} must be a whole number.")
    return int(text)

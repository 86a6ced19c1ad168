"""Retention charts: how many of the users who started come back, so many days, weeks or months later.

Amplitude's pages: retention-analysis-time.md, retention-analysis-calculation.md, retention-analysis-interpret.md.
"""

import re
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from ...yaml_files import PlacedError
from ..chart import Chart
from ..definitions import AnyPart, Part


class Retention(Chart):
    """A chart of users who come back."""

    columns: ClassVar = (
        "project",
        "app",
        "segment",
        "cohort",
        "interval_number",
        "last_interval_number",
        "users",
        "returned_on",
        "returned_on_or_after",
        "returned_on_rate",
        "returned_on_or_after_rate",
        "is_complete",
    )

    type: Literal["retention"]
    start: AnyPart = Part.model_construct(event="_new", where=None)
    """The event that users start with. Default: _new, their first one."""
    return_: AnyPart = Field(Part.model_construct(event="_active", where=None), alias="return")
    """The event that they come back with, in whatever segment. Default: _active."""
    interval: Literal["day", "week", "month"] = "day"
    """What is counted."""
    windows: Literal["24_hours", "calendar"] = "24_hours"
    """Where a day begins: with the start event's hour, a week and a month with its day; or with the calendar's."""

    brackets: list[int | str] | None = Field(None, min_length=1, max_length=100)
    """Intervals that count as one: a number, as 0, or the first and the last, as 1-3. Default: each for itself."""

    @field_validator("brackets")
    @classmethod
    def _check_brackets(cls, brackets: list[int | str]) -> list[int | str]:
        last = -1
        for place, bracket in enumerate(brackets):
            if not re.fullmatch(r"\d{1,4}( *- *\d{1,4})?", f"{bracket}"):
                raise PlacedError(f"{bracket} is no bracket: write a number, as 0, or two, as 1-3.", place)
            first, end = bounds_of(bracket)
            if first > end:
                raise PlacedError(f"{bracket} ends before it begins.", place)
            if first <= last:
                raise PlacedError(f"{bracket} begins before the bracket before it is over.", place)
            last = end
        return brackets

    @property
    def bounds(self) -> list[tuple[int, int]]:
        """The first and the last interval of each bracket."""
        return [bounds_of(bracket) for bracket in self.brackets or ()]

    @property
    def parts(self) -> list[Part]:
        """All events that it names."""
        return [self.start, self.return_]

    @property
    def headline(self) -> str:
        """What it shows, for one without a title."""
        return f"users of {self.start.event} who come back with {self.return_.event}, by {self.interval}"


def bounds_of(bracket: int | str) -> tuple[int, int]:
    """Return the first and the last interval of a bracket: (1, 3) of 1-3, (0, 0) of 0."""
    numbers = [int(number) for number in f"{bracket}".split("-")]
    return numbers[0], numbers[-1]

"""Retention charts: how many of the users who started come back, so many days, weeks or months later.

Amplitude's pages: retention-analysis-time.md, retention-analysis-calculation.md.
"""

from typing import ClassVar, Literal

from pydantic import Field

from .chart import Chart
from .definitions import AnyPart, Part


class Retention(Chart):
    """A chart of users who come back."""

    columns: ClassVar = (
        "project",
        "app",
        "segment",
        "cohort",
        "interval_number",
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

    @property
    def parts(self) -> list[Part]:
        """All events that it names."""
        return [self.start, self.return_]

    @property
    def headline(self) -> str:
        """What it shows, for one without a title."""
        return f"users of {self.start.event} who come back with {self.return_.event}, by {self.interval}"

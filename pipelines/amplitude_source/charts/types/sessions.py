"""User sessions charts: how many sessions there are, how long they last, and what users do in them.

Amplitude's pages: user-sessions-track-engagement-frequency.md, user-sessions-interpret.md, session-length.md, and the
default buckets of dashboard-rest.md.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from ...yaml_files import PlacedError
from ..chart import Chart
from ..definitions import AnyPart, Part
from ..queries import LINE, Interval

SessionMeasure = Literal[
    "total_sessions",
    "average_per_user",
    "time_spent",
    "time_spent_per_user",
    "average_length",
    "median_length",
    "length_distribution",
    "total_events",
    "average_events",
    "event_distribution",
]
# Of lengths, in seconds: dashboard-rest.md, "timeHistogramConfigBin format".
BUCKETS: dict[str, list[int]] = {
    "length_distribution": [0, 3, 10, 30, 60, 180, 600, 1800, 3600],
    "event_distribution": [*range(1, 11)],
}
MOST_BUCKETS = 100
LONGEST_SECONDS = 24 * 60 * 60
"""How long the sessions last that count: user-sessions-track-engagement-frequency.md, last note."""


@dataclass(frozen=True)
class Metric:
    """A number of the sessions of an interval."""

    sql: str
    """Its aggregate over the rows (seconds, times), one a session."""
    comment: str
    is_zero_for_nothing: bool = True
    """Whether it is 0 in an interval without sessions; else it is NULL."""
    is_per_user: bool = False
    """Whether it is divided by the active users of the interval."""


METRICS: dict[SessionMeasure, Metric] = {
    "total_sessions": Metric("COUNT(*)", "Sessions"),
    "average_per_user": Metric("COUNT(*)", "Sessions for each active user", is_per_user=True),
    "time_spent": Metric("SUM(seconds)", "Seconds that all sessions last"),
    "time_spent_per_user": Metric("SUM(seconds)", "Seconds in sessions for each active user", is_per_user=True),
    "average_length": Metric("AVG(seconds)", "Seconds that a session lasts on average", is_zero_for_nothing=False),
    "median_length": Metric("MEDIAN(seconds)", "Seconds that half of the sessions exceed", is_zero_for_nothing=False),
    "length_distribution": Metric("COUNT(*)", "Sessions of such a length"),
    "total_events": Metric("SUM(times)", "Events within sessions"),
    "average_events": Metric("AVG(times::DOUBLE)", "Events for each session", is_zero_for_nothing=False),
    "event_distribution": Metric("COUNT(*)", "Sessions with so many events"),
}


class Sessions(Chart):
    """A chart of sessions, each dated by its start. A segment's session consists of the segment's events alone."""

    columns: ClassVar = (*LINE, "period", "bucket", "value", "is_complete")

    type: Literal["sessions"]
    measure: SessionMeasure = "total_sessions"
    """What is counted."""
    event: AnyPart | None = None
    """What total_events, average_events and event_distribution count within sessions."""
    contains: AnyPart | None = None
    """Count the sessions with such an event alone. Default: all."""
    min_seconds: float | None = Field(None, ge=0, le=LONGEST_SECONDS)
    """Count the sessions that last so long or longer alone. Default: all."""
    buckets: list[Annotated[int, Field(ge=0, le=LONGEST_SECONDS)]] | None = Field(
        None, min_length=1, max_length=MOST_BUCKETS
    )
    """Where a distribution's buckets begin: seconds, or numbers of events. Each ends where the next one begins."""
    interval: Interval = "day"
    """How long each point's time is."""

    @property
    def parts(self) -> list[Part]:
        """All events that it names."""
        return [part for part in (self.event, self.contains) if part]

    @property
    def headline(self) -> str:
        """What it shows, for one without a title."""
        of_event = f" of {self.event.event}" if self.event else ""
        return f"{self.measure}{of_event} by {self.interval}"

    @property
    def metric(self) -> Metric:
        """How the measure is computed."""
        return METRICS[self.measure]

    @property
    def starts(self) -> list[int]:
        """Where the buckets of a distribution begin; none for another measure."""
        return self.buckets or BUCKETS.get(self.measure, [])

    @field_validator("buckets")
    @classmethod
    def _check_buckets(cls, buckets: list[int]) -> list[int]:
        for number, (one, next_) in enumerate(pairwise(buckets), 1):
            if next_ <= one:
                raise PlacedError(f"{next_} does not come after {one}.", number)
        return buckets

    @model_validator(mode="after")
    def _check_keys(self) -> "Sessions":
        counts_events = "event" in self.measure
        if counts_events and not self.event:
            raise PlacedError(f"{self.measure} needs `event`, the event that counts.", "measure")
        if self.event and not counts_events:
            own = ", ".join(name for name in METRICS if "event" in name)
            raise PlacedError(f"{self.measure} counts no events; {own} do. `contains` chooses sessions.", "event")
        if self.buckets and self.measure not in BUCKETS:
            raise PlacedError(f"{self.measure} has no buckets; {' and '.join(BUCKETS)} have.", "buckets")
        return self

"""Funnel charts: how many users do one step after the other, how far they come, and how long they take.

Amplitude's pages: funnel-analysis-build.md, -interpret.md, -how-amplitude-computes.md,
-how-amplitude-computes-conversions.md, -how-amplitude-handles-simultaneous-events.md, -hold-properties-constant.md,
and the FAQ on funnel analysis.
"""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, cast

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from ...yaml_files import PlacedError
from ..chart import Chart
from ..definitions import Part, Words, as_part
from ..durations import Duration, seconds_of
from ..expressions import ValueName
from ..queries import LINE
from .exclusive import may_share_an_event

# Amplitude's sizes of buckets, by the same page, which has no rule for the choice; and days, for the longest windows.
BUCKETS = ("1 second", "10 seconds", "1 minute", "10 minutes", "1 hour", "1 day")
MOST_BUCKETS = 1000


class Step(Part):
    """An event that does a step."""

    name: str | None = Field(None, min_length=1)
    """What its rows have as `event`. Default: the event."""


class Exclusion(Part):
    """An event that users must not do between steps."""

    between: list[int] | None = Field(None, min_length=2, max_length=2)
    """The numbers of two steps, as [2, 3]. Default: the first and the last."""


class Funnel(Chart):
    """A chart of users who do one step after the other."""

    columns: ClassVar = (
        *LINE,
        "period",
        "step",
        "event",
        "users",
        "conversion_from_start",
        "conversion_from_previous",
        "median_seconds",
        "average_seconds",
        "median_seconds_from_start",
        "average_seconds_from_start",
        "from_step",
        "to_step",
        "bucket_seconds",
        "share",
        "is_complete",
    )

    type: Literal["funnel"]
    steps: list[Annotated[Step, BeforeValidator(as_part)]] = Field(min_length=2, max_length=20)
    """The events, in their order. A user enters with the first."""
    order: Literal["this", "any", "exact"] = "this"
    """Whether other events may lie between the steps (`this`), none may (`exact`), or the order is free (`any`)."""
    within: Duration = "1 day"
    """The conversion window: how long the way from the first event to the last may take."""
    exclude: list[Annotated[Exclusion, BeforeValidator(as_part)]] = Field(default_factory=list)
    """Events that end a way through the funnel."""
    hold_constant: list[ValueName] = Field(default_factory=list)
    """Columns of which all steps must have one value. Each user counts once for each value."""
    show: Literal["conversion", "conversion_over_time", "time_to_convert"] = "conversion"
    """What the rows are: steps; steps by the time at which users entered; or users by how long they took."""
    interval: Literal["day", "week", "month", "quarter"] = "day"
    """The intervals of conversion over time."""
    bucket: Duration | None = None
    """How long each bucket of the time to convert is. Default: the shortest of Amplitude's with which there are few."""

    @field_validator("hold_constant")
    @classmethod
    def _check_held(cls, held: list[str]) -> list[str]:
        for number, name in enumerate(held):
            if name in held[:number]:
                raise PlacedError(f"{name} stands there twice.", number)
        return held

    @model_validator(mode="after")
    def _check_show(self) -> "Funnel":
        for key, show in (("interval", "conversion_over_time"), ("bucket", "time_to_convert")):
            if key in self.model_fields_set and getattr(self, key) and self.show != show:
                raise PlacedError(f"{key} means nothing without `show: {show}`.", key)
        if seconds_of(self.within) // self.bucket_seconds >= MOST_BUCKETS:
            raise PlacedError(f"{self.within} would be more than {MOST_BUCKETS:,} buckets of {self.bucket}.", "bucket")
        return self

    @model_validator(mode="after")
    def _check_exclusions(self) -> "Funnel":
        for number, exclusion in enumerate(self.exclude):
            between = exclusion.between
            if between is None:
                continue
            if self.order == "any":
                raise PlacedError("steps in any order have no place between two of them.", "exclude", number, "between")
            if not 1 <= between[0] < between[1] <= len(self.steps):
                raise PlacedError(
                    f"there is nothing between steps {between[0]} and {between[1]}; the steps are 1 to "
                    f"{len(self.steps)}.",
                    "exclude",
                    number,
                    "between",
                )
        return self

    @model_validator(mode="after")
    def _check_any_order(self, info: ValidationInfo) -> "Funnel":
        if self.order == "any":
            for earlier, later in self.pairs():
                if may_share_an_event(self.steps[earlier - 1], self.steps[later - 1], cast(Words, info.context)):
                    raise PlacedError(
                        f"one event may do steps {earlier} and {later}, and in any order it would do both at once.",
                        "steps",
                        later - 1,
                    )
        return self

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Yield the numbers of each two steps, the earlier one first."""
        return ((one, other) for other in range(2, len(self.steps) + 1) for one in range(1, other))

    @property
    def parts(self) -> list[Part]:
        """All events that it names."""
        return [*self.steps, *self.exclude]

    @property
    def headline(self) -> str:
        """What it shows, for one without a title."""
        names = " > ".join(step.name or step.event for step in self.steps)
        return f"{self.show.replace('_', ' ')} of {names}, within {self.within}"

    @property
    def bucket_seconds(self) -> int:
        """How long each bucket is."""
        fitting = (size for size in BUCKETS if seconds_of(self.within) // seconds_of(size) < MOST_BUCKETS)
        return seconds_of(self.bucket or next(fitting))

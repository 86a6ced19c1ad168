"""Event segmentation charts: how often events were done, by how many, and what their properties add up to.

Amplitude's pages: event-segmentation-build.md, -choose-measurement.md, -custom-formulas.md, -interpret-2.md.
"""

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from ...yaml_files import PlacedError
from ..chart import Chart
from ..definitions import Part, as_part
from ..expressions import NumberName
from ..queries import Interval
from .formulas import NO_AMOUNT, Formula, read_formula

Measure = Literal[
    "uniques",
    "totals",
    "active",
    "average",
    "frequency",
    "sessions",
    "property_sum",
    "property_average",
    "property_median",
    "property_min",
    "property_max",
    "property_distinct",
    "property_distinct_per_user",
]
# Each measure as a formula of one event, but frequency, which has rows of its own.
FORMULAS: dict[str, str] = {
    "uniques": "UNIQUES({0})",
    "totals": "TOTALS({0})",
    "active": "ACTIVE({0})",
    "average": "AVG({0})",
    "frequency": "UNIQUES({0})",
    "sessions": "SESSIONTOTALS({0})",
    "property_sum": "PROPSUM({0})",
    "property_average": "PROPAVG({0})",
    "property_median": "PERCENTILE({0}, 0.5)",
    "property_min": "PROPMIN({0})",
    "property_max": "PROPMAX({0})",
    "property_distinct": "PROPCOUNT({0})",
    "property_distinct_per_user": "PROPCOUNTAVG({0})",
}
# Amplitude's largest windows: event-segmentation-interpret-2.md. It has none of quarters.
LARGEST_WINDOW: dict[Interval, int] = {"hour": 72, "day": 90, "week": 12, "month": 12, "quarter": 12}
MOST_EVENTS = len(ascii_uppercase)


class Series(Part):
    """An event of the chart."""

    name: str | None = Field(None, min_length=1)
    """What its rows have as its name. Default: the event."""


def named(events: Sequence[Series]) -> list[tuple[str, Series]]:
    """Return events with the names that their rows have."""
    return [(each.name or each.event, each) for each in events]


def check_names(events: Sequence[Series]) -> None:
    """Refuse two events of one name.

    Raises:
        PlacedError: at the second one.
    """
    names = [name for name, _ in named(events)]
    if twice := next((number for number, name in enumerate(names) if name in names[:number]), None):
        raise PlacedError(f"two events are called {names[twice]}; give one a name.", "events", twice)


AnySeries = Annotated[Series, BeforeValidator(as_part)]


class Segmentation(Chart):
    """A chart of events over time."""

    takes_lists: ClassVar = True
    columns: ClassVar = ("project", "app", "series", "segment", "times", "period", "value", "is_complete")

    type: Literal["segmentation"]
    events: list[AnySeries] = Field(min_length=1, max_length=MOST_EVENTS)
    """Event types, each with a filter if need be. A formula calls them A, B, C."""
    measure: Measure = "uniques"
    """What is counted of each event."""
    formula: str | None = Field(None, min_length=1)
    """What is counted instead, of several events: UNIQUES(A) / UNIQUES(B)."""
    of: NumberName | None = None
    """The column whose values a property measure, or PROP... and PERCENTILE in a formula, count."""
    interval: Interval = "day"
    """How long each point's time is."""
    top: int | None = Field(None, ge=1)
    """So many values, those with the most events, get rows of their own, and the rest is "(other)". Default: all."""
    rolling_window: int | None = Field(None, ge=2)
    """Each point is for so many intervals, the last of which is its own."""
    rolling_average: int | None = Field(None, ge=2)
    """Each point is the mean of so many points, the last of which is its own."""
    cumulative: bool = False
    """Each point is for all intervals from the chart's first on."""
    amplitude_chart: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]+$")
    """The id of a chart that is saved in Amplitude, the last part of its address. `gold.reconciliation_daily` lays the
    numbers of both beside each other. Both have one series, by day."""

    @model_validator(mode="after")
    def _check_measure(self) -> "Segmentation":
        if self.formula and "measure" in self.model_fields_set:
            raise PlacedError("a chart has a measure or a formula, not both.", "formula")
        modes = [name for name in ("rolling_window", "rolling_average", "cumulative") if getattr(self, name)]
        if len(modes) > 1:
            raise PlacedError(f"a chart has one of {' and '.join(modes)}.", modes[1])
        for name in ("rolling_window", "rolling_average"):
            if (getattr(self, name) or 0) > LARGEST_WINDOW[self.interval]:
                raise PlacedError(f"{LARGEST_WINDOW[self.interval]} {self.interval}s are the most.", name)
        check_names(self.events)
        self._check_terms()
        if self.amplitude_chart and (len(self.lines), len(self.segments), self.by, self.interval) != (1, 1, [], "day"):
            raise PlacedError("a chart that is compared has one series, by day.", "amplitude_chart")
        if self.measure == "frequency" and (self.cumulative or self.rolling_average):
            raise PlacedError("the frequency of users has no running total or average.", "measure")
        return self

    def _check_terms(self) -> None:
        place = "formula" if self.formula else "measure"
        try:
            terms = [term for _, formula in self.lines for term in formula.terms]
        except PlacedError as error:
            raise PlacedError(str(error), place) from error
        for term in terms:
            if term.definition.needs_amount and not self.of:
                raise PlacedError(f"{term.metric} {NO_AMOUNT}", place)
            if self.cumulative and not (term.definition.is_additive or term.metric == "UNIQUES"):
                raise PlacedError(
                    f"{term.metric} has no running total; TOTALS, UNIQUES and PROPSUM have.", "cumulative"
                )
        if self.of and not any(term.definition.needs_amount for term in terms):
            raise PlacedError("no measure of the chart counts a property's values.", "of")

    @property
    def parts(self) -> list[Part]:
        """All events that it names."""
        return [*self.events]

    @property
    def headline(self) -> str:
        """What it shows, for one without a title."""
        return f"{self.formula or self.measure} by {self.interval}"

    @property
    def named(self) -> list[tuple[str, Series]]:
        """The events with the names that their rows have."""
        return named(self.events)

    @property
    def letters(self) -> str:
        """The letters by which formulas call the events."""
        return ascii_uppercase[: len(self.events)]

    @property
    def lines(self) -> list[tuple[str, Formula]]:
        """What the chart has rows of: a formula, or each event by the measure."""
        if self.formula:
            return [(self.title or self.formula, read_formula(self.formula, self.letters))]
        measure = FORMULAS[self.measure]
        return [
            (name, read_formula(measure.format(letter), self.letters))
            for letter, (name, _) in zip(self.letters, self.named, strict=True)
        ]

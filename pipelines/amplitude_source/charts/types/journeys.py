"""Journeys charts: the paths that users take from an event or to one.

Amplitude's pages: journeys-understand-paths.md, journeys-understand-visualizations.md.
"""

from typing import Annotated, ClassVar, Literal, cast

from pydantic import AfterValidator, Field, model_validator

from ...yaml_files import PlacedError
from ..chart import Chart
from ..definitions import AnyPart, Part
from ..durations import DURATION, checked, seconds_of
from ..queries import LINE

SESSION = "session"
DROPPED, NOTHING_BEFORE = "(dropped off)", "(did not perform an event)"
"""What stands where a path ends early: after its last event, and before its first one."""


def _window(text: str) -> str:
    if text != SESSION and not DURATION.fullmatch(text):
        raise PlacedError(f"{text!r} is no window; write `session`, or a length of time, such as 1 day or 90 seconds.")
    return text if text == SESSION else checked(text)


class Journeys(Chart):
    """A chart of the paths of users. A segment's paths consist of the segment's events alone."""

    columns: ClassVar = (*LINE, "step", "path", "from_event", "to_event", "paths", "share", "is_complete")

    type: Literal["journeys"]
    from_: AnyPart | None = Field(None, alias="from")
    """The event with which paths begin. A chart has this or `to`."""
    to: AnyPart | None = None
    """The event with which paths end."""
    steps: int = Field(5, ge=2, le=10)
    """How many events of a path are shown, `from` or `to` among them."""
    within: Annotated[str, AfterValidator(_window)] = SESSION
    """How long a path may take: `session`, the default, for as long as the session lasts; or, for example, `1 day`."""
    measure: Literal["uniques", "totals"] = "uniques"
    """What is counted: users, each with their first path (`uniques`), or all paths (`totals`)."""
    events: list[AnyPart] | None = Field(None, min_length=1)
    """The events that paths consist of, with `from` or `to`. Default: those of active types."""
    exclude: list[AnyPart] = Field(default_factory=list)
    """Events that paths leave out."""
    collapse_repeats: bool = False
    """Whether an event that is repeated at once counts once."""
    top: int = Field(5, ge=1)
    """So many events of each step, those with the most paths, have rows of their own, and the rest is "(other)"."""

    @property
    def anchor(self) -> Part:
        """The event with which paths begin or end."""
        return cast(Part, self.from_ or self.to)  # one of which there is, by _check_anchor

    @property
    def window_seconds(self) -> int | None:
        """How long a path may take; None for as long as its session lasts."""
        return None if self.within == SESSION else seconds_of(self.within)

    @property
    def parts(self) -> list[Part]:
        """All events that it names."""
        return [self.anchor, *(self.events or ()), *self.exclude]

    @property
    def headline(self) -> str:
        """What it shows, for one without a title."""
        return f"{self.measure} of paths {'from' if self.from_ else 'to'} {self.anchor.event}"

    @model_validator(mode="after")
    def _check_anchor(self) -> "Journeys":
        if not self.from_ and not self.to:
            raise PlacedError(
                "a chart of journeys has `from` or `to`, the event with which paths begin or end.", "type"
            )
        if self.from_ and self.to:
            raise PlacedError("a chart of journeys has `from` or `to`, not both.", "to")
        needed = {"_all", self.anchor.event, *(each.event for each in self.events or [Part(event="_active")])}
        for number, part in enumerate(self.exclude):
            if part.where is None and part.event in needed:
                raise PlacedError(
                    f"{part.event} is what the paths consist of; exclude other events.", "exclude", number
                )
        return self

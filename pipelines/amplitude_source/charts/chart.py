"""The keys that all types of charts have."""

from collections.abc import Sequence
from datetime import date
from typing import ClassVar

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ..yaml_files import PlacedError, Strict
from .definitions import ALL, AnyPart, Part, SegmentName
from .expressions import ColumnName, ValueName
from .queries import output_name
from .vocabulary import vocabulary_of


class Chart(Strict):
    """A chart of any type."""

    columns: ClassVar[Sequence[str]]
    """The columns of its rows besides those of `by`."""
    takes_lists: ClassVar[bool] = False
    """Whether an event with several values of a list counts for each of them."""

    title: str | None = Field(None, min_length=1)
    """What the chart shows, as a comment in the warehouse."""
    by: list[ColumnName] = Field(default_factory=list)
    """Columns whose values get rows of their own."""
    segments: list[SegmentName] = Field(default=[ALL], min_length=1)
    """Segments of sqlmesh/definitions.yaml that get rows of their own."""
    count_by: ValueName = "canonical_amplitude_id"
    """Whom to count: users, or a column's values, such as a group. Events without one count for nobody."""
    since: date | None = None
    """The first interval is the one that holds this day. Default: the first that was exported."""
    until: date | None = None
    """The last interval is the one that holds this day. Default: the newest."""

    @property
    def parts(self) -> list[Part]:
        """All events that it names."""
        raise NotImplementedError

    @property
    def headline(self) -> str:
        """What it shows, for one without a title."""
        raise NotImplementedError

    @field_validator("by")
    @classmethod
    def _check_by(cls, by: list[str], info: ValidationInfo) -> list[str]:
        for number, name in enumerate(by):
            if output_name(name) in cls.columns:
                raise PlacedError(
                    f"{name} is the name of another column of the chart; give the property another.", number
                )
            if vocabulary_of(info).type_of(name) == "list" and not cls.takes_lists:
                raise PlacedError(f"{name} is a list, by which charts of this type do not break down.", number)
            if vocabulary_of(info).type_of(name) == "timestamp":
                raise PlacedError(f"{name} is a time, and has too many values to break down by.", number)
            if output_name(name) in map(output_name, by[:number]):
                raise PlacedError(f"{name} stands there twice.", number)
        return by

    @model_validator(mode="after")
    def _check_days(self) -> "Chart":
        if self.since and self.until and self.since > self.until:
            raise PlacedError("until lies before since.", "until")
        return self


class OneEventChart(Chart):
    """A chart of users who did one event."""

    event: AnyPart = Part.model_construct(event="_active", where=None)
    """What users do. Default: _active."""

    @property
    def parts(self) -> list[Part]:
        """All events that it names."""
        return [self.event]

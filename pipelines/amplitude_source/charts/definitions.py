"""Events, columns and segments of one's own, which every chart can use: `sqlmesh/definitions.yaml`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from ..yaml_files import PlacedError, Strict, read
from .expressions import Condition, kind_of
from .properties import check_name
from .vocabulary import Vocabulary, read_vocabulary, vocabulary_of

FILE = Path("sqlmesh/definitions.yaml")
SPECIAL_EVENTS = ("_new", "_active", "_all")
"""Events of new users, those of active types, those of all types: as Amplitude names them."""
VIEW = "_view"
VIEW_TYPES = ("[Amplitude] Page Viewed", "[Amplitude] Screen Viewed")
"""The event of whoever looks at a page or a screen, and its types: those of Amplitude's SDKs."""
ALL = "(all)"


@dataclass(frozen=True)
class Words:
    """What the files of charts may name: the context in which pydantic reads them."""

    vocabulary: Vocabulary
    events: Mapping[str, "list[Part]"] = field(default_factory=dict)
    segments: Mapping[str, "Segment"] = field(default_factory=dict)


class Part(Strict):
    """Events of a type, all or those that a condition takes."""

    event: str = Field(min_length=1)
    """An event type, an event of one's own, or _new, _active, _all, _view."""
    where: Condition | None = None
    """Which of them count, as SQL over columns."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "minLength": 1}, handler(core)]}

    @field_validator("event")
    @classmethod
    def _check_special(cls, event: str) -> str:
        near = get_close_matches(event, SPECIAL_EVENTS, n=1, cutoff=0.7) if event.startswith("_") else []
        if near and event not in SPECIAL_EVENTS:
            raise PlacedError(f"{event} is none of {', '.join(SPECIAL_EVENTS)}; did you mean {near[0]}?")
        return event


def as_part(value: Any) -> Any:
    """Let a text stand for all events of a type."""
    return {"event": value} if isinstance(value, str) else value


AnyPart = Annotated[Part, BeforeValidator(as_part)]


class Derived(Strict):
    """A column of one's own."""

    sql: str = Field(min_length=1)
    """Its value, as SQL over the columns of an event."""
    type: Literal["text", "number", "boolean"]


class Did(Strict):
    """What a user has done to be in a segment."""

    event: str = Field(min_length=1)
    """An event type, an event of one's own, or _active, _all, _view."""
    where: Condition | None = None
    """Which of them count."""
    at_least: int = Field(1, ge=1)
    """How many times."""
    within_days: int | None = Field(None, ge=1)
    """In so many days up to the newest day. Default: ever."""


class Segment(Strict):
    """Events that a condition takes, or those of users who did something; or what other segments are together."""

    where: Condition | None = None
    """Events for which it holds. `now.` before a user's column: users for whom it holds now."""
    did: Did | None = None
    """All events of users who did this."""
    cohort: str | None = Field(None, min_length=1)
    """All events of the users who are in this cohort of Amplitude today: its id or its name."""
    all_of: list[str] | None = Field(None, alias="all", min_length=1)
    """Events that are in each of these segments."""
    any_of: list[str] | None = Field(None, alias="any", min_length=1)
    """Events that are in one of these segments."""
    none_of: list[str] | None = Field(None, alias="none", min_length=1)
    """Events that are in none of these segments."""

    @model_validator(mode="after")
    def _check_one(self) -> "Segment":
        if len(self.model_fields_set) != 1:
            raise ValueError("a segment has one of where, did, cohort, all, any and none.")
        return self

    @property
    def others(self) -> list[str]:
        """The segments that it names."""
        return [*(self.all_of or ()), *(self.any_of or ()), *(self.none_of or ())]


class Definitions(Strict):
    """What is in sqlmesh/definitions.yaml."""

    columns: dict[str, Derived] = Field(default_factory=dict)
    """Columns that are computed from others. One may name those before it."""
    events: dict[str, Annotated[list[AnyPart], Field(min_length=1)]] = Field(default_factory=dict)
    """Events of one's own: each is any of the parts."""
    segments: dict[str, Segment] = Field(default_factory=dict)
    """Segments of events or of users."""

    @field_validator("columns")
    @classmethod
    def _check_columns(cls, columns: dict[str, Derived], info: ValidationInfo) -> dict[str, Derived]:
        vocabulary = vocabulary_of(info)
        for name, derived in columns.items():
            check_name(name)
            if name in vocabulary.events:
                raise PlacedError(f"{name} is a column of events already; choose another name.", name)
            try:
                kind = kind_of(derived.sql, vocabulary)
            except PlacedError as error:
                raise PlacedError(str(error), name, "sql") from error
            if kind not in (derived.type, None):
                raise PlacedError(f"{name} is a {kind}, and not a {derived.type}.", name, "type")
            vocabulary.derived[name] = (derived.sql, derived.type)
        return columns

    @field_validator("events")
    @classmethod
    def _check_events(cls, events: dict[str, list[Part]]) -> dict[str, list[Part]]:
        for name, parts in events.items():
            if name in (*SPECIAL_EVENTS, VIEW):
                raise PlacedError(f"{name} means something already; choose another name.", name)
            for number, part in enumerate(parts):
                if part.event in (*events, VIEW):
                    raise PlacedError(
                        f"{part.event} is of several types; name those that it has.", name, number, "event"
                    )
        return events

    @field_validator("segments")
    @classmethod
    def _check_segments(cls, segments: dict[str, Segment]) -> dict[str, Segment]:
        for name, segment in segments.items():
            if name == ALL:
                raise PlacedError(f"{ALL} is the segment of all events; choose another name.", name)
            for other in segment.others:
                check_segment(other, segments, name)
        graph = {name: segment.others for name, segment in segments.items()}
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            circle = error.args[1]
            raise PlacedError(f"segments name each other in a circle: {', '.join(circle)}.", circle[0]) from error
        return segments


def check_segment(name: str, segments: Mapping[str, Segment], *place: str) -> None:
    """Refuse the name of a segment that there is not.

    Raises:
        PlacedError: with the nearest name.
    """
    if name in segments:
        return
    near = get_close_matches(name, segments, n=1)
    hint = f"did you mean {near[0]}?" if near else f"{FILE} has {', '.join(segments) or 'none'}."
    raise PlacedError(f"there is no segment {name}; {hint}", *place)


def _segment_name(name: str, info: ValidationInfo) -> str:
    if name != ALL:
        check_segment(name, cast(Words, info.context).segments)
    return name


SegmentName = Annotated[str, AfterValidator(_segment_name)]
"""A segment of sqlmesh/definitions.yaml, or (all)."""


def read_words(root: Path) -> Words:
    """Read what charts may name: columns, events and segments.

    Args:
        root: the repository's folder.

    Raises:
        AmplitudeError: what is wrong in sqlmesh/properties.yaml or sqlmesh/definitions.yaml, with the line.
    """
    words = Words(read_vocabulary(root))
    path = root / FILE
    found = read(path, root, Definitions, words) if path.is_file() else Definitions()
    views = [Part.model_construct(event=name, where=None) for name in VIEW_TYPES]
    return Words(words.vocabulary, {VIEW: views, **found.events}, found.segments)


def parts_of(part: Part, words: Words) -> Iterator[Part]:
    """Yield the event types, with their conditions, that a part stands for: several for an event of one's own."""
    yield from words.events.get(part.event, [Part.model_construct(event=part.event, where=None)])

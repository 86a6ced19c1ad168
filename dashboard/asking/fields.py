"""The fields of the explorer, derived from the models of the types of charts: a new key there is a field here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from amplitude_source.charts.book import TYPES
from amplitude_source.charts.chart import Chart
from amplitude_source.charts.definitions import Part, SegmentName
from amplitude_source.charts.expressions import ColumnName, Condition, NumberName, ValueName

ALIASES: dict[object, str] = {
    ColumnName: "column",
    ValueName: "column",
    NumberName: "number column",
    SegmentName: "segment",
    Condition: "condition",
}
"""What a text is, where the models say more of it."""
PLAIN: dict[object, str] = {bool: "switch", int: "integer", float: "number", str: "text", date: "day"}
LISTS = {"column": "columns", "segment": "segments", "part": "parts", "integer": "integers"}


@dataclass(frozen=True)
class Field:
    """A field of the form."""

    key: str
    """As a chart's file has it."""
    kind: str
    """Which widget it gets."""
    help: str
    default: Any
    """As a chart's file would have it; None where there is none."""
    options: Sequence[str] = ()
    """Of a choice."""
    part: type[Part] = Part
    """Of events: the model of one."""
    is_shared: bool = False
    """Whether charts of all types have it."""

    @property
    def label(self) -> str:
        """What stands above it."""
        return self.key.replace("_", " ").capitalize()

    @property
    def is_rare(self) -> bool:
        """Whether it is folded away: a plain value that most charts do without."""
        return self.kind in ("switch", "integer", "number", "text", "day", "integers") and not self.default


@cache
def fields_of(type_: str) -> tuple[Field, ...]:
    """Return the fields of a type of charts, those of its own first."""
    fields = of_model(TYPES[type_])
    return tuple(sorted((each for each in fields if each.key != "type"), key=lambda each: each.is_shared))


@cache
def of_model(model: type[BaseModel]) -> tuple[Field, ...]:
    """Return the fields of a model."""
    hints = get_type_hints(model, include_extras=True)
    return tuple(_field(name, info, hints[name]) for name, info in model.model_fields.items())


def _field(name: str, info: FieldInfo, hint: Any) -> Field:
    kind, inner = kind_of(hint)
    return Field(
        key=info.alias or name,
        kind=kind,
        help=info.description or "",
        default=_plain(None if info.is_required() else info.get_default(call_default_factory=True)),
        options=get_args(inner) if kind == "choice" else (),
        part=inner if kind in ("part", "parts") else Part,
        is_shared=name in Chart.model_fields,
    )


def kind_of(hint: Any) -> tuple[str, Any]:
    """Return which widget a value of a type gets, and the innermost type.

    Raises:
        TypeError: there is none.
    """
    if hint in ALIASES:
        return ALIASES[hint], hint
    if hint in PLAIN:
        return PLAIN[hint], hint
    origin, inner = get_origin(hint), [each for each in get_args(hint) if each is not NoneType]
    if origin is Literal:
        return "choice", hint
    if origin is Annotated or origin in (Union, UnionType):
        return kind_of(inner[0])
    if origin is list:
        kind, innermost = kind_of(inner[0])
        return LISTS[kind], innermost
    if isinstance(hint, type) and issubclass(hint, Part):
        return "part", hint
    raise TypeError(f"the explorer has no widget for {hint}")


def _plain(default: Any) -> Any:
    """Return a default as a file would have it."""
    if isinstance(default, Part):
        return default.event
    return default if isinstance(default, str | int | float | bool | list | NoneType) else None

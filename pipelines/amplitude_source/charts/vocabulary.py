"""The words of conditions: the columns of events and users that charts may name, and their types."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, get_args

from pydantic import ValidationInfo

from ..yaml_files import PlacedError
from .properties import Source, Type, check_columns, read_properties

ColumnType = Type | Literal["date"]
SQL_TYPES: Mapping[ColumnType, str] = {
    "text": "VARCHAR",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMPNTZ",
    "date": "DATE",
    "list": "VARCHAR",
}

USERS = "now"
"""What stands before a column of gold.users, which has a user's properties as of now: now.plan."""

# The columns of gold.events and gold.users that a condition may name; tests compare them with the models.
EVENT_COLUMNS: Mapping[str, ColumnType] = {
    "event_time": "timestamp",
    "event_date": "date",
    "event_hour": "timestamp",
    "client_event_time": "timestamp",
    "event_type": "text",
    "is_active": "boolean",
    "canonical_amplitude_id": "number",
    "user_id": "text",
    "user_first_seen_at": "timestamp",
    "amplitude_id": "number",
    "device_id": "text",
    "device_family": "text",
    "device_type": "text",
    "session_id": "number",
    "is_in_session": "boolean",
    "session_started_at": "timestamp",
    "session_seconds": "number",
    "session_number": "number",
    "entry_page": "text",
    "source": "text",
    "medium": "text",
    "campaign": "text",
    "platform": "text",
    "os_name": "text",
    "os_version": "text",
    "version_name": "text",
    "language": "text",
    "country": "text",
    "region": "text",
    "city": "text",
    "library": "text",
    "export_hour": "timestamp",
    "revenue": "number",
    "channel_group": "text",
    "page": "text",
}
USER_COLUMNS: Mapping[str, ColumnType] = {
    "canonical_amplitude_id": "number",
    "user_id": "text",
    "is_identified": "boolean",
    "amplitude_ids": "number",
    "first_seen_at": "timestamp",
    "last_seen_at": "timestamp",
    "events": "number",
    "latest_platform": "text",
    "latest_country": "text",
}


@dataclass(frozen=True)
class Vocabulary:
    """What a condition may name."""

    events: Mapping[str, ColumnType]
    """Columns of an event, and its lists, whose values gold.event_values has."""
    users: Mapping[str, ColumnType]
    """Columns of its user as of now, which a condition names with `now.` before them."""
    derived: dict[str, tuple[str, ColumnType]] = field(default_factory=dict)
    """Columns of one's own, by sqlmesh/definitions.yaml: their SQL and their type."""

    def type_of(self, name: str) -> ColumnType:
        """Return the type of a column.

        Args:
            name: of a column of events, as `country`, or of the user as of now, as `now.plan`.

        Raises:
            PlacedError: there is no such column; with the nearest one.
        """
        kind = self._types().get(name)
        if kind is None:
            near = get_close_matches(name, self._types(), n=1)
            hint = f"; did you mean {near[0]}?" if near else "; a property gets one in sqlmesh/properties.yaml."
            raise PlacedError(f"there is no column {name}{hint}")
        return kind

    def _types(self) -> dict[str, ColumnType]:
        derived = {name: kind for name, (_, kind) in self.derived.items()}
        return {**self.events, **derived, **{f"{USERS}.{name}": kind for name, kind in self.users.items()}}


def vocabulary_of(info: ValidationInfo) -> Vocabulary:
    """Return the vocabulary by which pydantic checks a file: its context has it."""
    vocabulary = getattr(info.context, "vocabulary", None)
    if not isinstance(vocabulary, Vocabulary):
        raise TypeError("a chart is read with its words as the context")
    return vocabulary


def read_vocabulary(root: Path) -> Vocabulary:
    """Read which columns conditions may name, those of declared properties among them.

    Args:
        root: the repository's folder.

    Raises:
        AmplitudeError: what is wrong in sqlmesh/properties.yaml, with the line.
    """
    check_columns(root, "gold.events", EVENT_COLUMNS)
    declared = read_properties(root).root
    of: dict[Source, dict[str, ColumnType]] = {source: {} for source in get_args(Source)}
    for name, each in declared.items():
        of[each.source][name] = each.type
    of_users = {name: kind for name, kind in of["user"].items() if kind != "list"}
    return Vocabulary({**EVENT_COLUMNS, **of["event"], **of["user"], **of["group"]}, {**USER_COLUMNS, **of_users})

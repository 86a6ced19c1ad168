"""The properties that are columns of gold: `sqlmesh/properties.yaml`, checked before SQLMesh builds anything."""

import re
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Literal

import duckdb
from pydantic import Field, RootModel, model_validator
from ruamel.yaml import YAML

from ..errors import AmplitudeError
from ..text_files import read_text
from ..yaml_files import PlacedError, Strict, line_of, read

FILE = Path("sqlmesh/properties.yaml")
COLUMN = re.compile(r"[a-z_][a-z0-9_]{0,62}")
# The words that are no names of columns in Snowflake (its documentation, "Reserved & limited keywords").
SNOWFLAKE_WORDS = (
    "ALL ALTER AND ANY AS BETWEEN BY CASE CAST CHECK COLUMN CONNECT CONSTRAINT CREATE CROSS CURRENT CURRENT_DATE "
    "CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER DELETE DISTINCT DROP ELSE EXISTS FALSE FOLLOWING FOR FROM FULL "
    "GRANT GROUP HAVING ILIKE IN INCREMENT INNER INSERT INTERSECT INTO IS JOIN LATERAL LEFT LIKE LOCALTIME "
    "LOCALTIMESTAMP MINUS NATURAL NOT NULL OF ON OR ORDER QUALIFY REGEXP REVOKE RIGHT RLIKE ROW ROWS SAMPLE "
    "SELECT SET SOME START TABLE TABLESAMPLE THEN TO TRIGGER TRUE TRY_CAST UNION UNIQUE UPDATE USING VALUES WHEN "
    "WHENEVER WHERE WITH"
)

Source = Literal["event", "user", "group"]
Type = Literal["text", "number", "boolean", "timestamp", "list"]
# What a description that a user does not give says of a value.
KINDS: dict[Type, str] = {
    "text": "as text",
    "number": "NULL where it is no number",
    "boolean": "NULL where it is neither true nor false",
    "timestamp": "NULL where it is no time of ISO 8601; one without a zone counts as UTC",
    "list": "a row for each value in gold.event_values",
}


class Property(Strict):
    """A property that becomes a column."""

    source: Source = Field(alias="from")
    """Whose property it is: the event's, the user's as of the event, or that of the user's group."""
    property: str | None = Field(None, min_length=1)
    """Its name in Amplitude. Default: the column's; of a group, no property but the group itself."""
    type: Type = "text"
    group_type: str | None = Field(None, min_length=1)
    """Type of the group, as Amplitude names it."""
    description: str | None = Field(None, min_length=1)
    """The column's comment in the warehouse."""

    @model_validator(mode="after")
    def _check_group_type(self) -> "Property":
        if self.source == "group" and not self.group_type:
            raise ValueError("a property of a group needs its group_type, such as company.")
        if self.source != "group" and self.group_type:
            raise ValueError(f"group_type is for groups; a property of the {self.source} has none.")
        if self.source == "group" and self.type == "list":
            raise ValueError("a list is a property of the event or of the user, and none of a group.")
        return self


class Properties(RootModel[dict[str, Property]]):
    """The columns by their names."""

    @model_validator(mode="after")
    def _check_names(self) -> "Properties":
        columns: dict[tuple[str, str, str], str] = {}
        for declared in self.variable():
            name = declared["column"]
            check_name(name)
            other = columns.setdefault((declared["source"], declared["group_type"], declared["property"]), name)
            if other != name:
                raise PlacedError(f"{name} is the property that {other} is already.", name)
        return self

    def variable(self) -> list[dict[str, str]]:
        """Return the columns as macros/properties.py takes them."""
        return [
            {
                "column": name,
                "source": each.source,
                "group_type": each.group_type or "",
                "property": each.property or ("" if each.source == "group" else name),
                "type": each.type,
                "description": each.description or description(name, each),
            }
            for name, each in self.root.items()
        ]


def read_properties(root: Path) -> Properties:
    """Read which properties are columns.

    Args:
        root: the repository's folder. Without the file, none is.

    Raises:
        AmplitudeError: what is wrong in the file, with the line.
    """
    return read(root / FILE, root, Properties) if (root / FILE).is_file() else Properties({})


def check_columns(root: Path, model: str, columns: Collection[str]) -> None:
    """Refuse a declared column whose name a model of gold has already.

    Args:
        root: the repository's folder.
        model: name of the model that gets the declared columns.
        columns: the names of its own.

    Raises:
        AmplitudeError: with the line.
    """
    for name in read_properties(root).root:
        if name in columns:
            line = line_of(YAML().load(read_text(root / FILE)), [name])
            raise AmplitudeError(
                f"{FILE}, line {line}: {model} has a column {name} already; choose another name for the property's."
            )


def check_name(name: str) -> None:
    """Refuse a name that a query could not use without quotes.

    Raises:
        PlacedError: at the name.
    """
    if not COLUMN.fullmatch(name):
        raise PlacedError(f"{name!r} is no name for a column: write small letters, digits and _, a letter first.", name)
    if name.upper() in SNOWFLAKE_WORDS.split() or name in duckdb_words():
        raise PlacedError(f"{name!r} is a word of SQL: choose another name for the column.", name)


@cache
def duckdb_words() -> frozenset[str]:
    """Return the words that are no names in DuckDB."""
    with duckdb.connect() as connection:
        rows = connection.execute("SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'")
        return frozenset(word for (word,) in rows.fetchall())


def description(name: str, property_: Property) -> str:
    """Return a column's comment where the file has none."""
    if property_.source == "group" and not property_.property:
        return f"The user's first group of type {property_.group_type}"
    return f"The {property_.source}'s property {property_.property or name}, {KINDS[property_.type]}"

"""What each table is, as the reference of the documents has it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from board.errors import MissingError

FOLDER = Path(__file__).resolve().parents[1]
PLACES = (FOLDER.parent / "docs/reference/tables.md", FOLDER / "tables.md")
"""Of the reference: in the repository, and inside Snowflake."""
SECTION = re.compile(r"^### (?P<name>\S+)\n\n(?P<text>.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
PARENTS = re.compile(r"^- From: (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Table:
    """A table of bronze, silver or gold."""

    name: str
    text: str
    """Its description and its columns, as Markdown."""
    parents: tuple[str, ...]
    """The tables that it reads."""


def read_tables(places: Sequence[Path] = PLACES) -> dict[str, Table]:
    """Read all tables by their names.

    Raises:
        MissingError: the reference is not there.
    """
    reference = next((each for each in places if each.is_file()), None)
    if not reference:
        raise MissingError("docs/reference/tables.md is missing: put it beside the dashboard's app.py.")
    tables = {}
    for found in SECTION.finditer(reference.read_text(encoding="utf-8")):
        parents = PARENTS.search(found["text"])
        names = tuple(re.findall("`(.*?)`", parents[1])) if parents else ()
        tables[found["name"]] = Table(found["name"], found["text"], names)
    return tables


def children(tables: dict[str, Table], name: str) -> list[str]:
    """Return the tables that read a table."""
    return [each.name for each in tables.values() if name in each.parents]

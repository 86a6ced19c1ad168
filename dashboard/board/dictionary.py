"""What each table is, as the reference of the documents has it."""

import re
from dataclasses import dataclass
from pathlib import Path

from board.errors import MissingError

REFERENCE = Path(__file__).resolve().parents[2] / "docs/reference/tables.md"
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


def read_tables(reference: Path = REFERENCE) -> dict[str, Table]:
    """Read all tables by their names.

    Raises:
        MissingError: the reference is not there.
    """
    if not reference.is_file():
        raise MissingError("docs/reference/tables.md is not beside the dashboard: put it there with the other files.")
    tables = {}
    for found in SECTION.finditer(reference.read_text(encoding="utf-8")):
        parents = PARENTS.search(found["text"])
        names = tuple(re.findall("`(.*?)`", parents[1])) if parents else ()
        tables[found["name"]] = Table(found["name"], found["text"], names)
    return tables


def children(tables: dict[str, Table], name: str) -> list[str]:
    """Return the tables that read a table."""
    return [each.name for each in tables.values() if name in each.parents]

"""Rows of persons in the warehouse: whom an id means, where their rows are, and that none is left.

An id means the person whom Amplitude means by it. Amplitude deletes by its own ids, and counts the ids that it has
merged as one person (User Privacy API, Considerations).
"""

import json
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import dlt
from dlt.destinations.exceptions import DatabaseUndefinedRelation
from dlt.destinations.sql_client import SqlClientBase

from ..lake.erased import Erased, Found, Id
from ..tables import IDS_OF_PERSONS
from .cleanup import query
from .renames import PROJECT_COLUMNS

ALIASES = "gold.events"  # which the loader of Snowflake can read, as all views of gold
# Which tables say that two ids are one person, and their columns for project, id and the other id.
SAME_PERSON = {
    "merge_ids": ("_project", "amplitude_id", "merged_amplitude_id"),
    ALIASES: ("project", "amplitude_id", "canonical_amplitude_id"),
}
IDS_A_QUERY = 1_000
# Stored tables of every schema, those of SQLMesh's environments too, with the columns that may hold an id.
ID_COLUMNS = """
    SELECT columns.table_schema, columns.table_name, columns.column_name
    FROM information_schema.columns AS columns
    JOIN information_schema.tables AS tables
        ON tables.table_catalog = columns.table_catalog
        AND tables.table_schema = columns.table_schema
        AND tables.table_name = columns.table_name
    WHERE {condition}
        AND (LOWER(column_name) LIKE '%%amplitude_id' OR LOWER(column_name) IN ('user_id', '_project', 'project'))
    ORDER BY 1, 2, 3
"""
STORED = "tables.table_type <> 'VIEW'"
OF_PRODUCTION = "LOWER(tables.table_schema) IN ('bronze', 'silver', 'gold')"
EVERYWHERE = f"({STORED} OR {OF_PRODUCTION})"
"""Views of gold say the same of tables that the loader of Snowflake may not read."""

REJECTED = "bronze.rejected_rows"
CLEARED_EXAMPLES = "UPDATE schema_changes SET example = NULL, _archive_row = NULL WHERE _archive_file = %s"

Client = SqlClientBase[Any]


@dataclass(frozen=True)
class IdTable:
    """A table with columns of ids."""

    schema: str
    name: str
    columns: tuple[str, ...]
    project_column: str | None

    @property
    def address(self) -> str:
        """Return how SQL names it."""
        return f'"{self.schema}"."{self.name}"'

    @property
    def title(self) -> str:
        """Return how people name it."""
        return f"{self.schema}.{self.name}".lower()


class Persons:
    """The rows of a project's persons.

    Args:
        client: of the warehouse.
        project: whose persons they are.
        erased: has their hashes.
    """

    def __init__(self, client: Client, project: str, erased: Erased) -> None:
        self._client, self._project, self._erased = client, project, erased

    def values(self, table: IdTable) -> dict[str, list[object]]:
        """Return by column the ids of these persons that a table has."""
        found = {}
        for column in table.columns:
            where, values = self._of_project(table)
            rows = rows_of(self._client, f'SELECT DISTINCT "{column}" FROM {table.address} WHERE {where}', *values)
            if ids := [value for (value,) in rows if self._erased.hash_if_erased(kind_of(column), value)]:
                found[column] = ids
        return found

    def hashes(self, tables: Iterable[IdTable]) -> set[str]:
        """Return the hashes of the ids of these persons that tables have."""
        found = (
            self._erased.hash_if_erased(kind_of(column), value)
            for table in tables
            for column, values in self.values(table).items()
            for value in values
        )
        return {hash_ for hash_ in found if hash_}

    def counts(self, tables: Iterable[IdTable]) -> dict[str, int]:
        """Return how many rows tables have of these persons; those that have none are left out."""
        found = {table.title: self.rows(table, "COUNT(*)")[1] for table in tables}
        return {title: rows[0][0] for title, rows in found.items() if rows}

    def rows(self, table: IdTable, columns: str = "*") -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the rows of these persons, and the names of their columns."""
        if not (where := self._where(table)):
            return [], []
        with self._client.execute_query(f"SELECT {columns} FROM {table.address} WHERE {where[0]}", *where[1]) as cursor:
            return [each[0] for each in cursor.description], list(cursor.fetchall())

    def rejected(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the rejected rows whose lines are theirs, and the names of the columns."""
        table = self._client.make_qualified_table_name("rejected_rows")
        try:
            with self._client.execute_query(f"SELECT * FROM {table} WHERE _project = %s", self._project) as cursor:
                names = [each[0] for each in cursor.description]
                place = [name.lower() for name in names].index("line")
                return names, [row for row in cursor.fetchall() if self._erased.owns((row[place] or "").encode())]
        except DatabaseUndefinedRelation:
            return [], []

    def rejected_counts(self) -> dict[str, int]:
        """Return the number of those rows as `counts` does."""
        rows = len(self.rejected()[1])
        return {REJECTED: rows} if rows else {}

    def rejected_hashes(self) -> set[str]:
        """Return the hashes of the ids of these persons that those rows have."""
        names, rows = self.rejected()
        place = [name.lower() for name in names].index("line") if rows else 0
        found = Found()
        for row in rows:
            deque(self._erased.kept([row[place].encode()], found), maxlen=0)
        return {hash_ for hashes in found for hash_ in hashes}

    def delete(self, table: IdTable) -> None:
        """Delete the rows of these persons."""
        if where := self._where(table):
            self._client.execute_sql(f"DELETE FROM {table.address} WHERE {where[0]}", *where[1])

    def _where(self, table: IdTable) -> tuple[str, list[object]] | None:
        """Return the condition of their rows, and its values; None where there are none."""
        if not (found := self.values(table)):
            return None
        of_project, values = self._of_project(table)
        conditions = [f'"{column}" IN ({places(ids)})' for column, ids in found.items()]
        return f"{of_project} AND ({' OR '.join(conditions)})", [
            *values,
            *(id_ for ids in found.values() for id_ in ids),
        ]

    def _of_project(self, table: IdTable) -> tuple[str, list[object]]:
        return (f'"{table.project_column}" = %s', [self._project]) if table.project_column else ("1 = 1", [])


def kind_of(column: str) -> str:
    """Return which kind of id a column has."""
    return "user_id" if column.lower() == "user_id" else "amplitude_id"


def places(values: Collection[object]) -> str:
    """Return placeholders for values."""
    return ", ".join(["%s"] * len(values))


def rows_of(client: Client, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Return the rows of a query; none where its table is not there."""
    try:
        with client.execute_query(sql, *values) as cursor:
            return list(cursor.fetchall())
    except DatabaseUndefinedRelation:
        return []


def id_tables(client: Client, condition: str = OF_PRODUCTION) -> list[IdTable]:
    """Return the tables and views that have ids of persons.

    Args:
        client: of the warehouse.
        condition: which ones; by default those that people read.
    """
    tables: dict[tuple[str, str], list[str]] = {}
    for schema, name, column in query(client, ID_COLUMNS.format(condition=condition)):
        tables.setdefault((schema, name), []).append(column)
    found = []
    for (schema, name), columns in tables.items():
        ids = tuple(column for column in columns if column.lower() not in PROJECT_COLUMNS)
        project = next((column for column in columns if column.lower() in PROJECT_COLUMNS), None)
        if ids:
            found.append(IdTable(schema, name, ids, project))
    return found


def names_of_person(pipeline: dlt.Pipeline, project: str, ids: Iterable[Id], erased: Erased) -> set[Id]:
    """Return all ids by which rows of some persons are known.

    A user_id means every amplitude_id that ever carried it. An amplitude_id means also those with which Amplitude has
    merged it: by its feed, by its answers, and by the logins that silver has seen.
    """
    known = {name for id_ in ids for name in erased.names_of(id_)}
    with pipeline.sql_client() as client:
        user_ids = [id_.text for id_ in known if id_.kind == "user_id"]
        events = client.make_qualified_table_name("events")
        found = {int(id_.text) for id_ in known if id_.kind == "amplitude_id"}
        for some in batches(user_ids):
            sql = f"SELECT DISTINCT amplitude_id FROM {events} WHERE _project = %s AND user_id IN ({places(some)})"
            found |= {int(id_) for (id_,) in rows_of(client, sql, project, *some) if id_ is not None}
        known |= {Id("amplitude_id", str(id_)) for id_ in same_persons(client, project, found)}
    return known


def same_persons(client: Client, project: str, amplitude_ids: Collection[int]) -> set[int]:
    """Return ids and all that are the same persons by Amplitude's counting."""
    answers = list(answered_persons(client, project))
    known, new = set(amplitude_ids), set(amplitude_ids)
    while new:
        found = {id_ for ids in answers if not ids.isdisjoint(new) for id_ in ids}
        for table, (project_column, *columns) in SAME_PERSON.items():
            for some in batches(sorted(new)):
                sql = (
                    f"SELECT DISTINCT {', '.join(columns)} FROM {table} WHERE {project_column} = %s "
                    f"AND ({' OR '.join(f'{column} IN ({places(some)})' for column in columns)})"
                )
                found |= {int(id_) for row in rows_of(client, sql, project, *some, *some) for id_ in row}
        new = found - known
        known |= new
    return known


def answered_persons(client: Client, project: str) -> Iterator[set[int]]:
    """Yield the ids that are one person by Amplitude's answers on a sample of users."""
    columns = ", ".join(IDS_OF_PERSONS["user_identities"])
    for one, canonical, merged in rows_of(
        client, f"SELECT {columns} FROM user_identities WHERE _project = %s", project
    ):
        yield {int(one), int(canonical), *listed(merged)}


def listed(text: str | None) -> Iterator[int]:
    """Yield the ids of a JSON array."""
    with suppress(ValueError, TypeError):
        yield from (int(id_) for id_ in json.loads(text or "[]"))


def batches(values: Iterable[Any]) -> Iterator[list[Any]]:
    """Yield values, as many at a time as a query takes."""
    values = [*values]
    for start in range(0, len(values), IDS_A_QUERY):
        yield values[start : start + IDS_A_QUERY]


def has_aliases(client: Client) -> bool:
    """Return whether gold is there to say which visits before a login are a person's."""
    return bool(rows_of(client, f"SELECT 1 FROM {ALIASES} LIMIT 1"))

"""Persons that are to be forgotten: whom, what is left of the others, and where ids of theirs still stand."""

import gzip
import json
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from simulator.product import Product
from support.project import Project


def traces(project: Project, ids: Collection[str]) -> list[str]:
    """The files, as they are and unzipped, and the tables with an id in some value."""
    found = []
    for path in (path for path in (project.root / "data").rglob("*") if path.is_file()):
        data = path.read_bytes()
        texts = [data, gzip.decompress(data)] if path.suffix == ".gz" else [data]
        found += [str(path) for text in texts for id_ in ids if id_.encode() in text]
    with project.opened():
        for schema, name in project.query("SELECT schema_name, table_name FROM duckdb_tables()"):
            rows = project.query(f'SELECT * FROM "{schema}"."{name}"')
            found += [f"{schema}.{name}" for id_ in ids if any(id_ in str(value) for row in rows for value in row)]
    return found


def merged_person(project: Project) -> tuple[str, list[int]]:
    """A user_id with the most events, and all amplitude_ids that count as its users, visits before the login too."""
    ((user, ids),) = project.query("""
        SELECT MAX(users.user_id), LIST(DISTINCT aliases.amplitude_id)
        FROM silver.user_aliases AS aliases
        JOIN silver.users AS users ON users.amplitude_id = aliases.canonical_amplitude_id
        GROUP BY aliases.canonical_amplitude_id
        HAVING COUNT(*) > 1 AND MAX(users.user_id) IS NOT NULL
        ORDER BY COUNT(*) DESC, 1
        LIMIT 1
    """)
    return str(user), sorted(ids)


def others_of(product: Product, folder: Path, user: str, ids: list[int]) -> list[Path]:
    """The exported files without the lines of a person."""
    paths, lost = [], Counter[str]()
    for member in product.members():
        lines = gzip.decompress(member.data).splitlines(keepends=True)
        rows = [json.loads(line) for line in lines]
        is_theirs = [row["user_id"] == user or row["amplitude_id"] in ids for row in rows]
        kept = [line for line, theirs in zip(lines, is_theirs, strict=True) if not theirs]
        lost[member.file_name] = sum(is_theirs)
        paths.append(folder / member.file_name)
        paths[-1].write_bytes(gzip.compress(b"".join(kept)))
    assert lost.total() > 10
    return paths

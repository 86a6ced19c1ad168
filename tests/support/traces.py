"""Where the ids of a person stand."""

import gzip
from collections.abc import Collection

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

"""What Amplitude's taxonomy says of personal data."""

import dlt
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from ..lake.key_paths import KeyPath
from ..tables import EXPORT_COLUMNS, REQUIRED_KEYS

QUERY = """
    SELECT DISTINCT kind, name
    FROM taxonomy
    WHERE _project = %s AND (CONTAINS(classifications, 'PII') OR CONTAINS(classifications, 'SENSITIVE'))
    ORDER BY kind, name
"""
COLUMNS_OF_KINDS = {"event_property": "event_properties", "user_property": "user_properties"}


def personal_paths(pipeline: dlt.Pipeline, project: str) -> list[KeyPath] | None:
    """Return where rows of the export have what is classified as personal or sensitive.

    Properties of groups are left out, because no path leads to all groups of a type. So are keys without which a row
    is none.

    Args:
        pipeline: of the destination.
        project: whose taxonomy is asked.

    Returns:
        paths, sorted; None where there is no taxonomy in bronze.
    """
    try:
        with pipeline.sql_client() as client, client.execute_query(QUERY, project) as cursor:
            rows = cursor.fetchall()
    except DatabaseUndefinedRelation:
        return None
    return [path_of(kind, name) for kind, name in rows if kind in COLUMNS_OF_KINDS and name not in REQUIRED_KEYS]


def path_of(kind: str, name: str) -> KeyPath:
    """Return the path of a property; Amplitude lists the columns of the export among the properties of users."""
    if kind == "user_property" and name in EXPORT_COLUMNS:
        return (name,)
    return COLUMNS_OF_KINDS[kind], name

"""A sample of users, and whom Amplitude takes them for."""

from datetime import timedelta
from typing import Any

from ..export.client import UnreadAnswerError
from ..tables import USER_IDENTITIES_COLUMNS
from .answers import row_of
from .context import Answer, Asking, Row

ACTIVITY = "api/2/useractivity"
KEYS = {
    "canonical_amplitude_id": "userData.canonical_amplitude_id",
    "merged_amplitude_ids": "userData.merged_amplitude_ids",
    "events": "userData.num_events",
    "sessions": "userData.num_sessions",
}
# By a hash that has the day in it, so that each day has other users and a run that is repeated has the same.
SAMPLE = """
    SELECT amplitude_id
    FROM events
    WHERE _project = %s AND _export_hour >= %s AND _export_hour < %s AND NOT amplitude_id IS NULL
    GROUP BY amplitude_id
    ORDER BY MD5(CONCAT(CAST(amplitude_id AS VARCHAR), %s))
    LIMIT {users}
"""


def user_identities(asking: Asking) -> list[Answer]:
    """Return whom Amplitude takes a sample of yesterday's users for."""
    rows = [identity_of(asking.session.json(ACTIVITY, user=id_), id_, asking) for id_ in sampled_users(asking)]
    return [Answer("user_identities", rows)]


def identity_of(answer: Any, amplitude_id: int, asking: Asking) -> Row:
    """Return a user's row.

    Raises:
        UnreadAnswerError: Amplitude does not say whom it counts the user as.
    """
    row = row_of(answer, USER_IDENTITIES_COLUMNS, KEYS, ACTIVITY, asking.warn) | {"amplitude_id": amplitude_id}
    if row["canonical_amplitude_id"] is None:
        raise UnreadAnswerError(f"The answer of {ACTIVITY} has no canonical_amplitude_id: its shape is not known.")
    return row | asking.origin


def sampled_users(asking: Asking) -> list[int]:
    """Return Amplitude's ids of some users with events in the exports of yesterday."""
    day = asking.settings.present.replace(hour=0, minute=0, second=0, microsecond=0)
    query = SAMPLE.format(users=int(asking.settings.sampled_users))
    values = (asking.settings.project, day - timedelta(days=1), day, f"{day:%Y%m%d}")
    with asking.pipeline.sql_client() as client, client.execute_query(query, *values) as cursor:
        return [int(row[0]) for row in cursor.fetchall()]

"""Who is in Amplitude's cohorts, and since when.

Amplitude computes a cohort's users for a file that it writes on request, of which it allows 500 a month. So users are
asked for only where a cohort was computed anew, each request is noted in bronze before it is made, and a setting bounds
them. (Behavioral Cohorts API.)
"""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from difflib import get_close_matches
from typing import Any, NamedTuple

import dlt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from ..errors import AmplitudeError
from ..export.client import NotOfferedError, UnreadAnswerError
from ..settings import VARIABLE_PREFIX
from ..tables import COHORT_MEMBERS_COLUMNS, arrow_schema, types_of
from .answers import entries_of, fit
from .context import Answer, Asking

LIST = "api/3/cohorts"
REQUEST = "api/5/cohorts/request"
REQUEST_STATUS = "api/5/cohorts/request-status"
LARGEST = 2_000_000  # users; Amplitude gives no larger cohort
FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS, PATIENCE_SECONDS = 1, 30, 900
ACCEPTED = 202
EVERY_COHORT = "all"
NEVER = datetime.min


class Cohort(NamedTuple):
    """A cohort whose users are wanted."""

    id: str
    name: str
    size: int
    computed_at: datetime


def wanted_cohorts(asking: Asking) -> list[Cohort]:
    """Return the cohorts of the settings, as Amplitude lists them.

    Raises:
        AmplitudeError: there is no such cohort.
    """
    wanted = asking.settings.cohorts or []
    if not wanted:
        return []
    found = [_cohort(entry) for entry in entries_of(asking.session.json(LIST), "cohorts", LIST)]
    if wanted == [EVERY_COHORT]:
        return found
    names = {cohort.id: cohort for cohort in found} | {cohort.name: cohort for cohort in found}
    for name in wanted:
        if name not in names:
            near = get_close_matches(name, names, 1)
            hint = f"Did you mean {near[0]!r}?" if near else "Amplitude lists none."
            raise AmplitudeError(f"{VARIABLE_PREFIX}COHORTS: there is no cohort {name!r}. {hint}")
    return [names[name] for name in wanted]


def _cohort(entry: dict[str, Any]) -> Cohort:
    try:
        computed_at = fit(entry["lastComputed"], "timestamp")
        time_ = computed_at if isinstance(computed_at, datetime) else NEVER
        return Cohort(str(entry["id"]), str(entry["name"]), int(entry.get("size") or 0), time_)
    except (KeyError, ValueError, TypeError):
        raise UnreadAnswerError(f"The answer of {LIST} has a cohort without id, name or lastComputed.") from None


def due_cohorts(asking: Asking, known: dict[str, str]) -> Iterator[Cohort]:
    """Yield the cohorts whose users are to be asked for, as far as the month's budget goes.

    Args:
        asking: of the run.
        known: by id, the computation that bronze has.
    """
    budget = asking.settings.cohort_requests_a_month - requests_this_month(asking)
    for cohort in wanted_cohorts(asking):
        if cohort.computed_at == NEVER or cohort.computed_at.isoformat() <= known.get(cohort.id, ""):
            continue
        if cohort.size > LARGEST:
            asking.warn(f"Cohort {cohort.name!r} has {cohort.size:,} users; Amplitude gives {LARGEST:,} at most.")
        elif budget <= 0:
            asking.warn(
                f"The users of cohort {cohort.name!r} wait for the next month, because "
                f"{asking.settings.cohort_requests_a_month} requests were made in this one "
                f"({VARIABLE_PREFIX}COHORT_REQUESTS_A_MONTH)."
            )
        else:
            budget -= 1
            yield cohort


def requests_this_month(asking: Asking) -> int:
    """Return how many requests for users bronze has on record since the first of the month."""
    first = asking.settings.present.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    query = "SELECT COUNT(*) FROM cohort_requests WHERE _project = %s AND requested_at >= %s"
    return int(rows_of(asking.pipeline, query, asking.settings.project, first)[0][0] or 0)


def rows_of(pipeline: dlt.Pipeline, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Return what a query over bronze gives; a count of zero where its table is not there yet."""
    with pipeline.sql_client() as client:
        try:
            with client.execute_query(query, *values) as cursor:
                return [*cursor.fetchall()]
        except DatabaseUndefinedRelation:
            return [(0,)]


def requests_for(asking: Asking, cohorts: list[Cohort]) -> Answer:
    """Return the note of requests that are about to be made."""
    own = {"requested_at": asking.settings.present, "_project": asking.settings.project}
    return Answer(
        "cohort_requests", [{"cohort_id": cohort.id, "computed_at": cohort.computed_at} | own for cohort in cohorts]
    )


def members_of(asking: Asking, cohorts: list[Cohort], pause: Callable[[float], None] = time.sleep) -> list[Answer]:
    """Return who came into cohorts and who left them since bronze has seen them last.

    A row is a stay: it begins with the computation that first had the user, and ends with the first that had not. Two
    loads of one computation change nothing.
    """
    if not cohorts:
        return []
    tables = [changes(asking, cohort, read_members(asking, cohort, pause)) for cohort in cohorts]
    computations = {cohort.id: cohort.computed_at.isoformat() for cohort in cohorts}
    return [Answer("cohort_members", pa.concat_tables(tables), computations)]


def read_members(asking: Asking, cohort: Cohort, pause: Callable[[float], None]) -> pa.Array:
    """Have Amplitude write a cohort's users, wait for it, and return their ids, each once.

    Raises:
        AmplitudeError: the file cannot be had, or is none.
    """
    request = asking.session.json(f"{REQUEST}/{cohort.id}", props=0)
    request_id = request.get("request_id") if isinstance(request, dict) else None
    if not isinstance(request_id, str):
        raise UnreadAnswerError(f"The answer of {REQUEST} has no request_id: its shape is not known.")
    try:
        wait_for_file(asking, request_id, cohort, pause)
        return ids_of(asking.session.file(f"{REQUEST}/{request_id}/file"), cohort)
    except NotOfferedError as error:  # the request itself was taken, so the plan has it
        raise AmplitudeError(f"Amplitude has no file of cohort {cohort.name!r}. {error}") from error


def wait_for_file(asking: Asking, request_id: str, cohort: Cohort, pause: Callable[[float], None]) -> None:
    """Wait until Amplitude has written a cohort's users.

    Raises:
        AmplitudeError: it takes too long.
    """
    waited, wait = 0.0, float(FIRST_POLL_SECONDS)
    while asking.session.status(f"{REQUEST_STATUS}/{request_id}") == ACCEPTED:
        if waited > PATIENCE_SECONDS:
            raise AmplitudeError(
                f"Amplitude has been writing the users of cohort {cohort.name!r} for {PATIENCE_SECONDS // 60} minutes: "
                "the next run asks for them again."
            )
        pause(wait)
        waited, wait = waited + wait, min(2 * wait, LONGEST_POLL_SECONDS)


def ids_of(text: bytes, cohort: Cohort) -> pa.Array:
    """Return the Amplitude ids of a file of users, each once.

    Raises:
        UnreadAnswerError: it has no such column, or something else in it.
    """
    options = pyarrow.csv.ConvertOptions(include_columns=["amplitude_id"], column_types={"amplitude_id": pa.int64()})
    try:
        table = pyarrow.csv.read_csv(pa.BufferReader(text), convert_options=options)
    except (pa.ArrowInvalid, KeyError) as error:
        reason = str(error).splitlines()[0][:200]
        raise UnreadAnswerError(
            f"The file of cohort {cohort.name!r} has no readable column amplitude_id ({reason})."
        ) from None
    return pc.unique(table.column("amplitude_id").drop_null().combine_chunks())


def changes(asking: Asking, cohort: Cohort, ids: pa.Array) -> pa.Table:
    """Return the stays that a computation begins and ends."""
    query = "SELECT amplitude_id, valid_from FROM cohort_members WHERE _project = %s AND cohort_id = %s"
    open_ = rows_of(asking.pipeline, f"{query} AND valid_to IS NULL", asking.settings.project, cohort.id)
    stays = dict(row for row in open_ if len(row) > 1)
    before = pa.array(stays, pa.int64())
    came = ids.filter(pc.invert(pc.is_in(ids, before)))
    left = before.filter(pc.invert(pc.is_in(before, ids))).to_pylist()
    rows = len(came) + len(left)
    schema = arrow_schema(types_of(COHORT_MEMBERS_COLUMNS))
    return pa.table(
        {
            "cohort_id": pa.repeat(cohort.id, rows),
            "amplitude_id": pa.concat_arrays([came, pa.array(left, pa.int64())]),
            "valid_from": [cohort.computed_at] * len(came) + [stays[id_] for id_ in left],
            "valid_to": [None] * len(came) + [cohort.computed_at] * len(left),
            "_project": pa.repeat(asking.settings.project, rows),
        },
        schema,
    )

"""The REST resources: their names, when they are due, and a run of them, of which each stands for itself."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from functools import partial
from typing import Any

import dlt
import pyarrow as pa
from dlt.common.typing import TDataItem
from dlt.destinations.exceptions import DatabaseUndefinedRelation
from dlt.extract import DltResource

from ..bronze.destinations import kept_open, run_pipeline
from ..errors import AmplitudeError, chain_of_causes
from ..export.client import NotOfferedError
from ..lake.erased import Erased
from ..settings import AmplitudeSettings
from ..tables import (
    ANNOTATION_CATEGORIES_COLUMNS,
    ANNOTATIONS_COLUMNS,
    COHORT_MEMBERS_COLUMNS,
    COHORT_REQUESTS_COLUMNS,
    COHORTS_COLUMNS,
    DAILY_NUMBERS_COLUMNS,
    DELETION_JOBS_COLUMNS,
    EVENTS_LIST_COLUMNS,
    EXPERIMENTS_COLUMNS,
    IDS_OF_PERSONS,
    RESOURCE_LOADS_COLUMNS,
    TAXONOMY_COLUMNS,
    USER_IDENTITIES_COLUMNS,
    Column,
    column_hints,
)
from .answers import Warn
from .cohorts import due_cohorts, members_of, requests_for
from .context import Answer, Asking
from .event_types import event_types
from .listings import listed
from .numbers import daily_numbers
from .people import user_identities
from .session import experiments_access, open_session

# By table: its columns, and those that tell its rows apart within a project. A row that comes again takes the place of
# the one that is there; where nothing tells rows apart, each is kept.
TABLES: dict[str, tuple[dict[str, Column], tuple[str, ...]]] = {
    "events_list": (EVENTS_LIST_COLUMNS, ("_effective_hour", "value")),
    "daily_numbers": (DAILY_NUMBERS_COLUMNS, ("measure", "detail", "event_date", "_snapshot_at")),
    "annotations": (ANNOTATIONS_COLUMNS, ("id",)),
    "annotation_categories": (ANNOTATION_CATEGORIES_COLUMNS, ("id",)),
    "cohorts": (COHORTS_COLUMNS, ("id",)),
    "cohort_requests": (COHORT_REQUESTS_COLUMNS, ()),
    "cohort_members": (COHORT_MEMBERS_COLUMNS, ("cohort_id", "amplitude_id", "valid_from")),
    "taxonomy": (TAXONOMY_COLUMNS, ("kind", "belongs_to", "name")),
    "user_identities": (USER_IDENTITIES_COLUMNS, ("amplitude_id", "_snapshot_at")),
    "deletion_jobs": (DELETION_JOBS_COLUMNS, ("day", "amplitude_id")),
    "experiments": (EXPERIMENTS_COLUMNS, ("kind", "id")),
    "resource_loads": (RESOURCE_LOADS_COLUMNS, ("resource",)),
}
EVENT_TYPES, COHORT_MEMBERS, USER_IDENTITIES, EXPERIMENTS = (
    "event_types",
    "cohort_members",
    "user_identities",
    "experiments",
)
FOR_A_WAREHOUSE = (COHORT_MEMBERS, USER_IDENTITIES)
LIST_FROM = "list_from"
LOADED_AT = "loaded_at:"  # before the name of a resource
LOADED, NOT_OFFERED, FAILED = "loaded", "not offered", "failed"


@dataclass(frozen=True)
class Outcome:
    """What came of a resource."""

    resource: str
    outcome: str
    problem: str | None = None


def load_resources(asking: Asking, names: Iterable[str]) -> list[Outcome]:
    """Ask for resources, load what comes, and note what came of each.

    Args:
        asking: of the run.
        names: of `RESOURCES`.

    Returns:
        an outcome for each; one that failed has left the others alone.
    """
    answers: list[Answer] = []
    outcomes = [_ask(asking, name, answers) for name in names]
    run_pipeline(asking.pipeline, rest_source([*answers, _noted(asking, outcomes)], asking.settings.project))
    return outcomes


def read_failures(pipeline: dlt.Pipeline) -> list[tuple[str, str, datetime, str]]:
    """Return project, resource, time and problem of the resources whose last answer could not be had."""
    if _is_lake(pipeline) or not pipeline.default_schema_name:
        return []
    query = "SELECT _project, resource, _snapshot_at, problem FROM resource_loads WHERE outcome = %s ORDER BY 1, 2"
    try:
        with pipeline.sql_client() as client, client.execute_query(query, FAILED) as cursor:
            return [*cursor.fetchall()]
    except DatabaseUndefinedRelation:
        return []


def due_resources(pipeline: dlt.Pipeline, settings: AmplitudeSettings, *, has_new_hours: bool) -> list[str]:
    """Return what is to be asked for: the event list with new hours, the others on the first run of a day (UTC)."""
    asked = _state_of(pipeline, "resource_loads").get(settings.project, {})
    today = settings.present.date().isoformat()
    due = [name for name in wanted(pipeline, settings) if asked.get(name, "")[:10] < today]
    is_list_due = has_new_hours or _is_list_missing(pipeline, settings)
    lists = [EVENT_TYPES] if is_list_due else []  # whatever the settings choose, because silver goes by it
    return lists + [name for name in due if name != EVENT_TYPES]


def wanted(pipeline: dlt.Pipeline, settings: AmplitudeSettings) -> list[str]:
    """Return the resources that the settings and the destination have a use for.

    Raises:
        AmplitudeError: the settings name one that there is not.
    """
    chosen = RESOURCES if settings.rest_resources is None else settings.rest_resources
    for name in chosen:
        if name not in RESOURCES:
            near = (*get_close_matches(name, RESOURCES, 1), ", ".join(RESOURCES))[0]
            raise AmplitudeError(f"{settings.variable('REST_RESOURCES')}: there is no {name!r}; write {near}.")
    unwanted = {
        COHORT_MEMBERS: not settings.cohorts,
        USER_IDENTITIES: not settings.sampled_users,
        EXPERIMENTS: not settings.experiment_key,
    } | (dict.fromkeys(FOR_A_WAREHOUSE, True) if _is_lake(pipeline) else {})
    return [name for name in RESOURCES if name in chosen and not unwanted.get(name)]


def _is_lake(pipeline: dlt.Pipeline) -> bool:
    return pipeline.destination.destination_name == "filesystem"


def _is_list_missing(pipeline: dlt.Pipeline, settings: AmplitudeSettings) -> bool:
    """Whether the last run that took new hours could not have the event list."""
    asked_from = _state_of(pipeline, "export").get(settings.project, {}).get("asked_from", "")
    had = _state_of(pipeline, "resource_loads").get(settings.project, {}).get(LIST_FROM, "")
    return bool(asked_from > had)


def _state_of(pipeline: dlt.Pipeline, resource: str) -> dict[str, Any]:
    resources = pipeline.state.get("sources", {}).get("amplitude", {}).get("resources", {})
    return dict(resources.get(resource, {}))


def _ask(asking: Asking, name: str, answers: list[Answer]) -> Outcome:
    """Add the answers of a resource."""
    asking.warnings, asking.failures = [], []
    if name in FOR_A_WAREHOUSE and _is_lake(asking.pipeline):
        return Outcome(name, FAILED, "It is compared with tables of bronze: load it into a warehouse.")
    try:
        answers += [_of_others(_with_keys(answer, asking.warn), asking.erased) for answer in RESOURCES[name](asking)]
    except Exception as error:  # dlt's own errors, too, in which ours may be wrapped
        causes = [cause for cause in chain_of_causes(error) if isinstance(cause, AmplitudeError)]
        if not causes:
            raise
        is_plan = isinstance(causes[0], NotOfferedError) and name != EVENT_TYPES  # which no plan lacks
        return Outcome(name, NOT_OFFERED if is_plan else FAILED, str(causes[0]))
    problem = " ".join([*asking.failures, *asking.warnings]) or None
    return Outcome(name, FAILED if asking.failures else LOADED, problem)


def _with_keys(answer: Answer, warn: Warn) -> Answer:
    """Return an answer without the rows that nothing tells apart from others."""
    if isinstance(answer.rows, pa.Table):
        return answer
    key = TABLES[answer.table][1]
    rows = [row for row in answer.rows if all(row.get(name) is not None for name in key)]
    if left_out := len(answer.rows) - len(rows):
        warn(f"{left_out:,} of {len(answer.rows):,} rows of {answer.table} lack {' or '.join(key)}; they are left out.")
    return replace(answer, rows=rows)


def _of_others(answer: Answer, erased: Erased | None) -> Answer:
    """Return an answer without the rows of erased persons."""
    columns = IDS_OF_PERSONS.get(answer.table)
    if not erased or not columns:
        return answer
    if isinstance(answer.rows, pa.Table):
        return replace(answer, rows=erased.others(answer.rows, columns))
    rows = [row for row in answer.rows if not any(erased.names_one(name, row.get(name)) for name in columns)]
    return replace(answer, rows=rows)


def cohort_members(asking: Asking) -> list[Answer]:
    """Return the changes in cohorts that were computed anew. The requests are noted first: each counts in its month.

    Raises:
        AmplitudeError: the settings name no cohort.
    """
    if not asking.settings.cohorts:
        raise AmplitudeError(f"No cohorts: name some in {asking.settings.variable('COHORTS')}.")
    known = _state_of(asking.pipeline, "cohort_members").get(asking.settings.project, {})
    with kept_open(asking.pipeline):
        due = list(due_cohorts(asking, known))
    if due:
        run_pipeline(asking.pipeline, rest_source([requests_for(asking, due)], asking.settings.project))
    with kept_open(asking.pipeline):
        return members_of(asking, due)


def experiments(asking: Asking) -> list[Answer]:
    """Return experiments and flags, from a host of their own.

    Raises:
        AmplitudeError: there is no key for it.
    """
    access = experiments_access(asking.settings)
    if access is None:
        raise AmplitudeError(f"No key for experiments: set {asking.settings.variable('EXPERIMENT_KEY')}.")
    return listed(replace(asking, session=open_session(asking.settings, asking.notice, access)), "experiments")


# By the name of `load --only`.
RESOURCES: dict[str, Callable[[Asking], list[Answer]]] = {
    EVENT_TYPES: event_types,
    "daily_numbers": daily_numbers,
    "annotations": partial(listed, name="annotations"),
    "cohorts": partial(listed, name="cohorts"),
    COHORT_MEMBERS: cohort_members,
    "taxonomy": partial(listed, name="taxonomy"),
    USER_IDENTITIES: user_identities,
    "deletion_jobs": partial(listed, name="deletion_jobs"),
    EXPERIMENTS: experiments,
}


def _noted(asking: Asking, outcomes: list[Outcome]) -> Answer:
    """Return what came of resources as rows. One that failed is asked for again by the next run."""
    present = asking.settings.present.isoformat()
    had = [outcome.resource for outcome in outcomes if outcome.outcome != FAILED]
    loaded = [f"{LOADED_AT}{outcome.resource}" for outcome in outcomes if outcome.outcome == LOADED]
    state = dict.fromkeys([*had, *loaded], present)
    if EVENT_TYPES in had:
        state[LIST_FROM] = asking.effective_hour.isoformat()
    known = _state_of(asking.pipeline, "resource_loads").get(asking.settings.project, {}) | state
    rows = [vars(each) | {"loaded_at": _time(known.get(f"{LOADED_AT}{each.resource}"))} for each in outcomes]
    return Answer("resource_loads", [row | asking.origin for row in rows], state)


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


@dlt.source(name="amplitude")
def rest_source(answers: list[Answer], project: str) -> list[DltResource]:
    """Return answers as dlt's resources, one for each table.

    Args:
        answers: of resources.
        project: whose answers they are.
    """
    return [_resource(answer, project) for answer in answers]


def _resource(answer: Answer, project: str) -> DltResource:
    columns, key = TABLES[answer.table]

    def rows() -> Iterator[TDataItem]:
        if answer.state:
            dlt.current.resource_state().setdefault(project, {}).update(answer.state)
        yield answer.rows if len(answer.rows) else dlt.mark.materialize_table_schema()

    resource = dlt.resource(rows, name=answer.table, max_table_nesting=0, columns=column_hints(columns))
    if key:
        resource.apply_hints(write_disposition="merge", primary_key=["_project", *key])
    return resource

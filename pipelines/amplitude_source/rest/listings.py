"""Endpoints that give all of something as a list, declared for dlt's `rest_api`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ..tables import (
    ANNOTATION_CATEGORIES_COLUMNS,
    ANNOTATIONS_COLUMNS,
    COHORTS_COLUMNS,
    DELETION_JOBS_COLUMNS,
    EXPERIMENTS_COLUMNS,
    TAXONOMY_COLUMNS,
    Column,
)
from .answers import entries_of, row_of
from .context import Answer, Asking, Row

EXPERIMENTS_A_PAGE = 1000  # as many as Amplitude gives
DELETIONS_BEFORE, DELETIONS_AFTER = timedelta(days=60), timedelta(days=60)  # Amplitude runs a job within 30 days
PROPERTY_PREFIXES = ("gp:", "grp:")
ALL = "(all)"
TABLE = "_table"  # which rows bear until they are sorted by it


def as_it_is(entry: Row) -> Iterator[Row]:
    yield entry


@dataclass(frozen=True)
class Listing:
    """A list of Amplitude's, and how its entries become rows."""

    name: str
    """Of dlt's resource."""
    path: str
    key: str | None
    """Of the list in the answer; None where the answer is the list, whose entries dlt gives one by one."""
    table: str
    columns: Mapping[str, Column]
    keys: Mapping[str, str] = field(default_factory=dict)
    """By column, where an entry has its value; `*` is the whole entry."""
    constants: Mapping[str, object] = field(default_factory=dict)
    params: Mapping[str, object] = field(default_factory=dict)
    has_days: bool = False
    """Whether it is asked for a range of days."""
    paginator: str | Mapping[str, str] = "single_page"
    expand: Callable[[Row], Iterator[Row]] = as_it_is
    """Makes entries of a nested one."""


def of_all(entry: Row) -> Iterator[Row]:
    """Yield what belongs to no event type and no group type."""
    yield entry | {"belongs_to": ALL}


def of_jobs(job: Row) -> Iterator[Row]:
    for user in entries_of(job, "amplitude_ids", "a deletion job"):
        yield {**user, "day": job.get("day"), "status": job.get("status"), "app": job.get("app")} | {
            "scrubbed_on": job.get("active_scrub_done_date")
        }


def without_prefix(entry: Row) -> Iterator[Row]:
    """Yield a property of users or groups under the name that it has in the export."""
    name = str(entry.get("user_property") or entry.get("group_property") or "")
    for prefix in PROPERTY_PREFIXES:
        name = name.removeprefix(prefix)
    yield entry | {"name": name, "belongs_to": entry.get("group_type") or ALL}


NO_KEYS: Mapping[str, str] = {}
CURSOR = {"type": "cursor", "cursor_path": "nextCursor", "cursor_param": "cursor"}
EXPERIMENT_KEYS = {
    "started_on": "startDate",
    "ended_on": "endDate",
    "bucketing_unit": "bucketingUnit",
    "rollout_percentage": "rolloutPercentage",
    "definition": "*",
}


def of_taxonomy(name: str, path: str, kind: str, keys: Mapping[str, str] = NO_KEYS, **more: Any) -> Listing:
    """Declare a part of the taxonomy; all parts share a table."""
    own = {"definition": "*", "category": "category.name", **keys}
    return Listing(
        name, f"api/2/taxonomy/{path}", "data", "taxonomy", TAXONOMY_COLUMNS, own, constants={"kind": kind}, **more
    )


LISTINGS: dict[str, tuple[Listing, ...]] = {
    "annotations": (
        Listing(
            "annotations",
            "api/3/annotations",
            "data",
            "annotations",
            ANNOTATIONS_COLUMNS,
            {"starts_at": "start", "ends_at": "end", "category_id": "category.id", "category": "category.name"},
        ),
        Listing(
            "annotation_categories",
            "api/3/annotation-categories",
            "data",
            "annotation_categories",
            ANNOTATION_CATEGORIES_COLUMNS,
        ),
    ),
    "cohorts": (
        Listing(
            "cohorts",
            "api/3/cohorts",
            "cohorts",
            "cohorts",
            COHORTS_COLUMNS,
            {"created_at": "createdAt", "modified_at": "lastMod", "computed_at": "lastComputed"},
        ),
    ),
    "taxonomy": (
        of_taxonomy("taxonomy_categories", "category", "category", {"category": "name"}, expand=of_all),
        of_taxonomy(
            "taxonomy_event_types",
            "event",
            "event_type",
            {"name": "event_type"},
            params={"showDeleted": "true"},
            expand=of_all,
        ),
        of_taxonomy(
            "taxonomy_shared_properties", "event-property", "event_property", {"name": "event_property"}, expand=of_all
        ),
        of_taxonomy(
            "taxonomy_event_properties",
            "event-property",
            "event_property",
            {"name": "event_property", "belongs_to": "event_type"},
            params={"event_type": "{resources.taxonomy_event_types.name}"},
        ),
        of_taxonomy(
            "taxonomy_user_properties",
            "user-property",
            "user_property",
            params={"showDeleted": "true"},
            expand=without_prefix,
        ),
        of_taxonomy("taxonomy_group_properties", "group-property", "group_property", expand=without_prefix),
    ),
    "deletion_jobs": (
        Listing(
            "deletion_jobs",
            "api/2/deletions/users",
            None,
            "deletion_jobs",
            DELETION_JOBS_COLUMNS,
            {"requested_on": "requested_on_day"},
            has_days=True,
            expand=of_jobs,
        ),
    ),
    "experiments": tuple(
        Listing(
            f"{kind}s",
            f"api/1/{kind}s",
            f"{kind}s",
            "experiments",
            EXPERIMENTS_COLUMNS,
            EXPERIMENT_KEYS,
            constants={"kind": kind},
            params={"limit": EXPERIMENTS_A_PAGE, "includeArchived": "true"},
            paginator=CURSOR,
        )
        for kind in ("experiment", "flag")
    ),
}


def listed(asking: Asking, name: str) -> list[Answer]:
    """Return what is listed under a name.

    Args:
        asking: of the run.
        name: one of `LISTINGS`.
    """
    from dlt.sources.rest_api import rest_api_source  # a tenth of a second, for those who need it

    session = asking.session
    config: Any = {
        "client": {"base_url": f"{session.address}/", "session": session},
        "resources": [_declared(listing, asking) for listing in LISTINGS[name]],
    }
    answers = {listing.table: Answer(listing.table, []) for listing in LISTINGS[name]}
    for row in rest_api_source(config):
        answers[row.pop(TABLE)].rows.append(row)
    return [*answers.values()]


def _declared(listing: Listing, asking: Asking) -> Any:
    """Declare a listing as `rest_api` has it. The whole answer is taken, because its shape is checked here."""
    own = {**listing.constants, **asking.origin, TABLE: listing.table}
    present = asking.settings.present.date()
    days = {"start_day": f"{present - DELETIONS_BEFORE}", "end_day": f"{present + DELETIONS_AFTER}"}

    def rows(answer: Row) -> Iterator[list[Row]]:
        entries = entries_of(answer, listing.key, listing.path) if listing.key else [answer]
        yield [
            row_of(each, listing.columns, listing.keys, listing.path, asking.warn) | own
            for entry in entries
            for each in listing.expand(entry)
        ]

    return {
        "name": listing.name,
        "endpoint": {
            "path": listing.path,
            "params": {**listing.params, **(days if listing.has_days else {})},
            "data_selector": "$",
            "paginator": listing.paginator,
        },
        "processing_steps": [{"yield_map": rows}],
    }

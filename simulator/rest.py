"""The read APIs: which path is answered by what, at which cost, and to whom."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from simulator import annotations, cohorts, dashboard, experiments, faults, limits, lookup, taxonomy
from simulator.asked import Asked, BadRequestError
from simulator.connection import Response

_ANY_WORD = "([^/]+)"
RANGE = frozenset({"start", "end"})
_ACTIVITY = frozenset({"user", "offset", "limit", "direction"})
_DELETED = frozenset({"showDeleted"})
_PAGE = frozenset({"key", "projectId", "limit", "cursor", "includeArchived"})


def _cost_of_one(_: Asked) -> int:
    return 1


@dataclass(frozen=True)
class Endpoint:
    """A path, and how requests for it are answered."""

    path: str
    answer: Callable[[Asked], Response]
    family: str
    """The family whose limits hold."""
    parameters: frozenset[str] = frozenset()
    cost: Callable[[Asked], int] = _cost_of_one
    access: Literal["keys", "management key", "everybody"] = "keys"

    def id_in(self, path: str) -> str | None:
        """Return the id in a request's path, which is empty where there is none, or None for another path."""
        match = re.fullmatch(self.path.replace("{id}", _ANY_WORD), path)
        return "".join(match.groups()) if match else None

    def check(self, asked: Asked) -> None:
        """Refuse parameters that the answer would not heed.

        Raises:
            BadRequestError: there is such a parameter.
        """
        if unknown := sorted(asked.query.keys() - self.parameters):
            raise BadRequestError(f"The simulator does not serve the parameter {unknown[0]}.")


ENDPOINTS = (
    Endpoint(faults.EVENTS_LIST, dashboard.events_list, limits.DASHBOARD),
    Endpoint(faults.USER_COUNTS, dashboard.user_counts, limits.DASHBOARD, RANGE | {"m", "i"}, dashboard.cost_of_days),
    Endpoint(
        faults.SEGMENTATION,
        dashboard.segmentation,
        limits.DASHBOARD,
        RANGE | {"e", "e2", "m", "i"},
        dashboard.cost_of_events,
    ),
    Endpoint(faults.SESSION_LENGTHS, dashboard.session_lengths, limits.DASHBOARD, RANGE, dashboard.cost_of_sessions),
    Endpoint(
        faults.SESSIONS_PER_USER, dashboard.sessions_per_user, limits.DASHBOARD, RANGE, dashboard.cost_of_sessions
    ),
    Endpoint(faults.SAVED_CHART, dashboard.saved_chart, limits.DASHBOARD, cost=dashboard.cost_of_saved_chart),
    Endpoint(faults.USER_ACTIVITY, lookup.user_activity, limits.USERS, _ACTIVITY),
    Endpoint(faults.USER_SEARCH, lookup.user_search, limits.USERS, frozenset({"user"})),
    Endpoint(faults.DELETION_JOBS, lookup.deletion_jobs, limits.DELETIONS, frozenset({"start_day", "end_day"})),
    Endpoint(faults.ANNOTATIONS, annotations.annotations, limits.REST, frozenset({"category", "chart_id"})),
    Endpoint(faults.ANNOTATION_CATEGORIES, annotations.categories, limits.REST, frozenset({"category"})),
    Endpoint(faults.COHORTS, cohorts.cohorts, limits.REST, frozenset({"includeSyncInfo"})),
    Endpoint(faults.COHORT_REQUEST, cohorts.request, limits.COHORT_REQUESTS, frozenset({"props"})),
    Endpoint(faults.COHORT_STATUS, cohorts.status, limits.REST),
    Endpoint(faults.COHORT_FILE, cohorts.file, limits.REST),
    Endpoint(faults.COHORT_LINK, cohorts.link, limits.UNLIMITED, access="everybody"),
    Endpoint(faults.TAXONOMY_CATEGORIES, taxonomy.categories, limits.TAXONOMY),
    Endpoint(faults.TAXONOMY_EVENTS, taxonomy.events, limits.TAXONOMY, _DELETED),
    Endpoint(faults.TAXONOMY_EVENT_PROPERTIES, taxonomy.event_properties, limits.TAXONOMY, frozenset({"event_type"})),
    Endpoint(faults.TAXONOMY_USER_PROPERTIES, taxonomy.user_properties, limits.TAXONOMY, _DELETED),
    Endpoint(faults.TAXONOMY_GROUP_PROPERTIES, taxonomy.group_properties, limits.TAXONOMY, frozenset({"group_type"})),
    Endpoint(faults.EXPERIMENTS, experiments.experiments, limits.EXPERIMENTS, _PAGE, access="management key"),
    Endpoint(faults.FLAGS, experiments.flags, limits.EXPERIMENTS, _PAGE, access="management key"),
)

"""Every path of the read APIs, with a request for it that makes sense."""

import requests

from simulator import faults
from simulator.server import DEMO_CREDENTIALS, Simulator

DAYS = {"start": "20260601", "end": "20260603"}
BEARER = {"Authorization": "Bearer demo-management-key"}
MANAGED = (faults.EXPERIMENTS, faults.FLAGS)

# The parameters to ask each path with, and the id; that of a download is the first's.
REQUESTS: dict[str, tuple[dict[str, str], str]] = {
    faults.EVENTS_LIST: ({}, ""),
    faults.USER_COUNTS: (DAYS, ""),
    faults.SEGMENTATION: (DAYS | {"e": '{"event_type": "_all"}'}, ""),
    faults.SESSION_LENGTHS: (DAYS, ""),
    faults.SESSIONS_PER_USER: (DAYS, ""),
    faults.SAVED_CHART: ({}, "orders7d"),
    faults.USER_ACTIVITY: ({"user": "{user}"}, ""),
    faults.USER_SEARCH: ({"user": "user+"}, ""),
    faults.DELETION_JOBS: ({"start_day": "2026-06-01", "end_day": "2026-06-03"}, ""),
    faults.ANNOTATIONS: ({}, ""),
    faults.ANNOTATION_CATEGORIES: ({}, ""),
    faults.COHORTS: ({}, ""),
    faults.COHORT_REQUEST: ({"props": "0"}, "buyers01"),
    faults.COHORT_STATUS: ({}, "req0001"),
    faults.COHORT_FILE: ({}, "req0001"),
    faults.TAXONOMY_CATEGORIES: ({}, ""),
    faults.TAXONOMY_EVENTS: ({}, ""),
    faults.TAXONOMY_EVENT_PROPERTIES: ({}, ""),
    faults.TAXONOMY_USER_PROPERTIES: ({}, ""),
    faults.TAXONOMY_GROUP_PROPERTIES: ({}, ""),
    faults.EXPERIMENTS: ({}, ""),
    faults.FLAGS: ({}, ""),
}


def get(simulator: Simulator, path: str, id: str = "", **query: str) -> requests.Response:
    """Ask with the credentials that the path needs, without following a redirect."""
    is_managed = path in MANAGED
    return requests.get(
        simulator.base_url + path.format(id=id),
        params=query,
        auth=None if is_managed else DEMO_CREDENTIALS,
        headers=BEARER if is_managed else None,
        timeout=10,
        allow_redirects=False,
    )


def get_sensibly(simulator: Simulator, path: str) -> requests.Response:
    """Ask for a path as REQUESTS says; the first download is requested, and ready at once, if it needs to be."""
    query, id = REQUESTS[path]
    if id == "req0001" and simulator.downloads.find(id) is None:
        simulator.cohort_polls = -1
        simulator.downloads.start(simulator.cohorts[0])
    return get(simulator, path, id, **with_user(simulator, query))


def with_user(simulator: Simulator, query: dict[str, str]) -> dict[str, str]:
    """Put one of the product's users in the place of {user}."""
    user = str(min(simulator.figures().merged))
    return {name: value.replace("{user}", user) for name, value in query.items()}

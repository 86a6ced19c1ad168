"""The Experiment Management API: pages of experiments and flags."""

from datetime import datetime

from simulator.asked import Asked, as_json, read_number
from simulator.connection import Response

_MOST_A_PAGE = 1000


def default_experiments(app: int, created_at: datetime) -> list[dict[str, object]]:
    """Return the experiment that a project has at first."""
    experiment = _flag("11001", app, "one-page-checkout", ("control", "treatment"), created_at) | {
        "decision": None,
        "decisionReason": None,
        "rolledOutVariant": None,
        "stickyBucketing": False,
        "state": "running",
        "startDate": f"{created_at:%Y-%m-%d}",
        "endDate": None,
        "experimentType": "a-b-test",
    }
    return [experiment]


def default_flags(app: int, created_at: datetime) -> list[dict[str, object]]:
    """Return the flag that a project has at first."""
    return [_flag("12001", app, "dark-theme", ("on",), created_at)]


def experiments(asked: Asked) -> Response:
    """Answer with a page of experiments."""
    return _page(asked, "experiments", asked.project.experiments)


def flags(asked: Asked) -> Response:
    """Answer with a page of flags."""
    return _page(asked, "flags", asked.project.flags)


def _page(asked: Asked, name: str, entries: list[dict[str, object]]) -> Response:
    """Return a page from the cursor on, and the cursor of the next page unless this is the last."""
    query = asked.query
    chosen = [
        entry
        for entry in entries
        if query.get("key") in (None, entry.get("key"))
        and query.get("projectId") in (None, str(entry.get("projectId")))
        and (query.get("includeArchived") == "true" or not entry.get("archived"))
    ]
    first = read_number(query, "cursor", 0)
    size = min(read_number(query, "limit", _MOST_A_PAGE), _MOST_A_PAGE, asked.project.experiment_page)
    content: dict[str, object] = {name: chosen[first : first + size]}
    if first + size < len(chosen):
        content["nextCursor"] = first + size
    return as_json(content)


def _flag(id: str, app: int, key: str, variants: tuple[str, ...], created_at: datetime) -> dict[str, object]:
    weights = dict.fromkeys(variants, 1)
    return {
        "id": id,
        "projectId": str(app),
        "deployments": ["31001"],
        "key": key,
        "name": key.replace("-", " ").capitalize(),
        "description": "",
        "enabled": True,
        "evaluationMode": "remote",
        "bucketingKey": "amplitude_id",
        "bucketingSalt": f"salt-{id}",
        "bucketingUnit": "User",
        "variants": [{"key": variant} for variant in variants],
        "rolloutPercentage": 100,
        "rolloutWeights": weights,
        "targetSegments": [],
        "parentDependencies": None,
        "createdBy": "analyst@example.com",
        "lastModifiedBy": "analyst@example.com",
        "createdAt": f"{created_at:%Y-%m-%dT%H:%M:%S}.000Z",
        "lastModifiedAt": f"{created_at:%Y-%m-%dT%H:%M:%S}.000Z",
    }

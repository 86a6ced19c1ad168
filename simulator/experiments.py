"""The Experiment Management API: pages of experiments and flags."""

from collections.abc import Iterator
from datetime import datetime

from simulator.asked import Asked, as_json, read_number
from simulator.catalog import Row
from simulator.connection import Response

_MOST_A_PAGE = 1000
_CHECKOUT, _THEME = "one-page-checkout", "dark-theme"
_VARIANTS = ("control", "treatment")
_REMOVED_VARIANT = "two-columns"  # which the experiment no longer has


def default_experiments(app: int, created_at: datetime) -> list[dict[str, object]]:
    """Return the experiment that a project has at first."""
    experiment = _flag("11001", app, _CHECKOUT, _VARIANTS, created_at) | {
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
    return [_flag("12001", app, _THEME, ("on",), created_at)]


def exposures(amplitude_id: int, visits: int) -> Iterator[Row]:
    """Yield the properties of the exposures of a visit, as Amplitude names them after it has taken them in.

    A variant goes by the amplitude_id, so that a login may bring another one. The flag is off on each second visit,
    which an exposure without a variant says. The experiment's second run begins with the third visit.
    """
    variant = _REMOVED_VARIANT if amplitude_id % 7 == 0 else _VARIANTS[amplitude_id % 2]
    yield _exposure(_CHECKOUT, variant) | {"[Experiment] Experiment Key": "exp-1" if visits < 3 else "exp-2"}
    yield _exposure(_THEME, "on" if visits % 2 else None)


def _exposure(flag_key: str, variant: str | None) -> Row:
    return {"[Experiment] Flag Key": flag_key, "[Experiment] Variant": variant}


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

"""The Taxonomy API: what a project's people have written down about its events and properties."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from simulator.asked import Asked, as_json
from simulator.catalog import (
    CHECKOUT_STARTED,
    DELIVERY_SCHEDULED,
    EVENT_TYPES,
    ORDER_COMPLETED,
    ORDER_PAID,
    PRODUCT_ADDED,
    PRODUCT_VIEWED,
    SEARCHED,
)
from simulator.connection import Response

Entry: TypeAlias = dict[str, object]

_SHOPPING = "Shopping"
_SHOPPING_EVENTS = (PRODUCT_VIEWED, PRODUCT_ADDED, CHECKOUT_STARTED, ORDER_COMPLETED, ORDER_PAID, DELIVERY_SCHEDULED)
_DESCRIPTIONS = {
    ORDER_COMPLETED: "The shop has shown the page after an order.",
    ORDER_PAID: "The payment has arrived.",
}


@dataclass
class Taxonomy:
    """The entries as the API gives them; the project itself decides which events are active, and which are deleted."""

    categories: list[Entry] = field(default_factory=lambda: [{"id": 201, "name": _SHOPPING}])
    events: list[Entry] = field(default_factory=lambda: [_event(event_type) for event_type in EVENT_TYPES])
    event_properties: list[Entry] = field(default_factory=lambda: [*_default_event_properties()])
    """Those of one event have its type as event_type, shared ones None."""
    user_properties: list[Entry] = field(default_factory=lambda: [*_default_user_properties()])
    group_properties: list[Entry] = field(default_factory=lambda: [*_default_group_properties()])
    """Those of one group type have it as group_type, shared ones None."""


def _of_taxonomy(entries: Callable[[Asked, Taxonomy], list[Entry]]) -> Callable[[Asked], Response]:
    """Answer with entries, or with a 404 if the project's plan has no taxonomy."""

    def answer(asked: Asked) -> Response:
        taxonomy = asked.project.taxonomy
        if taxonomy is None:
            return as_json({"success": False, "errors": [{"message": "Not found"}]}, 404)
        return as_json({"success": True, "data": entries(asked, taxonomy)})

    return answer


@_of_taxonomy
def categories(_: Asked, taxonomy: Taxonomy) -> list[Entry]:
    """Return the categories of events."""
    return taxonomy.categories


@_of_taxonomy
def events(asked: Asked, taxonomy: Taxonomy) -> list[Entry]:
    """Return the event types; deleted ones come, and are marked, only if asked for."""
    project, with_deleted = asked.project, _shows_deleted(asked)
    return [
        entry
        | {"is_active": entry["event_type"] not in project.inactive_event_types}
        | ({"deleted": entry["event_type"] in project.deleted_event_types} if with_deleted else {})
        for entry in taxonomy.events
        if with_deleted or entry["event_type"] not in project.deleted_event_types
    ]


@_of_taxonomy
def event_properties(asked: Asked, taxonomy: Taxonomy) -> list[Entry]:
    """Return the properties of an event type, or the shared ones."""
    event_type = asked.query.get("event_type")
    return [entry for entry in taxonomy.event_properties if entry["event_type"] == event_type]


@_of_taxonomy
def user_properties(asked: Asked, taxonomy: Taxonomy) -> list[Entry]:
    """Return the user properties, deleted ones only if asked for."""
    return [entry for entry in taxonomy.user_properties if _shows_deleted(asked) or not entry["deleted"]]


@_of_taxonomy
def group_properties(asked: Asked, taxonomy: Taxonomy) -> list[Entry]:
    """Return the properties of a group type, or the shared ones."""
    group_type = asked.query.get("group_type")
    return [entry for entry in taxonomy.group_properties if entry["group_type"] == group_type]


def _shows_deleted(asked: Asked) -> bool:
    return asked.query.get("showDeleted") == "true"


def _event(event_type: str) -> Entry:
    return {
        "event_type": event_type,
        "category": {"name": _SHOPPING} if event_type in _SHOPPING_EVENTS else None,
        "description": _DESCRIPTIONS.get(event_type),
        "display_name": None,
        "is_hidden_from_dropdowns": False,
        "is_hidden_from_persona_results": False,
        "is_hidden_from_pathfinder": False,
        "is_hidden_from_timeline": False,
        "tags": [],
        "owner": None,
    }


def _default_event_properties() -> Iterator[Entry]:
    for event_type, name, kind in (
        (None, "category", "string"),
        (None, "$price", "number"),
        (ORDER_COMPLETED, "total", "number"),
        (ORDER_COMPLETED, "currency", "string"),
        (SEARCHED, "query", "string"),
        (SEARCHED, "results", "number"),
    ):
        yield {
            "event_property": name,
            "event_type": event_type,
            "description": None,
            "is_required": False,
        } | _values(kind, "REVENUE" if name in ("$price", "total") else None)


def _default_user_properties() -> Iterator[Entry]:
    for name, kind, classification, is_deleted in (
        ("device_id", None, "PII", False),
        ("country", None, None, False),
        ("gp:plan", "string", None, False),
        ("gp:orders", "number", None, False),
        ("gp:favourite's", "string", "SENSITIVE", False),
        ("gp:legacy_id", "number", None, True),
    ):
        yield {"user_property": name, "description": None, "deleted": is_deleted} | _values(kind, classification)


def _default_group_properties() -> Iterator[Entry]:
    for group_type, name in ((None, "grp:name"), ("company", "grp:seats")):
        entry = {"group_type": group_type, "group_property": name, "description": None}
        yield entry | _values("number" if name == "grp:seats" else "string", None)


def _values(kind: str | None, classification: str | None) -> Entry:
    return {
        "type": kind,
        "regex": None,
        "enum_values": None,
        "is_array_type": False,
        "is_hidden": False,
        "classifications": [classification] if classification else [],
    }

"""The event list: every visible event type with Amplitude's flags."""

from typing import Any

from ..export.client import EVENTS_LIST, UnreadAnswerError
from .answers import Warn
from .context import Answer, Asking


def event_types(asking: Asking) -> list[Answer]:
    """Return the event list.

    The list shows the current week only, so each run keeps a dated snapshot. `_effective_hour` is the first export hour
    that this run asked for, one that silver cannot have seen yet: silver applies a snapshot from that hour on, so that
    a rebuild gives what the runs gave. Of runs that ask for the same hour the last one's snapshot stays.
    """
    own = asking.origin | {"_effective_hour": asking.effective_hour}
    return [Answer("events_list", [entry | own for entry in listed_types(asking.event_list, asking.warn)])]


def listed_types(answer: Any, warn: Warn) -> list[dict[str, Any]]:
    """Return the entries of an event list that have a name.

    Raises:
        UnreadAnswerError: the answer is no event list.
    """
    entries = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(entries, list):
        raise UnreadAnswerError(f"The answer of {EVENTS_LIST} has no list named data: its shape is not known.")
    types = [dict(entry) for entry in entries if isinstance(entry, dict) and isinstance(entry.get("value"), str)]
    if len(types) < len(entries):
        warn(
            f"{len(entries) - len(types)} of {len(entries)} entries of the event list have no name; they are left out."
        )
    for type_ in types:
        for key, kind in {"display": str, "non_active": bool, "deleted": bool}.items():
            if not isinstance(type_.get(key), kind | None):
                warn(f"The event list has {key} = {type_[key]!r:.100} for {type_['value']!r}; it is taken as null.")
                type_[key] = None
    return types

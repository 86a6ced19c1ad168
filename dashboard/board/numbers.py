"""Numbers as people write them."""

from collections.abc import Callable
from math import isfinite
from typing import TypeAlias, TypeGuard

SECONDS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
NOTHING = "-"
Written: TypeAlias = Callable[[float | None], str]


def count(value: float | None) -> str:
    """Return a count with its thousands: 1,234."""
    return f"{value:,.0f}" if is_there(value) else NOTHING


def amount(value: float | None) -> str:
    """Return a number that may be a fraction, with as many digits as say something: 1,234 or 3.18."""
    if not is_there(value):
        return NOTHING
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 1_000 else f"{value:,.3g}"


def share(value: float | None) -> str:
    """Return a share in percent: 12.3 %."""
    return f"{value:.1%}".replace("%", " %") if is_there(value) else NOTHING


def duration(seconds: float | None) -> str:
    """Return a time in its two largest units: 4 min 12 s."""
    if not is_there(seconds):
        return NOTHING
    left, parts = round(seconds), []
    for size, unit in SECONDS:
        if left >= size:
            parts.append(f"{left // size} {unit}")
        left %= size
    return " ".join(parts[:2]) or "0 s"


def change(now: float | None, before: float | None) -> str | None:
    """Return by how much a number has changed: +12.3 %; None where there is nothing to compare with."""
    if not is_there(now) or not is_there(before) or not before:
        return None
    return f"{now / before - 1:+.1%}".replace("%", " %")


def is_there(value: float | None) -> TypeGuard[float]:
    """Whether there is a number at all."""
    return value is not None and isfinite(value)

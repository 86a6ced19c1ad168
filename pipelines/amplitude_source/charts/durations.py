"""Lengths of time as users write them."""

import re
from typing import Annotated

from pydantic import AfterValidator

from ..yaml_files import PlacedError

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
DURATION = re.compile(rf"([0-9]{{1,9}}) ({'|'.join(SECONDS)})s?")
# Amplitude's limits of the conversion window: funnel-analysis-interpret.md.
LONGEST = 366 * SECONDS["day"]


def seconds_of(duration: str) -> int:
    """Return how long `30 days` or `12 hours` are."""
    found = DURATION.fullmatch(duration)
    if not found:
        raise PlacedError(f"{duration!r} is no length of time; write it as 30 days, 12 hours or 90 seconds.")
    return int(found[1]) * SECONDS[found[2]]


def checked(text: str) -> str:
    """Return a length of time, if it is one from a second to 366 days."""
    if not 1 <= seconds_of(text) <= LONGEST:
        raise PlacedError(f"{text} is not between 1 second and 366 days.")
    return text


Duration = Annotated[str, AfterValidator(checked)]
"""A length of time, such as `30 days`, from a second to 366 days."""

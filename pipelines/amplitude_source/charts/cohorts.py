"""The cohorts that segments name: only the warehouse knows which there are, and whether their users are loaded."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML

from ..settings import VARIABLE_PREFIX
from ..text_files import read_text
from ..yaml_files import line_of
from .definitions import ALL, FILE, Segment

LISTED = "SELECT project, cohort_id, name, size, members FROM silver.cohorts"
SETTING = f"{VARIABLE_PREFIX}COHORTS"


class Cohort(NamedTuple):
    """A row of `LISTED`."""

    project: str
    id: str
    name: str | None
    size: int | None
    members: int


class Fault(NamedTuple):
    """What is wrong with a cohort of a segment."""

    sentence: str
    is_wrong: bool
    """Whether the chart would be wrong; a cohort that is empty in Amplitude is right to be empty here."""


def cohorts_of(names: Iterable[str], segments: Mapping[str, Segment]) -> dict[str, str]:
    """Return the cohorts that segments, or those that make them up, stand for: by the segment that names each."""
    found: dict[str, str] = {}
    for name in names:
        if name != ALL:
            segment = segments[name]
            found |= {name: segment.cohort} if segment.cohort else cohorts_of(segment.others, segments)
    return found


def cohort_faults(wanted: Mapping[str, str], listed: Collection[Cohort], root: Path) -> Iterator[Fault]:
    """Yield what is wrong with the cohorts of segments, with the place.

    Args:
        wanted: by segment, the id or the name of its cohort.
        listed: the cohorts that the warehouse knows.
        root: the repository's folder.
    """
    for segment, cohort in wanted.items():
        if fault := _fault(cohort, listed):
            line = line_of(YAML().load(read_text(root / FILE)), ("segments", segment, "cohort"))
            yield fault._replace(sentence=f"{FILE}, line {line}: {fault.sentence}")


def _fault(cohort: str, listed: Collection[Cohort]) -> Fault | None:
    found = [each for each in listed if cohort in (each.id, each.name)]
    if not listed:
        return Fault(
            f"no cohorts are loaded: name {cohort!r} in {SETTING}, and load with --only cohorts --only cohort_members.",
            True,
        )
    if not found:
        names = sorted({name for each in listed for name in (each.id, each.name) if name})
        near = get_close_matches(cohort, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "silver.cohorts has those that Amplitude lists."
        return Fault(f"there is no cohort {cohort!r}; {hint}", True)
    if len({each.project for each in found}) < len(found):
        return Fault(f"several cohorts are {cohort!r}; write an id: {', '.join(each.id for each in found)}.", True)
    if any(each.members for each in found):
        return None
    if all(each.size == 0 for each in found):
        return Fault(f"cohort {cohort!r} has no users by Amplitude's last computation.", False)
    return Fault(
        f"the users of cohort {cohort!r} are not loaded: name it in {SETTING}, and load with --only cohort_members.",
        True,
    )

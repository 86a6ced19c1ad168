"""The charts of a repository: `sqlmesh/charts/`, a file each."""

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import ConfigDict, ValidationError

from ..errors import AmplitudeError
from ..yaml_files import Strict, first_fault, read, sentence
from .compared import chart_files
from .definitions import SPECIAL_EVENTS, VIEW, Words, parts_of, read_words
from .properties import COLUMN
from .queries import Compiled
from .types.composition import Composition, compile_composition
from .types.engagement import EngagementMatrix, compile_engagement
from .types.funnel import Funnel
from .types.funnel_query import compile_funnel
from .types.journeys import Journeys
from .types.journeys_query import compile_journeys
from .types.lifecycle import Lifecycle, compile_lifecycle
from .types.retention import Retention
from .types.retention_query import compile_retention
from .types.revenue import Revenue, compile_revenue
from .types.segmentation import Segmentation
from .types.segmentation_query import compile_segmentation
from .types.sessions import Sessions
from .types.sessions_query import compile_sessions
from .types.stickiness import Stickiness, compile_stickiness
from .types.usage_interval import UsageInterval, compile_usage_interval

Chart = (
    Segmentation
    | Funnel
    | Retention
    | UsageInterval
    | Lifecycle
    | Stickiness
    | Sessions
    | Journeys
    | Revenue
    | EngagementMatrix
    | Composition
)
TYPES: dict[str, type[Chart]] = {
    "segmentation": Segmentation,
    "funnel": Funnel,
    "retention": Retention,
    "usage_interval": UsageInterval,
    "lifecycle": Lifecycle,
    "stickiness": Stickiness,
    "sessions": Sessions,
    "journeys": Journeys,
    "revenue": Revenue,
    "engagement_matrix": EngagementMatrix,
    "composition": Composition,
}


class AnyType(Strict):
    """What is known of a chart before its type."""

    model_config = ConfigDict(extra="ignore")

    type: Literal[
        "segmentation", "funnel", "retention", "usage_interval", "lifecycle", "stickiness", "sessions", "journeys",
        "revenue", "engagement_matrix", "composition",
    ]  # fmt: skip


def read_charts(root: Path, words: Words | None = None) -> Mapping[str, Chart]:
    """Read all charts of a repository.

    Args:
        root: the repository's folder.
        words: what they may name; read from the repository if it is not given.

    Returns:
        The charts by their names, which are those of their files.

    Raises:
        AmplitudeError: what is wrong in a file, with the line.
    """
    words = words or read_words(root)
    return {name: read_chart(path, root, words) for name, path in files_by_name(root).items()}


def files_by_name(root: Path) -> Mapping[str, Path]:
    """Return the files of a repository's charts by the charts' names.

    Raises:
        AmplitudeError: a file has no name for a chart, or two have the same.
    """
    files: dict[str, Path] = {}
    for path in chart_files(root):
        name = name_of(path, root)
        if name in files:
            other = files[name].relative_to(root)
            raise AmplitudeError(f"{path.relative_to(root)}: there is a chart {name} already, in {other}.")
        files[name] = path
    return files


def name_of(path: Path, root: Path) -> str:
    """Return the name of a chart, which is that of its file.

    Raises:
        AmplitudeError: it is no name.
    """
    if not COLUMN.fullmatch(path.stem):
        raise AmplitudeError(f"{path.relative_to(root)}: name the file with small letters, digits and _ alone.")
    return path.stem


def read_chart(path: Path, root: Path, words: Words) -> Chart:
    """Read one chart.

    Raises:
        AmplitudeError: what is wrong in the file, with the line.
    """

    def model(content: object) -> type[Chart] | type[AnyType]:
        return TYPES.get(content.get("type", ""), AnyType) if isinstance(content, dict) else AnyType

    return cast(Chart, read(path, root, model, words))  # which AnyType has refused


def changed(chart: Chart, changes: Mapping[str, Any], words: Words) -> Chart:
    """Return a chart with other values for some of its keys.

    Raises:
        AmplitudeError: a value means nothing there; with the option that sets it.
    """
    content = {**chart.model_dump(exclude_unset=True, by_alias=True), **changes}
    try:
        return type(chart).model_validate(content, context=words)
    except ValidationError as error:
        fault = first_fault(error)
        raise AmplitudeError(f"The chart with these options: {sentence(fault, type(chart))}") from error


def event_types(chart: Chart, words: Words) -> list[str]:
    """Return the event types that a chart names, itself or by events of one's own; none of those built in."""
    parts = [part for part in chart.parts if part.event != VIEW]
    names = dict.fromkeys(own.event for part in parts for own in parts_of(part, words))
    return [name for name in names if name not in SPECIAL_EVENTS]


def unseen_events(chart: Chart, words: Words, types: Collection[str]) -> Iterator[str]:
    """Yield a sentence for each event type of a chart that never came; it may come later, so it is no fault.

    Args:
        chart: of any type.
        words: what it was read with.
        types: all event types that ever came.
    """
    for name in event_types(chart, words):
        if name not in types:
            near = get_close_matches(name, types, n=1)
            yield f"no event {name!r} has come so far{f'; did you mean {near[0]!r}?' if near else '.'}"


def compiled(chart: Chart, words: Words) -> Compiled:
    """Write the query of a chart.

    Args:
        chart: of any type.
        words: what it was read with.
    """
    match chart:
        case Segmentation():
            return compile_segmentation(chart, words)
        case Funnel():
            return compile_funnel(chart, words)
        case Retention():
            return compile_retention(chart, words)
        case UsageInterval():
            return compile_usage_interval(chart, words)
        case Lifecycle():
            return compile_lifecycle(chart, words)
        case Stickiness():
            return compile_stickiness(chart, words)
        case Sessions():
            return compile_sessions(chart, words)
        case Journeys():
            return compile_journeys(chart, words)
        case Revenue():
            return compile_revenue(chart, words)
        case EngagementMatrix():
            return compile_engagement(chart, words)
        case Composition():
            return compile_composition(chart, words)

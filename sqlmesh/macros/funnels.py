"""A warning about steps of funnels that no event has done."""

import difflib

from sqlmesh import macro
from sqlmesh.core.console import get_console
from sqlmesh.core.engine_adapter.base import EngineAdapter
from sqlmesh.core.macros import MacroEvaluator, RuntimeStage

UNSEEN = """
    SELECT steps.funnel, steps.step, steps.event_type, steps.property_filter
    FROM {silver}.funnel_steps AS steps
    LEFT JOIN (SELECT DISTINCT funnel, step FROM {silver}.funnel_events) AS done
        ON done.funnel = steps.funnel AND done.step = steps.step
    WHERE done.step IS NULL
    ORDER BY steps.funnel, steps.step
"""
EVENT_TYPES = "SELECT DISTINCT event_type FROM {silver}.event_types"
PROPERTIES = "SELECT DISTINCT event_type, property FROM {silver}.event_properties"
# Those that Amplitude has for every user: api/en/dashboard-rest.md, user composition.
BUILT_IN = (
    "version",
    "country",
    "city",
    "region",
    "DMA",
    "language",
    "platform",
    "os",
    "device",
    "start_version",
    "paying",
)
USER_PROPERTIES = "SELECT DISTINCT property FROM {silver}.user_property_changes"


@macro()
def warn_of_unseen_steps(evaluator: MacroEvaluator) -> None:
    """Warn, at the end of a plan or a run, of each step that no event has done, with the name that was probably meant.

    The definition may be right all the same, because the event may be new. So nothing stops.
    """
    if RuntimeStage(evaluator.runtime_stage) is not RuntimeStage.AFTER_ALL:
        return
    silver = "SILVER" if evaluator.this_env == "prod" else f"SILVER__{evaluator.this_env}".upper()
    if evaluator.engine_adapter.table_exists(f"{silver}.FUNNEL_EVENTS"):
        for warning in unseen_steps(evaluator.engine_adapter, silver):
            get_console().log_warning(warning)


def unseen_steps(adapter: EngineAdapter, silver: str) -> list[str]:
    """Return a sentence for each step that no event has done; none while there are no events at all."""
    steps = adapter.fetchall(UNSEEN.format(silver=silver))
    types = [name for (name,) in adapter.fetchall(EVENT_TYPES.format(silver=silver))] if steps else []
    if not types:
        return []
    properties = adapter.fetchall(PROPERTIES.format(silver=silver)) if any(step[3] for step in steps) else []
    user_properties = {*BUILT_IN, *(name for (name,) in adapter.fetchall(USER_PROPERTIES.format(silver=silver)))}
    sentences = []
    for funnel, step, event_type, property_filter in steps:
        own = [property_ for type_, property_ in properties if type_ == event_type]
        name = (property_filter or "").partition("=")[0]
        if event_type not in types:
            cause = f"no event {event_type!r} has come so far{guess(event_type, types)}"
        elif not property_filter:
            cause = f"no event {event_type!r} has come so far."
        elif name in own or name.partition(".")[0] in own:
            cause = f"no {event_type!r} with {property_filter} has come so far."
        elif name in user_properties:
            cause = f"{name!r} is a user property; a step filters event properties."
        else:
            cause = f"no {event_type!r} has had the property {name!r} so far{guess(name, own)}"
        sentences.append(f"sqlmesh/seeds/funnels.csv, funnel {funnel!r}, step {step}: {cause}")
    return sentences


def guess(name: str, names: list[str]) -> str:
    """Return the end of a sentence: a question for the nearest of the names, if any is near."""
    found = difflib.get_close_matches(name, names, n=1)
    return f"; do you mean {found[0]!r}?" if found else "."

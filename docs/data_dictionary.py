"""Write `reference/tables.md`: every table of bronze, silver and gold with its columns, as the code describes them."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from sqlglot import exp
from sqlmesh import Context
from sqlmesh.core.model import Model

from generated import ROOT, page_command

sys.path.insert(0, str(ROOT / "pipelines"))

from amplitude_source.tables import (
    ANNOTATION_CATEGORIES_COLUMNS,
    ANNOTATIONS_COLUMNS,
    COHORT_MEMBERS_COLUMNS,
    COHORT_REQUESTS_COLUMNS,
    COHORTS_COLUMNS,
    DAILY_NUMBERS_COLUMNS,
    DELETION_JOBS_COLUMNS,
    EVENTS_COLUMNS,
    EVENTS_LIST_COLUMNS,
    EXPERIMENTS_COLUMNS,
    LEDGER_COLUMNS,
    MERGE_IDS_COLUMNS,
    PIPELINE_RUNS_COLUMNS,
    REJECTED_COLUMNS,
    RESOURCE_LOADS_COLUMNS,
    SCHEMA_CHANGES_COLUMNS,
    TAXONOMY_COLUMNS,
    USER_IDENTITIES_COLUMNS,
    column_hints,
)

DICTIONARY = ROOT / "docs" / "reference" / "tables.md"
CUSTOM_MODELS = ROOT / "sqlmesh" / "models" / "custom"
SCRIPT = Path(__file__).name

INTRODUCTION = f"""# Tables

`python docs/{SCRIPT}` writes this page from the models in `sqlmesh/models/` and the columns of
bronze. The same descriptions are comments in the warehouse. Times are UTC. Dates are days in the
reporting time zone.
"""
LAYERS = {
    "silver": "The events that Amplitude exported, each once, and who did them.",
    "gold": "The numbers of Amplitude's charts, and one wide view of all events.",
}
BRONZE = {
    "events": (
        EVENTS_COLUMNS,
        "A row of the export: Amplitude's keys as columns, nested values as JSON text, and where the row came from. A "
        "new key becomes a text column. While a load runs, and after one was interrupted, only the rows of an hour's "
        "newest finished load count.",
    ),
    "export_hours": (
        LEDGER_COLUMNS,
        "The ledger: an hour of a project that was asked for. It is loaded, empty, pending or retired.",
    ),
    "rejected_rows": (REJECTED_COLUMNS, "A line that could not be read, and why."),
    "schema_changes": (SCHEMA_CHANGES_COLUMNS, "A key of the export that became a column, with its first value."),
    "events_list": (EVENTS_LIST_COLUMNS, "An event type in a snapshot of Amplitude's event list."),
    "merge_ids": (MERGE_IDS_COLUMNS, "A merge of two users by Amplitude, where you load them."),
    "resource_loads": (RESOURCE_LOADS_COLUMNS, "The last answer of a REST API to a project, and what came of it."),
    "daily_numbers": (DAILY_NUMBERS_COLUMNS, "One of Amplitude's own numbers of a day."),
    "annotations": (ANNOTATIONS_COLUMNS, "An annotation of charts."),
    "annotation_categories": (ANNOTATION_CATEGORIES_COLUMNS, "A category of annotations."),
    "cohorts": (COHORTS_COLUMNS, "A cohort."),
    "cohort_members": (
        COHORT_MEMBERS_COLUMNS,
        "A user's stay in a cohort. Who left and came back has two of them.",
    ),
    "cohort_requests": (COHORT_REQUESTS_COLUMNS, "A request for the users of a cohort, noted before it was made."),
    "taxonomy": (TAXONOMY_COLUMNS, "A category, event type or property of the tracking plan."),
    "user_identities": (USER_IDENTITIES_COLUMNS, "A user of the daily sample, and whom Amplitude takes them for."),
    "deletion_jobs": (DELETION_JOBS_COLUMNS, "A user whom a job deletes from Amplitude."),
    "experiments": (EXPERIMENTS_COLUMNS, "An experiment or a feature flag."),
    "pipeline_runs": (
        PIPELINE_RUNS_COLUMNS,
        "A run of a load. One that was killed has no end, and what it had loaded by then.",
    ),
}

TABLE = ("| column | type | |", "|---|---|---|")


def text() -> str:
    os.environ.setdefault("SOURCES__AMPLITUDE__START_HOUR", "2026-06-01T00")  # no column depends on it
    return dictionary(Context(paths=[str(ROOT)]))


def dictionary(context: Context) -> str:
    parts = [INTRODUCTION, "## Bronze\n\nThe tables that a load writes.\n", *map(bronze_section, BRONZE)]
    for layer, what in LAYERS.items():
        models = sorted((model for model in context.models.values() if is_in(layer, model)), key=short_name)
        parts += [f"## {layer.capitalize()}\n\n{what}\n", *map(section, models)]
    return "\n".join(parts)


def bronze_section(table: str) -> str:
    types, description = BRONZE[table]
    hints = column_hints(types)
    rows = [
        f"| `{name.replace('$', '_')}` | {hint['data_type']} | {hint['description']} |" for name, hint in hints.items()
    ]
    return "\n".join([f"### bronze.{table}\n", f"{description}\n", *TABLE, *rows, ""])


def section(model: Model) -> str:
    return "\n".join([f"### {short_name(model)}\n", *facts(model), "", *columns(model), ""])


def facts(model: Model) -> Iterator[str]:
    yield " ".join((model.description or "").replace("\n *", "\n").split()) + "\n"
    grain = ", ".join(f"`{column.name}`" for each in model.grains for column in each.find_all(exp.Column))
    yield f"- One row: {grain}"
    parents = sorted(name.replace('"', "").partition(".")[2].lower() for name in model.depends_on or ())
    if parents:
        yield f"- From: {', '.join(f'`{parent}`' for parent in parents)}"
    yield f"- Kind: {model.kind.name}"


def columns(model: Model) -> Iterator[str]:
    yield from TABLE
    for name, type_ in (model.columns_to_types or {}).items():
        comment = (model.column_descriptions or {}).get(name, "").replace("|", "\\|")
        yield f"| `{name.lower()}` | {type_.sql('snowflake')} | {comment} |"


def is_in(layer: str, model: Model) -> bool:
    """Return whether a model is this project's, and not the user's own, and in the layer."""
    return short_name(model).startswith(f"{layer}.") and CUSTOM_MODELS not in (model._path or ROOT).parents


def short_name(model: Model) -> str:
    return model.name.replace('"', "").lower()


if __name__ == "__main__":
    page_command(SCRIPT, DICTIONARY, text)()

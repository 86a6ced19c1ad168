"""The command `chart`: asks a question at once, without building anything."""

import csv
import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
import duckdb
from dlt.destinations.exceptions import DatabaseException, DatabaseUndefinedRelation
from dlt.destinations.sql_client import SqlClientBase

from ..charts.book import Chart, changed, compiled, read_chart, read_charts, unseen_events
from ..charts.cohorts import LISTED, Cohort, cohort_faults, cohorts_of
from ..charts.compared import ENDINGS, FOLDER
from ..charts.definitions import Words, read_words
from ..charts.queries import Compiled
from ..errors import AmplitudeError
from ..invocation import INVOKED_FROM, sqlmesh_command
from ..settings import ENGINES, GATEWAYS, load_projects
from .chart_report import Row, show_answer
from .loads import looking
from .logs import warn
from .options import destination_option
from .reports import out

EVENT_TYPES = "SELECT DISTINCT event_type FROM silver.event_types"
# As SQLMesh's connection has it: DuckDB cannot know how few of the joined rows a chart's events have. Loads have one
# thread; an answer may have all.
DUCKDB_SESSION = f"SET disabled_optimizers = 'join_order,build_side_probe_side'; SET threads = {os.cpu_count() or 1}"
INVALID_IDENTIFIER = 904  # of Snowflake
INTERVALS = ("hour", "day", "week", "month", "quarter")


def parse_date(_: click.Context, option: click.Parameter, text: str | None) -> date | None:
    """Read a day."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a day; write it as 2026-06-01.", param=option) from error


@click.command()
@click.argument("chart", required=False)
@click.option("--since", metavar="DAY", callback=parse_date, help="From the interval on that holds this day.")
@click.option("--until", metavar="DAY", callback=parse_date, help="To the interval that holds this day.")
@click.option("--interval", type=click.Choice(INTERVALS), help="How long each point's time is.")
@click.option("--by", multiple=True, metavar="COLUMN", help="Break down by a column; may stand there twice.")
@click.option("--segment", "segments", multiple=True, metavar="NAME", help="A segment; may stand there twice.")
@click.option("--count-by", metavar="COLUMN", help="Count its values instead of users, such as companies.")
@click.option("--top", type=click.IntRange(1), help="So many values of --by, and the rest as (other).")
@click.option("--csv", "form", flag_value="csv", help="The rows as CSV.")
@click.option("--json", "form", flag_value="json", help="The rows as JSON, one object a line.")
@click.option(
    "--sql",
    "engine",
    is_flag=False,
    flag_value="",
    type=click.Choice(["", "duckdb", "snowflake"]),
    metavar="[ENGINE]",
    help="The chart's SQL, for the warehouse of the settings or for the one named; nothing is asked.",
)
@destination_option
def chart(chart: str | None, form: str | None, engine: str | None, destination: str, **options: Any) -> None:
    """Answer a chart from silver and gold as they are now, and build nothing.

    CHART is the name of one in sqlmesh/charts/, or a file. Without it the charts are listed. The options stand for
    those of the file.

    \b
    amplitude.py chart orders
    amplitude.py chart orders --by country --top 5
    amplitude.py chart draft.yaml --since 2026-06-01 --csv
    """
    if destination not in GATEWAYS:
        raise click.UsageError("A lake of files has no gold to ask: take another --destination.")
    root = Path.cwd()  # the repository's
    words = read_words(root)
    if chart is None:
        list_charts(read_charts(root, words))
        return
    changes = {name: [*value] if isinstance(value, tuple) else value for name, value in options.items() if value}
    asked = changed(chosen(chart, root, words), changes, words)
    query = compiled(asked, words)
    if engine is not None:
        click.echo(query.for_engine(engine or ENGINES[destination]))
        return
    wanted = cohorts_of(asked.segments, words.segments)
    rows, types, listed = answer(query, destination, bool(wanted))
    for fault in cohort_faults(wanted, listed, root):
        if fault.is_wrong:
            raise AmplitudeError(fault.sentence)
        warn(fault.sentence)
    for sentence in unseen_events(asked, words, types):
        warn(sentence)
    value = [each.name for each in query.columns].index(query.value)
    if not any(row[value] for row in rows):
        warn("nothing that the chart counts was found; look at its events, conditions, columns, segments and days.")
    if form == "json":
        write_json(query, rows)
    elif form == "csv":
        write_csv(query, rows)
    else:
        show_answer(asked, query, rows)


def chosen(name: str, root: Path, words: Words) -> Chart:
    """Read the chart that an argument names: one of the repository, or a file.

    Raises:
        click.UsageError: there is none; with the nearest name.
    """
    path = INVOKED_FROM / name
    if path.suffix in ENDINGS or path.is_file():
        if not path.is_file():
            raise click.UsageError(f"There is no file {name}.")
        return read_chart(path, root, words)
    charts = read_charts(root, words)
    if name not in charts:
        near = get_close_matches(name, charts, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"It has {', '.join(charts) or 'none yet'}."
        raise click.UsageError(f"{FOLDER} has no chart {name}. {hint}")
    return charts[name]


def list_charts(charts: Mapping[str, Chart]) -> None:
    """Print the charts of the repository."""
    for name, each in charts.items():
        out.print(f"{name}: {each.title or each.type}")
    if not charts:
        out.print(f"{FOLDER} has no charts yet; docs/guides/charts.md shows how to write one.")


def answer(query: Compiled, destination: str, has_cohorts: bool) -> tuple[list[Row], list[str], list[Cohort]]:
    """Ask the warehouse.

    Args:
        query: the chart's.
        destination: a warehouse.
        has_cohorts: whether its segments name any.

    Returns:
        The chart's rows in the order of its keys, all event types that ever came, and the cohorts, if any are named.

    Raises:
        AmplitudeError: gold is not built yet, or has not the columns that the chart names.
    """
    settings = load_projects()[0]
    sql = f"{query.for_engine(ENGINES[destination])}\nORDER BY {', '.join(query.keys)}"
    with looking(destination, settings) as pipeline, pipeline.sql_client() as client:
        if ENGINES[destination] == "duckdb":
            client.execute_sql(DUCKDB_SESSION)
        try:
            with client.execute_query(sql) as cursor:
                rows = cursor.fetchall()
            with client.execute_query(EVENT_TYPES) as cursor:
                types = [name for (name,) in cursor.fetchall()]
            listed = listed_cohorts(client) if has_cohorts else []
        except DatabaseException as error:
            if not is_missing(error):
                raise
            raise AmplitudeError(f"Gold has not what the chart asks for yet: run {sqlmesh_command('plan')}.") from error
    return rows, types, listed


def listed_cohorts(client: SqlClientBase[Any]) -> list[Cohort]:
    """Return the cohorts that Amplitude lists today."""
    with client.execute_query(LISTED) as cursor:
        return [Cohort(*row) for row in cursor.fetchall()]


def is_missing(error: DatabaseException) -> bool:
    """Whether a table or a column is missing: the chart was checked, so a plan has yet to make it."""
    cause = getattr(error, "dbapi_exception", None)
    is_column = isinstance(cause, duckdb.BinderException) or getattr(cause, "errno", None) == INVALID_IDENTIFIER
    return isinstance(error, DatabaseUndefinedRelation) or is_column


def write_csv(query: Compiled, rows: Sequence[Row]) -> None:
    """Write the rows as CSV, with a line of names."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(each.name for each in query.columns)
    writer.writerows(rows)


def write_json(query: Compiled, rows: Sequence[Row]) -> None:
    """Write the rows as JSON, one object a line."""
    names = [each.name for each in query.columns]
    for row in rows:
        click.echo(json.dumps(dict(zip(names, row, strict=True)), default=date.isoformat, ensure_ascii=False))

"""Charts of gold as dynamic tables, which Snowflake itself keeps up to date.

`dynamic_tables` of `sqlmesh/config.yaml` names the charts, and how old the rows of each may be. Such a model is of
SQLMesh's kind MANAGED. Its query, its columns and its audits stay as they are.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from sqlglot import exp
from sqlmesh.core.dialect import parse
from sqlmesh.core.model import Model, load_sql_based_model

from ..charts.compared import FOLDER
from ..charts.expressions import DIALECT
from ..errors import AmplitudeError
from .variables import line_of

VARIABLE = "dynamic_tables"
CONFIG = Path("sqlmesh/config.yaml")
ENGINE = "snowflake"
CHARTS = (Path("sqlmesh/models/gold/charts"), FOLDER)
"""Where the charts are. They count rows of silver; gold's other views hold rows, or show how far the export is."""
LAG = re.compile(r"[1-9]\d* (minute|hour|day)s?")
"""Snowflake takes seconds, too, of which 60 are the least."""
# SQLMesh itself asks for target_lag and adds the warehouse. A run replaces some tables of silver as a whole. Snowflake
# then tracks their changes no more, which all other modes of refreshing need (user-guide/dynamic-tables/create).
PROPERTIES = {"refresh_mode": exp.var("FULL")}
MANAGED = """
MODEL (name gold.managed, kind MANAGED, physical_properties (target_lag = ''));
SELECT 1 AS one;
@refresh_dynamic_table()
"""
"""Has the kind and the statement, which is of macros/dynamic_tables.py, in SQLMesh's own form."""


def read_dynamic_tables(root: Path, variables: Mapping[str, Any], engine: str) -> dict[str, str]:
    """Return by the name of a chart how old its rows may be.

    Args:
        root: the repository's folder.
        variables: of `sqlmesh/config.yaml`.
        engine: that builds silver and gold.

    Raises:
        AmplitudeError: the engine has no dynamic tables, or a value means nothing; with the line.
    """
    given = variables.get(VARIABLE)
    if not given:
        return {}
    if not isinstance(given, Mapping):
        raise complaint(
            root, VARIABLE, f"is {given!r}: write a line for each chart below, as `gold.daily_metrics: 1 hour`."
        )
    if engine != ENGINE:
        raise complaint(root, VARIABLE, f"needs Snowflake, and {engine} builds silver and gold here: delete its lines.")
    for name, lag in given.items():
        if not LAG.fullmatch(str(lag)):
            raise complaint(root, str(name), f"is {lag!r}: write a number of minutes, hours or days, as 1 hour.")
    return {str(name): str(lag) for name, lag in given.items()}


def complaint(root: Path, name: str, sentence: str) -> AmplitudeError:
    """Return the error of a line of the configuration."""
    return AmplitudeError(f"{CONFIG}, line {line_of(name, root / CONFIG)}: {name} {sentence}")


def dynamic_models(
    root: Path, lags: Mapping[str, str], models: Mapping[str, Model], **loading: Any
) -> dict[str, Model]:
    """Return the charts that are to be dynamic tables, by their full names.

    Args:
        root: the repository's folder.
        lags: by the name of a chart how old its rows may be.
        models: all of the project.
        loading: how SQLMesh's loader loads models: its macros, variables, defaults.

    Raises:
        AmplitudeError: there is no such chart; with the line.
    """
    if not lags:
        return {}
    charts = {model.name: model for model in models.values() if is_chart(root, model)}
    for name in [each for each in lags if each not in charts]:
        near = get_close_matches(name, charts, n=1)
        hint = f"did you mean {near[0]}?" if near else f"write one of {', '.join(sorted(charts))}."
        raise complaint(root, name, f"is no chart that is a view: {hint}")
    managed = load_sql_based_model(parse(MANAGED, default_dialect=DIALECT), dialect=DIALECT, **loading)
    return {charts[name].fqn: dynamic(charts[name], managed, lag) for name, lag in lags.items()}


def is_chart(root: Path, model: Model) -> bool:
    """Return whether a model is a chart of the project or of the user, and a view."""
    return model.kind.is_view and model._path is not None and model._path.parent in {root / each for each in CHARTS}


def dynamic(chart: Model, managed: Model, lag: str) -> Model:
    """Return a chart as a dynamic table.

    Args:
        chart: a view.
        managed: has the kind, and the statement that has a run refresh the table.
        lag: how old its rows may be.
    """
    own = chart.physical_properties_.expressions if chart.physical_properties_ else []
    properties = {"target_lag": exp.Literal.string(lag), **PROPERTIES}
    added = [exp.Literal.string(name).eq(value) for name, value in properties.items()]
    return chart.copy(
        update={
            "kind": managed.kind,
            "physical_properties_": exp.Tuple(expressions=[*own, *added]),
            "post_statements_": managed.post_statements_,
            "python_env": {**managed.python_env, **chart.python_env},
        }
    )

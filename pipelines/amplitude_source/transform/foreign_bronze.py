"""The bronze that silver reads: this pipeline's own, or tables that another tool fills.

`bronze` of `sqlmesh/config.yaml` chooses, and `bronze_tables` names the tables. A query of `sqlmesh/bronze/` turns
their rows into `bronze.exported_events`. Models of `sqlmesh/bronze/seam/` make this pipeline's tables of bronze from
it. All of them are embedded: silver's models stay as they are, and the warehouse gets no view.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from sqlglot import exp, parse_one
from sqlmesh.core.dialect import MacroFunc, parse
from sqlmesh.core.engine_adapter.base import EngineAdapter
from sqlmesh.core.model import Model, create_external_model, load_sql_based_model
from sqlmesh.core.renderer import QueryRenderer
from sqlmesh.core.snapshot import Snapshot
from sqlmesh.utils.metaprogramming import Executable

from ..charts.expressions import DIALECT
from ..errors import AmplitudeError
from .variables import line_of

OWN = "amplitude_warehouse"
CHOICE, TABLES = "bronze", "bronze_tables"
"""The variables."""
CONFIG = Path("sqlmesh/config.yaml")
FOLDER = Path("sqlmesh/bronze")
SEAM = "seam"
EVENTS = "events"
KINDS = (EVENTS, "merge_ids", "events_list")
"""What `bronze_tables` may name."""
DEFAULT_PROJECT = "default"
TABLE_NAME = re.compile(r'([\w$]+|"[^"]+")(\.([\w$]+|"[^"]+")){1,2}')
GATED, GATE = "silver.events", "LANDED_HOURS"
"""The model that takes hours in, and the query of its gate: see signals/export_hours.py."""
BY_HOUR = "bronze.events"
"""Has only the hours of a run; the three models of `silver/export/` that read it ask for no others."""
ROWS, VARIABLE = "foreign_rows", "foreign_tables"
"""The macro by which queries read the tables, and what it goes by."""


@dataclass(frozen=True)
class ForeignBronze:
    """Tables that another tool fills with Amplitude's events."""

    name: str
    paths: tuple[Path, ...]
    """The embedded models, `exported_events` first."""
    tables: Mapping[str, Mapping[str, str]]
    """By kind, each project's table."""
    columns: Mapping[str, tuple[str, ...]]
    """By kind, the columns that the models read."""

    def variable(self, catalog: str | None) -> dict[str, dict[str, Any]]:
        """Return what `macros/foreign.py` goes by.

        The names have the catalog, because SQLMesh keeps queries in files by what they are made of.
        """
        return {
            kind: {
                "tables": {project: in_catalog(table, catalog) for project, table in self.tables[kind].items()},
                "columns": [*self.columns[kind]],
            }
            for kind in KINDS
        }

    def named(self) -> Iterator[tuple[str, str]]:
        """Yield the kind and the name of each table."""
        for kind, tables in self.tables.items():
            for table in tables.values():
                yield kind, table


def read_bronze(root: Path, variables: Mapping[str, Any]) -> ForeignBronze | None:
    """Read which bronze is chosen; None for this pipeline's own.

    Args:
        root: the repository's folder.
        variables: of `sqlmesh/config.yaml`.

    Raises:
        AmplitudeError: there is no such bronze, or its tables are not named; with the line.
    """
    try:
        return chosen_bronze(root, variables)
    except AmplitudeError as error:
        variable = TABLES if str(error).startswith(TABLES) else CHOICE
        raise AmplitudeError(f"{CONFIG}, line {line_of(variable, root / CONFIG)}: {error}") from error


def chosen_bronze(root: Path, variables: Mapping[str, Any]) -> ForeignBronze | None:
    """Return the chosen bronze, with the same arguments."""
    choice, tables = variables.get(CHOICE, OWN), variables.get(TABLES)
    words = [OWN, *sorted(path.stem for path in (root / FOLDER).glob("*.sql"))]
    if choice not in words:
        near = get_close_matches(str(choice), words, n=1)
        hint = f"did you mean {near[0]}?" if near else f"write {', '.join(words[:-1])} or {words[-1]}."
        raise AmplitudeError(f"{CHOICE} is {choice!r}: {hint}")
    if choice == OWN:
        if tables:
            raise AmplitudeError(f"{TABLES} is of no use with {CHOICE}: {OWN}: delete it, or choose another {CHOICE}.")
        return None
    paths = (root / FOLDER / f"{choice}.sql", *sorted((root / FOLDER / SEAM).glob("*.sql")))
    return ForeignBronze(choice, paths, named_tables(choice, tables), needed_columns(paths))


def named_tables(choice: str, tables: object) -> dict[str, dict[str, str]]:
    """Return by kind each project's table; one name alone is that of the only project.

    Raises:
        AmplitudeError: a kind or a name means nothing, or the table of the events is missing.
    """
    given = tables if isinstance(tables, Mapping) else {}
    for kind in given:
        if kind not in KINDS:
            near = get_close_matches(str(kind), KINDS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"write {', '.join(KINDS[:-1])} or {KINDS[-1]}."
            raise AmplitudeError(f"{TABLES} names {kind!r}: {hint}")
    if not given.get(EVENTS):
        raise AmplitudeError(
            f"{TABLES} must name the table of the events for {CHOICE}: {choice}; write `{EVENTS}: schema.table` below."
        )
    named = {kind: by_project(given.get(kind)) for kind in KINDS}
    for kind, of_projects in named.items():
        if other := of_projects.keys() - named[EVENTS].keys():
            raise AmplitudeError(f"{TABLES}: {kind} has the project {min(other)!r}, which {EVENTS} lacks.")
        for table in of_projects.values():
            if not TABLE_NAME.fullmatch(table):
                raise AmplitudeError(f"{TABLES}: {kind} is {table!r}: write schema.table or database.schema.table.")
    return named


def by_project(named: object) -> dict[str, str]:
    """Return each project's table, as one name or a mapping gives them."""
    if isinstance(named, Mapping):
        return {str(project): str(table) for project, table in named.items()}
    return {DEFAULT_PROJECT: str(named)} if named else {}


def in_catalog(name: str, catalog: str | None) -> str:
    """Return the name of a table with the catalog, unless it has one."""
    return f"{catalog}.{name}" if catalog and len(exp.to_table(name, dialect=DIALECT).parts) < 3 else name


def needed_columns(paths: tuple[Path, ...]) -> dict[str, tuple[str, ...]]:
    """Return by kind the columns that queries take from the tables, in their order."""
    found: dict[str, dict[str, None]] = {kind: {} for kind in KINDS}
    for path in paths:
        for tree in parse(path.read_text(encoding="utf-8"), default_dialect=DIALECT):
            for kind, alias in read_kinds(tree):
                columns = (each for each in tree.find_all(exp.Column) if each.table.lower() == alias)
                names = (each.this.name if each.this.quoted else each.name.upper() for each in columns)
                found[kind] |= {name: None for name in names if name != "PROJECT"}  # which the macro adds
    return {kind: tuple(names) for kind, names in found.items()}


def read_kinds(tree: exp.Expr) -> Iterator[tuple[str, str]]:
    """Yield the kinds of tables that a query reads, with the alias of each."""
    for macro in tree.find_all(MacroFunc):
        if macro.this.name.lower() == ROWS:
            alias = macro.find_ancestor(exp.Table)
            yield macro.this.expressions[0].name.lower(), alias.alias.lower() if alias else ""


def foreign_models(bronze: ForeignBronze, **loading: Any) -> Iterator[Model]:
    """Yield the embedded models, and the tables that they read as external models.

    Args:
        bronze: the chosen one.
        loading: how SQLMesh's loader loads models: its macros, variables, defaults.
    """
    for _, table in bronze.named():  # without columns, because SQLMesh takes $INSERT_ID for INSERT_ID
        yield create_external_model(
            table, dialect=DIALECT, path=bronze.paths[0], default_catalog=loading["default_catalog"]
        )
    loading["variables"] = {**loading["variables"], VARIABLE: bronze.variable(loading["default_catalog"])}
    for path in bronze.paths:
        text = parse(path.read_text(encoding="utf-8"), default_dialect=DIALECT)
        yield load_sql_based_model(text, path=path, dialect=DIALECT, **loading)


def gated_by(embedded: Mapping[str, Model], model: Model, engine: str) -> Model:
    """Return a model whose gate reads the embedded models; the gate's own query names tables, and SQLMesh expands none.

    Args:
        embedded: the models of the bronze, by their full names.
        model: with the signal `export_hours_landed`.
        engine: the dialect in which the gate's query is sent.
    """
    snapshots = {name: Snapshot.from_node(each, nodes={**embedded}) for name, each in embedded.items()}
    query = parse_one(ast.literal_eval(model.python_env[GATE].payload), dialect=DIALECT)
    renderer = QueryRenderer(query, DIALECT, [], default_catalog=model.default_catalog, optimize_query=False)
    sql = (renderer.render(snapshots=snapshots) or query).sql(engine, comments=False)
    text = sql.replace("{", "{{").replace("}", "}}").replace("{{first}}", "{first}")  # the gate formats it
    gate = Executable.value(text, is_metadata=True)
    return model.copy(update={"python_env": {**model.python_env, GATE: gate}})


def check_readers(embedded: Mapping[str, Model], models: Iterable[Model]) -> None:
    """Look whether a model of the user's own reads the events of bronze, of which it would miss some in silence.

    Args:
        embedded: the models of the bronze, by their full names.
        models: the user's own.

    Raises:
        AmplitudeError: one does.
    """
    by_hour = {name for name, model in embedded.items() if model.name == BY_HOUR}
    for model in models:
        if by_hour & (model.depends_on or set()):
            raise AmplitudeError(
                f"{model.name} reads {BY_HOUR}, which has no more than the hours of a run where another tool fills "
                f"bronze: have it read {GATED}."
            )


def check_tables(bronze: ForeignBronze, adapter: EngineAdapter) -> None:
    """Look whether the tables are there, with the columns that the models read.

    Raises:
        AmplitudeError: a table cannot be read or lacks columns.
    """
    for kind, table in bronze.named():
        try:
            columns = {name.upper() for name in adapter.columns(exp.to_table(table, dialect=DIALECT))}
        except Exception as error:  # of whatever engine
            raise AmplitudeError(
                f"{TABLES}: {table} cannot be read ({' '.join(str(error).split())}): write its name with its schema, "
                "and give this role the right to read it."
            ) from error
        if lacking := [name for name in bronze.columns[kind] if name.upper() not in columns]:
            raise AmplitudeError(
                f"{TABLES}: {table} lacks {', '.join(lacking)}, which silver reads: have the connector sync "
                f"{'it' if len(lacking) == 1 else 'them'}, or name a view of the table that has NULL instead."
            )

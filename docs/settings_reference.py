"""Write `reference/settings.md`: every setting with its type, its default and its meaning, as the code describes it."""

import ast
import inspect
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from generated import ROOT, page_command

sys.path.insert(0, str(ROOT / "pipelines"))

from amplitude_source.lake.privacy import PrivacySettings
from amplitude_source.lake.storage import LakeConfiguration
from amplitude_source.settings import (
    CATALOGUE_VARIABLE,
    DASHBOARD_VARIABLES,
    DESTINATIONS,
    GATEWAYS,
    SQLMESH_VARIABLES,
    AlertSettings,
    AmplitudeSettings,
    FirstHour,
)

REFERENCE = ROOT / "docs" / "reference" / "settings.md"
SCRIPT = Path(__file__).name
# By the prefix of their variables: the classes that describe them.
SPECS: dict[str, tuple[type, ...]] = {
    "SOURCES__AMPLITUDE__": (FirstHour, AmplitudeSettings),
    "SOURCES__AMPLITUDE__LAKE__": (LakeConfiguration,),
    "SOURCES__AMPLITUDE__PRIVACY__": (PrivacySettings,),
    "ALERTS__": (AlertSettings,),
}
TITLES = {
    "SOURCES__AMPLITUDE__": "The Amplitude project",
    "SOURCES__AMPLITUDE__LAKE__": "The lake",
    "SOURCES__AMPLITUDE__PRIVACY__": "Personal data",
    "ALERTS__": "Alerts",
}
INTRODUCTION = f"""# Settings

Both tools read the same settings, in this order: environment variables, `.env`,
`.dlt/secrets.toml`, `.dlt/config.toml`, and the other providers of dlt. An empty value is no value.
A name that is not a setting is refused, with the nearest one. `python docs/{SCRIPT}` writes this
page from the code.

A project among several has settings of its own: `SOURCES__AMPLITUDE__PROJECTS__<NAME>__API_KEY`
and so on for every name below `SOURCES__AMPLITUDE__`, or the table
`[sources.amplitude.projects.<name>]`. What a project leaves out it takes from the settings without
a name. Its own come first, whatever place they stand in.

`SOURCES__AMPLITUDE__X` is `x` in the table `[sources.amplitude]` of dlt's files.
"""
# Types as users say them.
KINDS = {"TSecretStrValue": "secret", "str": "text", "int": "whole number", "float": "number", "list[str]": "a list"}
WAREHOUSE = {
    "AMPLITUDE_DESTINATION": f"Where bronze lies, for both tools: {', '.join(DESTINATIONS)}. Default: duckdb.",
    "SQLMESH_GATEWAY": f"SQLMesh's own switch ({', '.join(GATEWAYS.values())}). It may be left out; it must not "
    "contradict.",
    "DESTINATION__DUCKDB__CREDENTIALS": "The DuckDB file; its name is amplitude.duckdb, in any folder. "
    "Default: data/amplitude.duckdb.",
    CATALOGUE_VARIABLE: "The PostgreSQL that has DuckLake's catalogue and SQLMesh's state, as "
    "postgresql://user:password@host:5432/database, or HOST, PORT, DATABASE, USERNAME and PASSWORD below it. "
    "Options of libpq may follow, as ?sslmode=disable. Default of sslmode: require.",
    "DESTINATION__SNOWFLAKE__CREDENTIALS": "dlt's credentials of Snowflake: an address, or HOST, USERNAME, "
    "PRIVATE_KEY_PATH, DATABASE, WAREHOUSE and ROLE below it.",
    "DESTINATION__SNOWFLAKE__STAGE_NAME": "The stage over the lake's staging area. Default: BRONZE.LAKE_STAGING.",
}


def text() -> str:
    return "\n".join(sections())


def sections() -> Iterator[str]:
    yield INTRODUCTION
    for prefix, classes in SPECS.items():
        yield f"## {TITLES[prefix]}\n"
        for spec in classes:
            for field, kind, default, description in fields(spec):
                yield item(f"{prefix}{field.upper()}", description, kind, default)
        yield ""
    yield "## The warehouse\n"
    yield from (
        item(name, description) for name, description in (WAREHOUSE | SQLMESH_VARIABLES | DASHBOARD_VARIABLES).items()
    )
    yield "\n## The charts\n"
    yield "These stand in `sqlmesh/config.yaml`, below `variables`, each with its meaning.\n"


def item(name: str, description: str, kind: str = "", default: str = "") -> str:
    """Return an entry of the list."""
    facts = ", ".join(fact for fact in (kind, f"default {default}" if default else "") if fact)
    return f"- **`{name}`**{f' ({facts})' if facts else ''}<br>{description}"


def fields(spec: type) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, type, default and description of each documented field of a class."""
    source = ast.parse(inspect.getsource(spec))
    body = [statement for class_ in source.body if isinstance(class_, ast.ClassDef) for statement in class_.body]
    for node, after in pairwise(body):
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(after, ast.Expr)):
            continue
        if node.target.id == "project" or not isinstance(after.value, ast.Constant):
            continue
        annotation = ast.unparse(node.annotation).removesuffix(" | None")
        kind = KINDS.get(annotation, annotation)
        value = ast.unparse(node.value) if node.value else ""
        default = "" if value in ("None", "dlt.config.value") or "field(" in value else value
        yield node.target.id, kind, default, " ".join(str(after.value.value).split())


if __name__ == "__main__":
    page_command(SCRIPT, REFERENCE, text)()

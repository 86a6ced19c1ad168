"""Write `settings.md`: every setting, with its type, its default and what it does, as the code describes it.

`python docs/settings_reference.py` writes it; with `--check` it only says whether the file is up to date.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "pipelines"))

from amplitude_source.settings import DESTINATIONS, SQLMESH_VARIABLES  # noqa: E402 - from that folder

REFERENCE = ROOT / "docs" / "settings.md"
COMMAND = "python docs/settings_reference.py"
PACKAGE = ROOT / "pipelines/amplitude_source"
# By the prefix of their variables: the file and the class that describes them.
SPECS = {
    "SOURCES__AMPLITUDE__": (("settings.py", "FirstHour"), ("settings.py", "AmplitudeSettings")),
    "SOURCES__AMPLITUDE__LAKE__": (("lake/storage.py", "LakeConfiguration"),),
    "SOURCES__AMPLITUDE__PRIVACY__": (("lake/privacy.py", "PrivacySettings"),),
}
TITLES = {
    "SOURCES__AMPLITUDE__": "The Amplitude project",
    "SOURCES__AMPLITUDE__LAKE__": "The lake",
    "SOURCES__AMPLITUDE__PRIVACY__": "Personal data",
}
INTRODUCTION = f"""# Settings

Both tools read the same settings, in this order: environment variables, `.env`,
`.dlt/secrets.toml`, `.dlt/config.toml`, and the other providers of dlt. An empty value is no value.
A name that is not a setting is refused, with the nearest one. Written by `{COMMAND}` from the code.

A project among several has settings of its own: `SOURCES__AMPLITUDE__PROJECTS__<NAME>__API_KEY`
and so on for every name below `SOURCES__AMPLITUDE__`, or the table
`[sources.amplitude.projects.<name>]`. What a project leaves out it takes from the settings without
a name. Its own come first, whatever place they stand in.

`SOURCES__AMPLITUDE__X` is `x` in the table `[sources.amplitude]` of dlt's files.
"""
WAREHOUSE = {
    "AMPLITUDE_DESTINATION": f"Where bronze lies, for both tools: {', '.join(DESTINATIONS)}. Default: duckdb.",
    "SQLMESH_GATEWAY": "SQLMesh's own switch (local, snowflake). It may be left out; it must not contradict.",
    "DESTINATION__DUCKDB__CREDENTIALS": "The DuckDB file; its name is amplitude.duckdb, in any folder. "
    "Default: data/amplitude.duckdb.",
    "DESTINATION__SNOWFLAKE__CREDENTIALS": "dlt's credentials of Snowflake: an address, or HOST, USERNAME, "
    "PRIVATE_KEY_PATH, DATABASE, WAREHOUSE and ROLE below it.",
    "DESTINATION__SNOWFLAKE__STAGE_NAME": "The stage over the lake's staging area. Default: BRONZE.LAKE_STAGING.",
}


@click.command(help=__doc__.partition("\n")[0])
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if the file is not up to date.")
def main(check: bool) -> None:
    text = "\n".join(sections())
    if not check:
        REFERENCE.write_text(text, encoding="utf-8")
    elif not REFERENCE.exists() or REFERENCE.read_text(encoding="utf-8") != text:
        click.echo(f"{REFERENCE.relative_to(ROOT)} is not what the code says: run {COMMAND}.", err=True)
        sys.exit(1)


def sections() -> Iterator[str]:
    yield INTRODUCTION
    for prefix, classes in SPECS.items():
        yield f"## {TITLES[prefix]}\n"
        for file, name in classes:
            for field, kind, default, description in fields(PACKAGE / file, name):
                yield item(f"{prefix}{field.upper()}", description, kind, default)
        yield ""
    yield "## The warehouse\n"
    yield from (item(name, description) for name, description in (WAREHOUSE | SQLMESH_VARIABLES).items())
    yield "\n## The charts\n"
    yield "These stand in `sqlmesh/config.yaml`, below `variables`, each with its meaning.\n"


def item(name: str, description: str, kind: str = "", default: str = "") -> str:
    """Return an entry of the list."""
    facts = ", ".join(fact for fact in (kind, f"default {default}" if default else "") if fact)
    return f"- **`{name}`**{f' ({facts})' if facts else ''}<br>{description}"


def fields(path: Path, name: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, type, default and description of each documented field of a class."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    (spec,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    for node, after in zip(spec.body, spec.body[1:], strict=False):
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(after, ast.Expr)):
            continue
        if node.target.id == "project" or not isinstance(after.value, ast.Constant):
            continue
        kind = ast.unparse(node.annotation).replace("TSecretStrValue", "secret").removesuffix(" | None")
        value = ast.unparse(node.value) if node.value else ""
        default = "" if value in ("None", "dlt.config.value") or "field(" in value else value
        yield node.target.id, kind, default, " ".join(str(after.value.value).split())


if __name__ == "__main__":
    main()

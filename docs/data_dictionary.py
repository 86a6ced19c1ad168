"""Writes `data-dictionary.md`: every table of silver and gold with its grain and columns, as the models describe them.

`python docs/data_dictionary.py` writes it, `--check` tells whether it is up to date.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from sqlglot import exp
from sqlmesh import Context
from sqlmesh.core.model import Model

ROOT = Path(__file__).resolve().parents[1]
DICTIONARY = ROOT / "docs" / "data-dictionary.md"
CUSTOM_MODELS = ROOT / "sqlmesh" / "models" / "custom"
COMMAND = "python docs/data_dictionary.py"

LAYERS = {
    "silver": "What Amplitude exported, each event once, and who did it.",
    "gold": "The numbers of Amplitude's charts, and one wide view of all events.",
}
INTRODUCTION = f"""# Data dictionary

Every table of silver and gold. Written by `{COMMAND}` from the models in `sqlmesh/models/`; the same descriptions are
comments in the warehouse. Times are UTC; dates are days in the reporting time zone.
"""


@click.command(help=__doc__.partition("\n")[0])
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if the file is not up to date.")
def main(check: bool) -> None:
    os.environ.setdefault("SOURCES__AMPLITUDE__START_HOUR", "2026-06-01T00")  # no column depends on it
    text = dictionary(Context(paths=[str(ROOT)]))
    if not check:
        DICTIONARY.write_text(text, encoding="utf-8")
    elif not DICTIONARY.exists() or DICTIONARY.read_text(encoding="utf-8") != text:
        click.echo(f"{DICTIONARY.relative_to(ROOT)} is not what the models say: run {COMMAND}.", err=True)
        sys.exit(1)


def dictionary(context: Context) -> str:
    parts = [INTRODUCTION]
    for layer, what in LAYERS.items():
        models = sorted((model for model in context.models.values() if is_in(layer, model)), key=short_name)
        parts += [f"## {layer.capitalize()}\n\n{what}\n", *map(section, models)]
    return "\n".join(parts)


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
    yield "| column | type | |"
    yield "|---|---|---|"
    for name, type_ in (model.columns_to_types or {}).items():
        comment = (model.column_descriptions or {}).get(name, "").replace("|", "\\|")
        yield f"| `{name.lower()}` | {type_.sql('snowflake')} | {comment} |"


def is_in(layer: str, model: Model) -> bool:
    """Return whether a model is this project's, and not the user's own, and in the layer."""
    return short_name(model).startswith(f"{layer}.") and CUSTOM_MODELS not in (model._path or ROOT).parents


def short_name(model: Model) -> str:
    return model.name.replace('"', "").lower()


if __name__ == "__main__":
    main()

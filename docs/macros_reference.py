"""Write `reference/macros.md`: the macros of models, as their docstrings describe them."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

from generated import ROOT, page_command

REFERENCE = ROOT / "docs" / "reference" / "macros.md"
SCRIPT = Path(__file__).name
MACROS = ROOT / "sqlmesh" / "macros"
INTRODUCTION = f"""# Macros

`python docs/{SCRIPT}` writes this page from the docstrings in `sqlmesh/macros/`.

A macro is SQL that more than one model needs, or a rule that must stand in one place. Models call it
with `@`. SQLMesh passes the run's times as `@start_ts` and `@end_ts`.
"""


def text() -> str:
    return "\n".join([INTRODUCTION, *(part for path in sorted(MACROS.glob("*.py")) for part in sections(path))])


def sections(path: Path) -> Iterator[str]:
    """Yield the heading of a file of macros, its docstring and an entry for each macro in it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    macros = [node for node in tree.body if isinstance(node, ast.FunctionDef) and is_macro(node)]
    if macros:
        title = path.stem.replace("_", " ").capitalize()
        yield f"## {title}\n"
        yield f"{first_paragraph(tree)}\n"
        yield from (entry(macro) for macro in macros)
        yield ""


def is_macro(function: ast.FunctionDef) -> bool:
    return any(ast.unparse(decorator).startswith("macro(") for decorator in function.decorator_list)


def entry(macro: ast.FunctionDef) -> str:
    parameters = ", ".join(argument.arg for argument in macro.args.args if argument.arg != "evaluator")
    return f"- **`@{macro.name}({parameters})`**<br>{first_paragraph(macro)}"


def first_paragraph(node: ast.FunctionDef | ast.Module) -> str:
    """Return the first paragraph of a docstring on one line."""
    docstring = inspect.cleandoc(ast.get_docstring(node) or "")
    return " ".join(docstring.partition("\n\n")[0].split())


if __name__ == "__main__":
    page_command(SCRIPT, REFERENCE, text)()

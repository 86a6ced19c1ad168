"""Write `reference/commands.md`: every command with its options, and the exit codes, as `--help` shows them."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from generated import ROOT, page_command

sys.path.insert(0, str(ROOT / "pipelines"))

from amplitude_source.cli.commands import cli

REFERENCE = ROOT / "docs" / "reference" / "commands.md"
SCRIPT = Path(__file__).name
INTRODUCTION = f"""# Commands and exit codes

`python docs/{SCRIPT}` writes this page from the code.

Run the commands from the repository's root with `.venv/bin/python pipelines/amplitude.py`. Without
the name of a command they load. `.venv/bin/amplitude-warehouse` is the same command, from any folder.
An `HOUR` is a UTC hour of upload, such as `2026-06-01T05`. A date as `--end` means the last hour of
that day.

SQLMesh's own commands are `sqlmesh plan`, `run`, `test`, `lint` and `format`. They work as SQLMesh
documents them; [The standard commands](standard-commands.md) has the exceptions. If another process
holds the DuckDB file, `sqlmesh plan` and `sqlmesh run` wait for it and end with exit code 4, too.
"""
EXIT_CODE = re.compile(r"^ *(\d+)  (\S.*)$", re.MULTILINE)


def text() -> str:
    return "\n".join([INTRODUCTION, *exit_codes(cli), *sections(cli, ())])


def exit_codes(group: click.Group) -> Iterator[str]:
    """Yield the table of exit codes that the help of all commands ends with."""
    yield "## Exit codes\n\n| code | meaning |\n|---|---|"
    yield from (f"| {code} | {meaning} |" for code, meaning in EXIT_CODE.findall(group.help or ""))
    yield ""


def sections(group: click.Group, names: tuple[str, ...]) -> Iterator[str]:
    """Yield a section for each command below a group, those of groups in it included."""
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from sections(command, (*names, name))
        else:
            yield from section(command, (*names, name))


def section(command: click.Command, names: tuple[str, ...]) -> Iterator[str]:
    context = click.Context(command)
    usage = " ".join([*names, *command.collect_usage_pieces(context)])
    help_ = "\n\n".join(" ".join(paragraph.split()) for paragraph in (command.help or "").split("\n\n"))
    yield f"## {' '.join(names)}\n\n`{usage}`\n\n{help_}\n"
    records = [record for parameter in command.get_params(context) if (record := parameter.get_help_record(context))]
    yield "| option | meaning |\n|---|---|"
    records = [(option.replace("|", " or "), meaning.replace("<", "&lt;")) for option, meaning in records if meaning]
    yield from (f"| `{option}` | {meaning} |" for option, meaning in records)
    yield ""


if __name__ == "__main__":
    page_command(SCRIPT, REFERENCE, text)()

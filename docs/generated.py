"""Write the files that come from the code, such as pages of `docs/reference/`, or check that they are up to date."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]


def page_command(script: str, page: Path, text: Callable[[], str]) -> click.Command:
    """Build the command of a script that writes one file.

    Args:
        script: file name of the script in `docs/`, for the help and the message.
        page: the file.
        text: builds its content.
    """
    return files_command(script, {page: text})


def files_command(script: str, files: Mapping[Path, Callable[[], str]]) -> click.Command:
    """Build the command of a script that writes several files, each by what builds its content."""
    names = ", ".join(f"{path.relative_to(ROOT)}" for path in files)

    @click.command(help=f"Write {names} from the code.")
    @click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a file is not up to date.")
    def command(check: bool) -> None:
        for path, text in files.items():
            new = text()
            if not check:
                path.write_text(new, encoding="utf-8")
            elif not path.exists() or path.read_text(encoding="utf-8") != new:
                click.echo(f"{path.relative_to(ROOT)} is not what the code says: run `python docs/{script}`.", err=True)
                sys.exit(1)

    return command

"""Write the files that come from the code, such as pages of `docs/reference/`, or check that they are up to date."""

import sys
from collections.abc import Callable
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

    @click.command(help=f"Write {page.relative_to(ROOT)} from the code.")
    @click.option("--check", is_flag=True, help="Write nothing; exit with 1 if the file is not up to date.")
    def command(check: bool) -> None:
        new = text()
        if not check:
            page.write_text(new, encoding="utf-8")
        elif not page.exists() or page.read_text(encoding="utf-8") != new:
            name = page.relative_to(ROOT)
            click.echo(f"{name} is not what the code says: run `python docs/{script}`.", err=True)
            sys.exit(1)

    return command

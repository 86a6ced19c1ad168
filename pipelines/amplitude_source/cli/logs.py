"""What commands say on stderr: sentences for people, or JSON for machines, an object a line."""

import json
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Literal

import click
from rich.console import Console

from ..errors import without_logins

Level = Literal["info", "warning", "error"]
TEXT, JSON = "text", "json"

err = Console(soft_wrap=True, highlight=False, markup=False, stderr=True)


class JsonLines(logging.Handler):
    """Writes what Python's loggers say. While the root logger has it, all that commands say is JSON, too."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        _write("error" if record.levelno >= logging.ERROR else "warning", record.getMessage(), logger=record.name)


LINES = JsonLines(logging.WARNING)


def choose_format(_ctx: click.Context, _param: click.Parameter, format_: str) -> None:
    """Have this process write its lines in a format, until `text_again` ends."""
    if format_ == JSON:
        logging.getLogger().addHandler(LINES)


log_format_option = click.option(
    "--log-format",
    type=click.Choice([TEXT, JSON]),
    default=TEXT,
    expose_value=False,
    is_eager=True,
    callback=choose_format,
    help="How stderr is written; json is an object a line.",
)


@contextmanager
def text_again() -> Iterator[None]:
    """Let one command choose its format; what comes after it in this process begins with text."""
    try:
        yield
    finally:
        logging.getLogger().removeHandler(LINES)


def is_json() -> bool:
    """Return whether lines are JSON."""
    return LINES in logging.getLogger().handlers


def notice(sentence: str, **fields: object) -> None:
    """Say how far the work is.

    Args:
        sentence: for people.
        fields: that machines get besides.
    """
    _say("info", sentence, sentence, None, fields)


def warn(sentence: str, **fields: object) -> None:
    """Say what is wrong and lets the work go on."""
    _say("warning", sentence, f"warning: {sentence}", "yellow", fields)


def fail(sentence: str, **fields: object) -> None:
    """Say why the work ends."""
    _say("error", sentence, f"error: {sentence}", "bold red", fields)


def event(message: str, **fields: object) -> None:
    """Write a line for machines alone."""
    if is_json():
        _write("info", message, **fields)


def status(sentence: str) -> AbstractContextManager[object]:
    """Show on a terminal what the work is, as long as it lasts."""
    return nullcontext() if is_json() else err.status(sentence)


def _say(level: Level, sentence: str, text: str, style: str | None, fields: dict[str, object]) -> None:
    if is_json():
        _write(level, sentence, **fields)
    else:
        err.print(text, style=style)


def _write(level: Level, message: str, **fields: object) -> None:
    time = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    line = json.dumps({"time": time, "level": level, "message": message, **fields}, default=str)
    click.echo(without_logins(line), err=True)

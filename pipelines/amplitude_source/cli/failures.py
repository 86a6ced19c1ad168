"""Failures as the user sees them: one sentence and an exit code."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import click
import duckdb
from dlt.common.configuration.exceptions import ConfigFieldMissingException
from dlt.common.exceptions import DltException

from ..bronze.disk import Place, disk_fault, places
from ..bronze.snowflake import SNOWFLAKE_VARIABLES, refusal
from ..errors import AmplitudeError, PartlyLoadedError, RejectedRowsError, chain_of_causes, without_logins
from ..lake.storage import AWS_ERRORS, no_credentials
from ..lock import BUSY_EXIT, BusyError
from ..settings import (
    load_projects,
)
from .logs import fail, is_json, notice
from .status import REJECTED_EXIT

PARTLY_EXIT = 7
INTERRUPTED_EXIT = 130  # as shells have it for Ctrl-C


STOPPED = "Stopped; a plain re-run continues."


EXITS = {BusyError: BUSY_EXIT, RejectedRowsError: REJECTED_EXIT, PartlyLoadedError: PARTLY_EXIT}


FAILURES = (DltException, AmplitudeError, duckdb.Error, OSError, *AWS_ERRORS)


@contextmanager
def one_sentence(root: Path) -> Iterator[None]:
    """Turns what a user can mend into one sentence and an exit code; anything else is our fault and keeps its trace."""
    try:
        yield
    except click.ClickException as error:
        if is_json():
            fail(error.format_message())
        else:
            error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        stop()
    except FAILURES as error:
        if is_interrupt(error):
            stop()
        fail(explain(error, root))
        kinds = kinds_of(error)
        sys.exit(next((code for kind, code in EXITS.items() if kind in kinds), 1))


def stop() -> NoReturn:
    notice(STOPPED)
    sys.exit(INTERRUPTED_EXIT)


def kinds_of(error: BaseException) -> set[type]:
    """Return the classes of an error and of its causes, with the classes that they are made of."""
    return {kind for cause in chain_of_causes(error) for kind in type(cause).__mro__}


def is_interrupt(error: BaseException) -> bool:
    return any(isinstance(cause, KeyboardInterrupt) for cause in chain_of_causes(error))


def explain(error: BaseException, root: Path) -> str:
    """The sentence for the user: ours where there is one in the chain of causes, else the innermost cause's own."""
    causes = list(chain_of_causes(error))
    for cause in causes:
        if isinstance(cause, AmplitudeError):
            return str(cause)
        if isinstance(cause, ConfigFieldMissingException):  # the destination's: dlt asks for them when it connects
            names = ", ".join(f"{SNOWFLAKE_VARIABLES}{name.upper()}" for name in cause.fields)
            return f"A setting is missing: set {names} in .env or the environment; .env.example lists them all."
        if isinstance(cause, AWS_ERRORS):  # S3's own faults are told by the lake: it was asked for credentials
            return no_credentials(cause)
        if sentence := refusal(cause):
            return sentence
    known = known_places(root)
    for cause in causes:
        if sentence := disk_fault(cause, known):
            return without_logins(sentence)
    return without_logins(f"{type(causes[-1]).__name__}: {str(causes[-1]).splitlines()[0]}")


def known_places(root: Path) -> list[Place]:
    """Return the places of the settings, none where those are at fault themselves."""
    try:
        return places(load_projects(), root)
    except FAILURES:
        return []

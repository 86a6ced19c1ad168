"""One `sqlmesh plan` or `run` at a time, where SQLMesh's state is in PostgreSQL."""

import os
import socket
import sys
from functools import partial
from types import TracebackType

import click
import psycopg2

from ..lock import BUSY_EXIT
from .state_database import LOCK, Connection, StateDatabase, at_work, holder


def subcommand() -> str | None:
    """Return which command of `sqlmesh` this process runs; None for other callers."""
    command = click.get_current_context(silent=True)
    return command.invoked_subcommand if command else None


def stop_unless_alone(command: click.Context, state: StateDatabase) -> None:
    """Takes a lock of PostgreSQL's, or ends this process: two that build at once would write the same rows.

    The lock ends with its connection, which stays open for as long as the process lives, be that killed.
    """
    try:
        connection = state.connect(
            f"sqlmesh {command.invoked_subcommand}, process {os.getpid()} on {socket.gethostname()}"
        )
    except psycopg2.OperationalError as error:
        sys.exit(gone(error, state))
    sys.excepthook = partial(tell, state)  # it may still go away later
    command.call_on_close(partial(tell_if_gone, connection, state))
    command.meta[__name__] = connection
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        if cursor.fetchone() == (True,):
            return
    click.echo(f"Error: {at_work(holder(connection))}: wait until it has ended, then start again.", err=True)
    sys.exit(BUSY_EXIT)


def tell(state: StateDatabase, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Prints what nobody has caught: one sentence where PostgreSQL is gone, else with its trace."""
    if isinstance(error, psycopg2.OperationalError):
        click.echo(gone(error, state), err=True)
    else:
        sys.__excepthook__(kind, error, trace)


def tell_if_gone(connection: Connection, state: StateDatabase) -> None:
    """Prints the same where models failed because of it: of them SQLMesh itself says only that the run has failed."""
    if not isinstance(sys.exc_info()[1], click.ClickException):
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except psycopg2.Error as error:
        click.echo(gone(error, state), err=True)


def gone(error: psycopg2.Error, state: StateDatabase) -> str:
    return f"Error: {state.gone(error)} Nothing is lost; the next run goes on."

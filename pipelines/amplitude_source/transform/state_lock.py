"""One `sqlmesh plan` or `run` at a time, where SQLMesh's state is in PostgreSQL."""

import os
import socket
import sys
from functools import partial
from types import TracebackType

import click
import psycopg2
from sqlmesh.core.config import PostgresConnectionConfig

from ..lock import BUSY_EXIT

LOCK = 20260601  # in the state's own database, so any number does

HOLDER = f"""
    SELECT application_name, backend_start AT TIME ZONE 'UTC'
    FROM pg_locks
    JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND objid = {LOCK} AND granted
        AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = CURRENT_DATABASE())
"""


def subcommand() -> str | None:
    """Return which command of `sqlmesh` this process runs; None for other callers."""
    command = click.get_current_context(silent=True)
    return command.invoked_subcommand if command else None


def stop_unless_alone(command: click.Context, state: PostgresConnectionConfig) -> None:
    """Takes a lock of PostgreSQL's, or ends this process: two that build at once would write the same rows.

    The lock ends with its connection, which stays open for as long as the process lives, be that killed.
    """
    who = f"sqlmesh {command.invoked_subcommand}, process {os.getpid()} on {socket.gethostname()}"
    try:
        connection = psycopg2.connect(
            host=state.host,
            port=state.port,
            user=state.user,
            password=state.password,
            dbname=state.database,
            sslmode=state.sslmode,
            connect_timeout=state.connect_timeout,
            application_name=who,
            keepalives_idle=60,  # seconds; what lies between may forget a connection that is still for minutes
        )
    except psycopg2.OperationalError as error:
        sys.exit(gone(error, state))
    sys.excepthook = partial(tell, state)  # it may still go away later
    command.call_on_close(partial(tell_if_gone, connection, state))
    connection.autocommit = True
    command.meta[__name__] = connection
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        if cursor.fetchone() == (True,):
            return
        cursor.execute(HOLDER)
        holder, since = cursor.fetchone() or ("Another command, that is just ending,", None)
    since_ = f" since {since:%Y-%m-%d %H:%M} UTC" if since else ""
    click.echo(f"Error: {holder} has been at work{since_}: wait until it has ended, then start again.", err=True)
    sys.exit(BUSY_EXIT)


def tell(
    state: PostgresConnectionConfig, kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Prints what nobody has caught: one sentence where PostgreSQL is gone, else with its trace."""
    if isinstance(error, psycopg2.OperationalError):
        click.echo(gone(error, state), err=True)
    else:
        sys.__excepthook__(kind, error, trace)


def tell_if_gone(connection: psycopg2.extensions.connection, state: PostgresConnectionConfig) -> None:
    """Prints the same where models failed because of it: of them SQLMesh itself says only that the run has failed."""
    if not isinstance(sys.exc_info()[1], click.ClickException):
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except psycopg2.Error as error:
        click.echo(gone(error, state), err=True)


def gone(error: psycopg2.Error, state: PostgresConnectionConfig) -> str:
    return (
        f"Error: PostgreSQL on {state.host}:{state.port}, where SQLMesh keeps its state, cannot be reached: "
        f"{' '.join(str(error).split())} Nothing is lost; the next run goes on."
    )

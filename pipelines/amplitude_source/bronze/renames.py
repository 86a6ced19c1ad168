"""Projects that are given up, or that bear another name: what silver would otherwise wait for without end."""

from datetime import datetime

import dlt

from ..errors import AmplitudeError
from ..lake.archive import Archive
from ..settings import AmplitudeSettings, format_hour
from .ledger import Ledger, LedgerRow, first_open, retired_from

PROJECT_COLUMNS = ("_project", "project")  # how tables name the column with a row's project


def retirement(project: str, ledger: Ledger, now: datetime) -> LedgerRow:
    """Return the mark that ends a project: from its hour on silver does not wait for the project.

    Raises:
        AmplitudeError: there is no such project in bronze, or it is retired already.
    """
    if not ledger:
        raise AmplitudeError(f"Bronze has no project {project!r}: nothing waits for it.")
    if end := retired_from(ledger):
        raise AmplitudeError(f"Project {project} is retired already, from hour {format_hour(end)} on.")
    hour = first_open(min(ledger), ledger)
    return LedgerRow(
        project=project,
        export_hour=hour,
        status="retired",
        files=0,
        bytes=0,
        loaded_rows=0,
        rejected_rows=0,
        sha256=None,
        revision=1,
        revised_at=None,
        exported_at=now,
        loaded_at=now,
    )


def rename(pipeline: dlt.Pipeline, settings: AmplitudeSettings, old: str, ledgers: dict[str, Ledger]) -> None:
    """Give a project's rows and its archive the name that it has in the settings now.

    The archive stays under the old name, too. A run that is killed on the way is finished by the same command: each
    step leaves alone what is done.

    Raises:
        AmplitudeError: bronze has no such project, or hours of both.
    """
    new = settings.project
    if shared := ledgers.get(old, {}).keys() & ledgers.get(new, {}).keys():
        raise AmplitudeError(
            f"Bronze has hour {format_hour(min(shared))} of both {old} and {new}: they are two projects. To have "
            f"silver no longer wait for {old}, retire it."
        )
    if old not in ledgers:
        raise AmplitudeError(f"Bronze has no project {old!r}, only {', '.join(sorted(ledgers)) or 'none'}.")
    Archive(settings.lake, new).take_over(old)
    with pipeline.sql_client() as client, client.begin_transaction():
        for name, table in pipeline.default_schema.tables.items():
            for column in set(PROJECT_COLUMNS) & set(table["columns"]):
                target = client.make_qualified_table_name(name)
                client.execute_sql(f"UPDATE {target} SET {column} = %s WHERE {column} = %s", new, old)

"""Options that several commands have."""

import click

from ..settings import DESTINATION_VARIABLE, DESTINATIONS, destination

DESTINATION_HELP = f"Where bronze lies; else {DESTINATION_VARIABLE} chooses, and without it DuckDB."

destination_option = click.option(
    "--destination",
    type=click.Choice(DESTINATIONS),
    default=destination,
    help=DESTINATION_HELP,
)


project_option = click.option(
    "--project", metavar="NAME", help="Only this one of several projects, named as in its settings: PROJECTS__<NAME>."
)

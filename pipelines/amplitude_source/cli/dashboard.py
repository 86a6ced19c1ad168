"""The command `dashboard`: silver and gold in a browser."""

import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from ..errors import AmplitudeError
from ..invocation import ROOT
from ..settings import GATEWAYS, destination
from .reports import out

APP = ROOT / "dashboard/app.py"
ADDRESS, PORT = "127.0.0.1", 8501


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=PORT, show_default=True, help="Where it listens.")
def dashboard(port: int) -> None:
    """Show silver and gold in a browser, on this machine.

    It reads and never writes. A load or a run beside it goes on as if nobody looked.

    \b
    amplitude.py dashboard
    amplitude.py dashboard --port 8502
    """
    if destination() not in GATEWAYS:
        raise click.UsageError("A lake of files has no gold to show: set AMPLITUDE_DESTINATION to duckdb or snowflake.")
    if not find_spec("streamlit") or not find_spec("plotly"):
        raise AmplitudeError(
            "The dashboard's packages are not installed: run `make .venv/installed`, or `pip install "
            "'amplitude-warehouse[dashboard]'` where the command comes from a wheel."
        )
    if not APP.is_file():
        raise AmplitudeError(f"There is no {APP}: this checkout is older than the dashboard, or a part of one.")
    if is_taken(port):
        raise AmplitudeError(f"Port {port} on {ADDRESS} is taken: end what listens there, or choose another --port.")
    out.print(f"The dashboard is at http://{ADDRESS}:{port}; Ctrl-C ends it.")
    sys.stdout.flush()
    command = [sys.executable, "-m", "streamlit", "run", str(APP), "--server.port", str(port)]
    command += ["--server.address", ADDRESS, "--logger.hideWelcomeMessage", "true"]
    package = str(Path(__file__).parents[2])  # the pages work with the package that starts them
    os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": package})  # noqa: S606 - our own command


def is_taken(port: int) -> bool:
    """Whether something listens there."""
    with socket.socket() as probe:
        return probe.connect_ex((ADDRESS, port)) == 0

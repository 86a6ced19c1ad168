"""The command `dashboard`: silver and gold in a browser."""

import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from ..errors import AmplitudeError
from ..invocation import ROOT, load_command, shown
from ..lock import BUSY_EXIT, BusyError
from ..settings import GATEWAYS, destination, duckdb_path
from .reports import out

APP = ROOT / "dashboard/serve.py"
ADDRESS, PORT = "127.0.0.1", 8501
COPY_FOLDER = "dashboard"  # beside the DuckDB file; board/local.py looks there


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=PORT, show_default=True, help="Where it listens.")
@click.option("--copy", "only_copy", is_flag=True, help="Make the copy of gold for other tools, and end.")
def dashboard(port: int, only_copy: bool) -> None:
    """Show silver and gold in a browser, on this machine.

    It reads and never writes. A load or a run beside it goes on as if nobody looked.

    \b
    amplitude.py dashboard
    amplitude.py dashboard --port 8502
    amplitude.py dashboard --copy
    """
    if destination() not in GATEWAYS:
        raise click.UsageError("A lake of files has no gold to show: set AMPLITUDE_DESTINATION to a warehouse.")
    if not find_spec("streamlit") or not find_spec("plotly"):
        raise AmplitudeError(
            "The dashboard's packages are not installed: run `make .venv/installed`, or `pip install "
            "'amplitude-warehouse[dashboard]'` where the command comes from a wheel."
        )
    if not APP.is_file():
        raise AmplitudeError(f"There is no {APP}: this checkout is older than the dashboard, or a part of one.")
    if only_copy:
        copy_gold()
        return
    if is_taken(port):
        raise AmplitudeError(f"Port {port} on {ADDRESS} is taken: end what listens there, or choose another --port.")
    out.print(f"The dashboard is at http://{ADDRESS}:{port}; Ctrl-C ends it.")
    sys.stdout.flush()
    command = [sys.executable, "-m", "streamlit", "run", str(APP), "--server.port", str(port)]
    command += ["--server.address", ADDRESS, "--logger.hideWelcomeMessage", "true"]
    os.execve(sys.executable, command, environment())  # noqa: S606 - our own command


def copy_gold() -> None:
    """Make the copy of gold that pages and other tools read.

    Raises:
        click.UsageError: Snowflake and DuckLake need none.
        BusyError: a load or a run has the DuckDB file.
        AmplitudeError: the file cannot be copied.
    """
    if destination() != "duckdb":
        raise click.UsageError(f"On {destination()} there is no copy: other tools read gold itself.")
    source = duckdb_path(ROOT)
    if not source.exists():
        raise AmplitudeError(f"There is no {source} to copy: load something first, by `{load_command()}`.")
    copy = source.parent / COPY_FOLDER / source.name
    command = [sys.executable, "-m", "board.copying", str(source), str(copy)]
    done = subprocess.run(  # noqa: S603 - our own module
        command, cwd=APP.parent, env=environment(), check=False, capture_output=True, text=True
    )
    if done.returncode:
        kind = BusyError if done.returncode == BUSY_EXIT else AmplitudeError
        raise kind(done.stderr.strip())
    out.print(f"Gold is copied to {shown(copy)}.", soft_wrap=True)


def environment() -> dict[str, str]:
    """Return the environment in which the pages work with the package that starts them."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


def is_taken(port: int) -> bool:
    """Whether something listens there."""
    with socket.socket() as probe:
        return probe.connect_ex((ADDRESS, port)) == 0

"""The demo: a simulated Amplitude, the two commands of the product against it, and the metrics that come out."""

import os
import subprocess
import sys
import time
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import click
import duckdb
from rich.console import Console
from rich.table import Table

from simulator.product import Product
from simulator.server import Simulator

ROOT = Path(__file__).resolve().parents[1]
# Prefixes of the project's own settings, as in amplitude_source.environment, which the simulator does not import.
OURS = ("SOURCES__", "DESTINATION__", "SQLMESH_", "AMPLITUDE_")
SETTINGS = Path(__file__).with_name("demo.env")
PORT = 8765  # of SOURCES__AMPLITUDE__BASE_URL in demo.env
DATABASE = ROOT / "data/demo/amplitude.duckdb"

LAST_DAYS = """
    SELECT metric_date, active_users, new_users, weekly_active_users, monthly_active_users, sessions, events
    FROM (SELECT * FROM gold.daily_metrics WHERE breakdown = 'all' ORDER BY metric_date DESC LIMIT 7)
    ORDER BY metric_date
"""

TRIES = {
    "make dashboard": "all of it in a browser, at http://127.0.0.1:8501",
    ".venv/bin/python pipelines/amplitude.py status": "what is loaded or missing",
    ".venv/bin/sqlmesh plan dev --auto-apply --include-unmodified": "an environment of your own",
    "make demo": "once more: nothing is loaded twice",
}
OWN_PROJECT = """
Your own project: remove .env, install -m 600 .env.example .env, put your
two keys and the first hour in. Then:
  .venv/bin/python pipelines/amplitude.py
  .venv/bin/sqlmesh plan --auto-apply"""


def run_demo(product: Product) -> None:
    """Run the pipeline and SQLMesh as a user would, and print the last days of a gold table."""
    console = Console(highlight=False)
    settle_env()
    try:
        simulator = Simulator(product, now=product.end + timedelta(hours=2), port=PORT)
    except OSError:
        raise click.ClickException(
            f"Port {PORT} on 127.0.0.1 is taken; end what listens there, then run again."
        ) from None
    with simulator:
        step(console, "python", "pipelines/amplitude.py")
        seconds = step(console, "sqlmesh", "plan", "--auto-apply", is_quiet=True)
    console.print(f"Silver and gold are up to date, after {seconds:.0f} s.", soft_wrap=True)
    run(console, "python", "pipelines/amplitude.py", "dashboard", "--copy", is_quiet=True)  # its first page waits less
    show_metrics(console)
    console.print("\nWhat to try next:")
    for command, purpose in TRIES.items():
        console.print(f"  {command}\n      {purpose}", soft_wrap=True, markup=False)
    console.print(OWN_PROJECT, soft_wrap=True, markup=False)


def settle_env() -> None:
    """Makes `.env` the demo's, unless there is another one already: nothing of the user's is ever touched."""
    target = ROOT / ".env"
    if not target.exists():
        target.touch(mode=0o600)
        target.write_bytes(SETTINGS.read_bytes())
    if target.read_bytes() != SETTINGS.read_bytes():
        raise click.ClickException(
            ".env holds other settings than the demo's; move it away for the demo, then run again."
        )


def step(console: Console, *command: str, is_quiet: bool = False) -> float:
    """Show a command and run it, as the user would; return the seconds that it took."""
    console.print(f"[bold]$ {' '.join(command)}[/bold]")
    return run(console, *command, is_quiet=is_quiet)


def run(console: Console, *command: str, is_quiet: bool) -> float:
    """Run a command of this environment, and return the seconds that it took.

    Settings in the environment are left out: they would win over the demo's own in `.env`. A quiet command shows what
    it printed only if it fails.
    """
    program = Path(sys.executable).with_name(command[0])
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    started = time.monotonic()
    with console.status("building ...") if is_quiet else nullcontext():
        result = subprocess.run(  # noqa: S603 - our own commands
            [program, *command[1:]], cwd=ROOT, env=environment, check=False, capture_output=is_quiet, text=True
        )
    if result.returncode:
        console.print(result.stdout or "", result.stderr or "", soft_wrap=True, markup=False)
        raise SystemExit(1)
    return time.monotonic() - started


def show_metrics(console: Console) -> None:
    """Print the last days of gold.daily_metrics, in as many columns as the terminal has room for."""
    with duckdb.connect(str(DATABASE), read_only=True) as connection:
        rows = connection.execute(LAST_DAYS).fetchall()
    table = Table(title="gold.daily_metrics, the last 7 days", box=None, title_justify="left")
    for name in ("day", "active", "new", "weekly", "monthly", "sessions", "events"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*map(str, row))
    console.print(table)

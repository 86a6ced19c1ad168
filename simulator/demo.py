"""The demo: a simulated Amplitude, the two commands of the product against it, and the metrics that come out."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import click
import duckdb
from rich.console import Console
from rich.table import Table

from simulator.product import Product
from simulator.server import Simulator

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = Path(__file__).with_name("demo.env")
PORT = 8765  # of SOURCES__AMPLITUDE__BASE_URL in demo.env
DATABASE = ROOT / "data/demo/amplitude.duckdb"

LAST_DAYS = """
    SELECT * EXCLUDE (app, breakdown, segment, dau_mau)
    FROM (SELECT * FROM gold.daily_metrics WHERE breakdown = 'all' ORDER BY metric_date DESC LIMIT 14)
    ORDER BY metric_date
"""

NEXT = """
What to try next:
  .venv/bin/sqlmesh ui, or any SQL client, on data/demo/amplitude.duckdb: gold.events is the wide view of every event
  .venv/bin/python pipelines/amplitude.py status     which hours are loaded, empty, pending or missing
  .venv/bin/sqlmesh plan dev                         change a model and see it in an environment of its own
  make demo                                          once more: nothing is loaded twice

Your own Amplitude project: cp .env.example .env, put your two keys and the first hour in, and run
  .venv/bin/python pipelines/amplitude.py && .venv/bin/sqlmesh plan --auto-apply
"""


def run_demo(product: Product) -> None:
    """Runs the pipeline and SQLMesh as a user would and prints the last 14 days."""
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
        step(console, "sqlmesh", "plan", "--auto-apply")
    console.print(metrics_table())
    console.print(NEXT, soft_wrap=True)


def settle_env() -> None:
    """Makes `.env` the demo's, unless there is another one already: nothing of the user's is ever touched."""
    target = ROOT / ".env"
    if not target.exists():
        target.write_bytes(SETTINGS.read_bytes())
    if target.read_bytes() != SETTINGS.read_bytes():
        raise click.ClickException(
            ".env holds other settings than the demo's; move it away for the demo, then run again."
        )


def step(console: Console, *command: str) -> None:
    """Runs a command of this environment, as the user would."""
    console.print(f"\n[bold]$ {' '.join(command)}[/bold]")
    program = Path(sys.executable).with_name(command[0])
    if subprocess.run([program, *command[1:]], cwd=ROOT, check=False).returncode:  # noqa: S603 - our own commands
        raise SystemExit(1)


def metrics_table() -> Table:
    with duckdb.connect(str(DATABASE), read_only=True) as connection:
        result = connection.execute(LAST_DAYS)
        names = [column[0].lower() for column in result.description or []]
        rows = result.fetchall()
    table = Table(title="gold.daily_metrics, the last 14 days", box=None)
    for name in names:
        table.add_column(name.replace("_", "\n"), justify="right")
    for row in rows:
        table.add_row(*(f"{value:.0f}" if isinstance(value, float) else str(value) for value in row))
    return table

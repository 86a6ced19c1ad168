"""The command: `python -m simulator serve` and `python -m simulator write`."""

import signal
import threading
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from simulator.product import Product
from simulator.server import DEMO_CREDENTIALS, Simulator

app = typer.Typer(help=__doc__, add_completion=False)

_DEFAULT = Product()
_TIME_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]

Days = Annotated[int, typer.Option(min=1, help="How many days the product lives.")]
EventsPerDay = Annotated[int, typer.Option(min=1, help="Rows a day, on average.")]
Seed = Annotated[int, typer.Option(help="Another seed, another product.")]
Start = Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The first day (UTC).")]


@app.command()
def write(
    folder: Annotated[Path, typer.Argument(help="Where the archive members go.")],
    days: Days = _DEFAULT.days,
    events_per_day: EventsPerDay = _DEFAULT.events_per_day,
    seed: Seed = _DEFAULT.seed,
    start: Start = _DEFAULT.start,
    copies: Annotated[int, typer.Option(min=1, max=9999, help="All rows so many times, under fresh ids.")] = 1,
) -> None:
    """Write the product's archive members as files."""
    folder.mkdir(parents=True, exist_ok=True)
    product = Product(seed=seed, start=start, days=days, events_per_day=events_per_day)
    files = rows = size = 0
    for member in product.members(copies):
        (folder / member.file_name).write_bytes(member.data)
        files += 1
        rows += member.rows
        size += len(member.data)
    typer.echo(f"{rows} rows in {files} files, {size / 1e6:.1f} MB, in {folder}")


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="0 takes any free port.")] = 8765,
    days: Days = _DEFAULT.days,
    events_per_day: EventsPerDay = _DEFAULT.events_per_day,
    seed: Seed = _DEFAULT.seed,
    start: Start = _DEFAULT.start,
    now: Annotated[
        datetime | None, typer.Option(formats=_TIME_FORMATS, help="The simulator's clock; default: noon after the end.")
    ] = None,
    api_key: str = DEMO_CREDENTIALS[0],
    secret_key: str = DEMO_CREDENTIALS[1],
) -> None:
    """Serve Amplitude's Export API on 127.0.0.1 until it is told to stop."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    product = Product(seed=seed, start=start, days=days, events_per_day=events_per_day)
    with Simulator(product, now=now, port=port, api_key=api_key, secret_key=secret_key) as simulator:
        typer.echo(
            f"{simulator.base_url} api key {api_key} secret key {secret_key}: {simulator.archive.row_count} rows"
            f" from {product.start:%Y%m%dT%H} to before {product.end:%Y%m%dT%H}, now {simulator.now:%Y-%m-%d %H:%M}"
        )
        threading.Event().wait()


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    app()

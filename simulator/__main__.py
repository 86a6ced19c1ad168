"""The command: `python -m simulator serve`, `write`, `export` and `demo`."""

import os
import signal
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType
from zoneinfo import available_timezones

import click

from simulator.bucket import bucket_files
from simulator.demo import run_demo
from simulator.product import Product
from simulator.server import DEMO_CREDENTIALS, Simulator

DEFAULT = Product()
TIME = click.DateTime(["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H", "%Y-%m-%d"])


@click.group(help=__doc__)
def cli() -> None: ...


def product_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that make a product."""
    for option in (
        click.option("--start", type=click.DateTime(["%Y-%m-%d"]), default=DEFAULT.start, help="The first day (UTC)."),
        click.option("--seed", default=DEFAULT.seed, show_default=True, help="Another seed, another product."),
        click.option("--events-per-day", default=DEFAULT.events_per_day, show_default=True, help="On average."),
        click.option("--days", default=DEFAULT.days, show_default=True, help="How many days the product lives."),
    ):
        command = option(command)
    return command


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@product_options
@click.option("--copies", type=click.IntRange(1, 9999), default=1, help="All rows so many times, under fresh ids.")
def write(folder: Path, days: int, events_per_day: int, seed: int, start: datetime, copies: int) -> None:
    """Write the product's archive members as files."""
    folder.mkdir(parents=True, exist_ok=True)
    product = Product(seed=seed, start=start, days=days, events_per_day=events_per_day)
    files = rows = size = 0
    for member in product.members(copies):
        (folder / member.file_name).write_bytes(member.data)
        files += 1
        rows += member.rows
        size += len(member.data)
    click.echo(f"{rows} rows in {files} files, {size / 1e6:.1f} MB, in {folder}")


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@product_options
def export(folder: Path, days: int, events_per_day: int, seed: int, start: datetime) -> None:
    """Write what Amplitude's own export would have written to a bucket, marks of complete hours included."""
    product = Product(seed=seed, start=start, days=days, events_per_day=events_per_day)
    last = product.end - timedelta(hours=1)
    for name, data in bucket_files(product.app, product.members(), product.start, last):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    click.echo(f"The hours {product.start:%Y-%m-%dT%H} to {last:%Y-%m-%dT%H} lie in {folder}")


@cli.command()
@click.option("--port", default=8765, show_default=True, help="0 takes any free port.")
@product_options
@click.option("--now", type=TIME, help="The simulator's clock. Default: noon after the last day.")
@click.option("--api-key", default=DEMO_CREDENTIALS[0], show_default=True)
@click.option("--secret-key", default=DEMO_CREDENTIALS[1], show_default=True)
@click.option("--timezone", default="UTC", show_default=True, help="The project's time zone, an IANA name.")
def serve(
    port: int,
    days: int,
    events_per_day: int,
    seed: int,
    start: datetime,
    now: datetime | None,
    api_key: str,
    secret_key: str,
    timezone: str,
) -> None:
    """Serve Amplitude's read APIs on 127.0.0.1 until told to stop."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    product = Product(seed=seed, start=start, days=days, events_per_day=events_per_day)
    if timezone not in available_timezones():
        raise click.BadParameter(f"There is no time zone {timezone}.", param_hint="--timezone")
    with Simulator(product, now=now, port=port, api_key=api_key, secret_key=secret_key, timezone=timezone) as simulator:
        click.echo(
            f"{simulator.base_url} api key {api_key} secret key {secret_key}: {simulator.archive.row_count} rows"
            f" from {product.start:%Y%m%dT%H} to before {product.end:%Y%m%dT%H}, now {simulator.now:%Y-%m-%d %H:%M}"
        )
        threading.Event().wait()


@cli.command()
def demo() -> None:
    """Load 30 simulated days into a local warehouse and show the metrics of the last seven."""
    os.umask(0o077)  # as the two commands do for what they write
    run_demo(DEFAULT)


def stop(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    cli()

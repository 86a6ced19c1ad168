"""How fast and how lean the load is, beside the two ways that mark the scale. Run: `python bench/load.py`.

All of them load the same synthetic events, one after the other, each in a process of its own:

- pipeline: `python pipelines/amplitude.py`, which asks a simulator on this machine for them, into a new lake and a new
  DuckDB, exactly as a user runs it: with zips, checksums, archive, rejected rows, ledger and the replacement of whole
  hours. The simulator sends stored files: a hundredth of the work.
- dicts: a dlt resource that yields rows as Python dicts, one at a time and with dlt's defaults, as the documentation's
  first examples and most sources do: nested values become columns and tables of their own. Appended, through parquet.
- dicts-tuned: the best that we know to make of dicts: a faster parser, 5,000 rows at a time, nested values as JSON.
  Both read a part of the rows only, as they are slow; their rows/s are what counts.
- floor: DuckDB's own `read_json` with every type given, straight into a table: gunzip and parse, nothing is checked.
  With all threads, and with one.

Dicts and floor read the members of the zips, as files. What the pipeline has loaded is then asked for what is new, of
which there is nothing, and for its `status` with five years of hours.

Seconds run from the start of the process to its end, so imports count. Memory is the process's largest resident set.
Each way must end with exactly the expected number of rows in its table. The files come from the page cache, and copied
rows compress better than real ones; on a busy machine trust the ratios, not the rows/s.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Timer
from typing import Any, NamedTuple

import click
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
WAREHOUSE = "amplitude.duckdb"

DAYS = 30  # the simulator's default: June 2026
START_HOUR, NOW = "2026-06-01T00", "2026-07-01T12:00:00"
FIVE_YEARS = "2021-07-01T00", "2026-05-31T23"  # with the 30 days
ROWS_PER_COPY = 100_000
DICT_ROWS, DICT_CHUNK = 100_000, 5_000

SLOWEST_ROWS_PER_SECOND, START_UP_SECONDS = 1_000, 60  # what is slower is stopped

DUCKDB_TYPES = {
    "bigint": "BIGINT",
    "bool": "BOOLEAN",
    "double": "DOUBLE",
    "json": "JSON",
    "text": "VARCHAR",
    "timestamp": "TIMESTAMP",
}

out = Console(soft_wrap=True, highlight=False)
err = Console(soft_wrap=True, highlight=False, stderr=True)


class Events(NamedTuple):
    """What is to be loaded: the settings to have it from the simulator, the members of its zips as files, the rows."""

    settings: dict[str, str]
    files: Path
    rows: int


class Contender(NamedTuple):
    """One way to load the events; it runs in an empty folder and leaves its table in `WAREHOUSE` there."""

    name: str
    rows: int
    table: str
    command: list[str]
    environment: dict[str, str]
    afterwards: tuple["Contender", ...] = ()
    """What is asked in the same folder then, where the table stays as it is."""


class Run(NamedTuple):
    """What one run of a contender took."""

    seconds: float
    peak_mb: float


class Goal(NamedTuple):
    """A figure and what it is to be, if anything."""

    name: str
    value: float
    text: str = ""
    is_reached: bool = True


@click.group(invoke_without_command=True, help=__doc__.partition("\n")[0])
@click.option("--rows", type=click.IntRange(min=1_000), default=2_000_000, show_default=True, help="About so many.")
@click.option("--only", help="One way only, such as `pipeline`: for its memory with many rows.")
@click.option("--runs", type=click.IntRange(min=1), default=1, show_default=True, help="Of several, the medians count.")
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="An empty folder to work in, which stays. Default: a temporary one.",
)
@click.pass_context
def main(context: click.Context, rows: int, only: str | None, runs: int, keep: Path | None) -> None:
    if context.invoked_subcommand:
        return
    with work_folder(keep) as folder, served(rows) as events:
        ways = [pipeline(folder, events), *dicts(events), *floors(events)]
        ways = [way for way in ways if only in (None, way.name)]
        taken: defaultdict[str, list[Run]] = defaultdict(list)
        for number in range(1, runs + 1):
            for way in ways:
                err.print(f"run {number} of {runs}: {way.name} ...")
                for name, run in measured(way, folder / f"{way.name}-{number}", keep is not None):
                    taken[name].append(run)
        show(ways, taken)


@contextmanager
def work_folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with TemporaryDirectory(prefix="amplitude-bench-") as folder:
            yield Path(folder)
        return
    keep.mkdir(parents=True, exist_ok=True)
    if any(keep.iterdir()):
        raise click.UsageError(f"--keep {keep}: the folder is not empty.")
    yield keep.resolve()


@contextmanager
def served(rows: int) -> Iterator[Events]:
    """About so many events, and a simulator that exports them; it goes by the end of its input.

    A process of its own, with their making: the peak memory of a run counts that of the process that starts it.
    """
    command = [sys.executable, __file__, "serve", str(rows)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - our own command
        settings, files, made = json.loads(next(iter(server.stdout or ())))
        sizes = [file.stat().st_size for file in Path(files).iterdir()]
        out.print(f"{made:,} rows in {len(sizes):,} files, {sum(sizes) / 1e6:,.1f} MB")
        yield Events(settings, Path(files), made)
        server.communicate()


def pipeline(folder: Path, events: Events) -> Contender:
    """The pipeline from a copy, because beside the original there may be a `.env`, which overrides the environment."""
    copy = folder / "project"
    for name in ("pipelines", "sqlmesh"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns(".cache", ".env", "__pycache__"))
    (copy / ".dlt").mkdir()
    shutil.copy(ROOT / ".dlt" / "config.toml", copy / ".dlt")
    clock = {"SOURCES__AMPLITUDE__START_HOUR": START_HOUR, "SOURCES__AMPLITUDE__NOW": NOW}
    environment = {"AMPLITUDE_DESTINATION": "duckdb", **events.settings, **clock}
    command = [sys.executable, str(copy / "pipelines" / "amplitude.py")]
    load = Contender("pipeline", events.rows, "bronze.events", command, environment)
    first, last = FIVE_YEARS
    since = environment | {"SOURCES__AMPLITUDE__START_HOUR": first}
    declare = [*command, "declare-empty", "--start", first, "--end", last]
    return load._replace(
        afterwards=(
            load._replace(name="nothing new"),
            load._replace(name="five years", command=declare, environment=since),
            load._replace(name="status", command=[*command, "status"], environment=since),
        )
    )


def dicts(events: Events) -> list[Contender]:
    count = min(events.rows, DICT_ROWS)
    command = [sys.executable, __file__, "load-dicts", str(events.files), str(count)]
    quiet = {"RUNTIME__DLTHUB_TELEMETRY": "false"}
    return [
        Contender("dicts", count, "bronze.events", command, quiet),
        Contender("dicts-tuned", count, "bronze.events", [*command, "--tuned"], quiet),
    ]


def floors(events: Events) -> list[Contender]:
    """The floor with all threads and with one. The columns go along as text: their module would import dlt."""
    columns = json.dumps(column_types())
    command = [sys.executable, __file__, "load-floor", str(events.files), columns]
    return [
        Contender("floor", events.rows, "events", command, {}),
        Contender("floor-1-thread", events.rows, "events", [*command, "--threads", "1"], {}),
    ]


def column_types() -> dict[str, str]:
    """The DuckDB type of each of the export's keys, as the pipeline has them."""
    sys.path.insert(0, str(ROOT / "pipelines"))
    from amplitude_source.tables import EXPORT_TYPES

    return {key: DUCKDB_TYPES[type_] for key, type_ in EXPORT_TYPES.items()}


def time_limit(rows: int) -> float:
    return START_UP_SECONDS + rows / SLOWEST_ROWS_PER_SECOND


def measured(way: Contender, folder: Path, keep: bool) -> Iterator[tuple[str, Run]]:
    """Runs a contender in a new folder, then what comes afterwards, and checks what is loaded."""
    folder.mkdir()
    for each in (way, *way.afterwards):
        log = folder / f"{each.name}.txt"
        run, exit_code = run_alone(each, folder, log)
        if exit_code:
            text = f"{each.name} ended with {exit_code} after {run.seconds:.0f} s:\n{log.read_text()}"
            raise click.ClickException(text)
        if (count := count_rows(folder / WAREHOUSE, way.table)) != way.rows:
            raise click.ClickException(f"After {each.name}, {way.table} has {count:,} rows, not {way.rows:,}.")
        yield each.name, run
    if not keep:
        shutil.rmtree(folder)


def run_alone(way: Contender, folder: Path, log: Path) -> tuple[Run, int]:
    """Runs a contender to its end, or stops it with all it has started when its time is up."""
    environment = os.environ | way.environment | locations(folder)
    started = time.monotonic()
    with log.open("wb") as sink:
        process = subprocess.Popen(  # noqa: S603 - our own command
            way.command, cwd=folder, env=environment, stdout=sink, stderr=sink, start_new_session=True
        )
    timer = Timer(time_limit(way.rows), os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    return Run(time.monotonic() - started, usage.ru_maxrss * unit / 1e6), process.returncode


def locations(folder: Path) -> dict[str, str]:
    """Everything that dlt and the pipeline write lies in the folder."""
    return {
        "DESTINATION__DUCKDB__CREDENTIALS": str(folder / WAREHOUSE),
        "DLT_DATA_DIR": str(folder / "dlt"),
        "SOURCES__AMPLITUDE__LAKE__BUCKET_URL": str(folder / "lake"),
        "SOURCES__AMPLITUDE__WORK_DIR": str(folder / "work"),
    }


def count_rows(warehouse: Path, table: str) -> int:
    import duckdb

    with duckdb.connect(warehouse, read_only=True) as connection:
        rows = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
    return int(rows[0]) if rows else 0


def show(ways: list[Contender], runs: dict[str, list[Run]]) -> None:
    """A row for each contender with the medians of its runs, then the ratios."""
    table = Table("", "rows", "seconds", "rows/s", "peak MB", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    medians = {name: Run(*(median(figures) for figures in zip(*runs[name], strict=True))) for name in runs}
    for way in ways:
        seconds, peak = medians[way.name]
        table.add_row(way.name, f"{way.rows:,}", f"{seconds:.1f}", f"{way.rows / seconds:,.0f}", f"{peak:,.0f}")
        for each in way.afterwards:
            seconds, peak = medians[each.name]
            table.add_row(f"  {each.name}", "", f"{seconds:.2f}", "", f"{peak:,.0f}")
    out.print(table)
    speeds = {way.name: [way.rows / run.seconds for run in runs[way.name]] for way in ways}
    if len(ways) > 1:
        out.print(f"The dicts read the first {DICT_ROWS:,} rows at most, since they are slow: compare the rows/s.\n")
    for goal in goals(speeds, medians):
        text = f" (goal {goal.text}: {'reached' if goal.is_reached else 'missed'})" if goal.text else ""
        out.print(f"{goal.name}: {goal.value:,.2f}{text}")


def ratio(ours: list[float], others: list[float]) -> float:
    """The median of the ratios within each run, for a shared machine may be half as fast in the next one."""
    return median(our / other for our, other in zip(ours, others, strict=True))


def goals(speeds: dict[str, list[float]], medians: dict[str, Run]) -> Iterator[Goal]:
    if "pipeline" not in speeds:
        return
    for name, least in (("dicts-tuned", None), ("floor-1-thread", None), ("dicts", 15), ("floor", 0.35)):
        if name in speeds:
            value = ratio(speeds["pipeline"], speeds[name])
            text = f">= {least}" if least else ""
            yield Goal(f"pipeline / {name}, rows/s", value, text, not least or value >= least)
    peak, nothing_new, status = medians["pipeline"].peak_mb, medians["nothing new"].seconds, medians["status"].seconds
    yield Goal("pipeline, peak MB", peak, "< 500", peak < 500)
    yield Goal("nothing new, seconds", nothing_new, "< 3", nothing_new < 3)
    yield Goal("status, seconds", status, "< 2", status < 2)


@main.command(hidden=True)
@click.argument("rows", type=int)
def serve(rows: int) -> None:
    """Exports about so many events, and says how to have them."""
    sys.path.insert(0, str(ROOT))
    from simulator.faults import USER_COUNTS, Fault, FaultPlan, Reply
    from simulator.product import Product
    from simulator.server import DEMO_CREDENTIALS, Simulator

    copies = max(1, round(rows / ROWS_PER_COPY))
    product = Product(days=DAYS, events_per_day=max(1, round(rows / copies / DAYS)))
    key, secret = DEMO_CREDENTIALS
    with Simulator(product, api_key=key, secret_key=secret, copies=copies) as simulator:
        # It would count users longer than the pipeline takes.
        no_users = json.dumps({"data": {"series": [[]], "xValues": []}}).encode()
        simulator.faults = FaultPlan(
            Fault(Reply(200, body=no_users, content_type="application/json"), path=USER_COUNTS)
        )
        settings = {
            "SOURCES__AMPLITUDE__API_KEY": key,
            "SOURCES__AMPLITUDE__SECRET_KEY": secret,
            "SOURCES__AMPLITUDE__BASE_URL": simulator.base_url,
        }
        click.echo(json.dumps([settings, str(simulator.archive.folder), simulator.archive.row_count]))
        sys.stdin.read()


@main.command(hidden=True)
@click.argument("files", type=click.Path(exists=True, path_type=Path))
@click.argument("rows", type=int)
@click.option("--tuned", is_flag=True)
def load_dicts(files: Path, rows: int, tuned: bool) -> None:
    import dlt

    lines = islice(json_lines(files), rows)
    if tuned:
        events = dlt.resource(dict_chunks(lines), name="events", max_table_nesting=0)
    else:
        events = dlt.resource(map(json.loads, lines), name="events")
    dlt.pipeline("dicts", destination="duckdb", dataset_name="bronze").run(events, loader_file_format="parquet")


def dict_chunks(lines: Iterator[bytes]) -> Iterator[list[dict[str, Any]]]:
    import orjson

    while chunk := [orjson.loads(line) for line in islice(lines, DICT_CHUNK)]:
        yield chunk


def json_lines(files: Path) -> Iterator[bytes]:
    import gzip

    for path in sorted(files.glob("*.json.gz")):
        with gzip.open(path) as lines:
            yield from lines


@main.command(hidden=True)
@click.argument("files", type=click.Path(exists=True, path_type=Path))
@click.argument("columns")
@click.option("--threads", type=int)
def load_floor(files: Path, columns: str, threads: int | None) -> None:
    import duckdb

    with duckdb.connect(WAREHOUSE) as connection:
        if threads:
            connection.execute(f"SET threads = {threads}")
        query = "CREATE TABLE events AS SELECT * FROM read_json(?, format = 'newline_delimited', columns = "
        connection.execute(f"{query}{json.loads(columns)})", [str(files / "*.json.gz")])


if __name__ == "__main__":
    main()

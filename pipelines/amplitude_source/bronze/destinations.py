"""Where bronze lies: dlt's pipelines and destinations, by the settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dlt
import duckdb
from dlt.common.destination import Destination, TDestinationReferenceArg
from dlt.common.pipeline import LoadInfo
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.extract import DltSource

from ..settings import AmplitudeSettings, duckdb_path
from .duckdb_destination import DuckDB
from .duckdb_file import patiently
from .ducklake import DuckLake, lake_credentials, shared
from .files import DATASET, LAYOUT
from .snowflake import STAGING, snowflake_destination

# A load needs no order among its rows. One thread fills DuckDB's row groups to the brim; what several leave half full
# is written anew when the file is closed. So two statements run at once, on a file each.
DUCKDB_CONFIG: dict[str, bool | int | str] = {"preserve_insertion_order": False, "threads": 1}
PARALLEL_INSERTS = 2
# DuckDB writes for its version 1.0 by default, though with this format a load takes a fifth less. 1.3 is of May 2025.
NEW_FILE: dict[str, str | bool | int | float | list[str]] = {"storage_compatibility_version": "v1.3.0"}
# The least memory with which DuckDB writes row groups to disk at full speed. On top each statement holds some vectors.
DUCKDB_MEMORY_BYTES = 100_000_000
VECTOR_ROWS, VECTORS_HELD = 2048, 2
# DuckDB's compression of repeated texts makes most bronze tables ten times smaller. With texts above 4 KB it takes
# thirty times as long as without: 8 MB/s, measured with 1.5.6. Lines as long as that on average do without it, and are
# loaded one file at a time, which is as fast and takes up 100 MB less.
SLOW_COMPRESSION, LONG_LINE_BYTES = "dict_fsst", 4_096


def pipeline_name(destination: str) -> str:
    """Return dlt's name for it, which is also that of its folder."""
    return f"amplitude_{destination}"


def interrupted_loads(pipelines: Path, destination: str) -> list[str]:
    """Return the loads that a run left unfinished in its work folder, by dlt's names for them."""
    folder = pipelines / pipeline_name(destination)
    return [path.name for kind in ("normalize/extracted/*", "load/normalized/*") for path in folder.glob(kind)]


def make_pipeline(
    destination: str, settings: AmplitudeSettings, pipelines: Path, *, read_only: bool = False
) -> dlt.Pipeline:
    """Make the dlt pipeline of a destination.

    Args:
        destination: `duckdb`, `ducklake`, `snowflake` or `filesystem`.
        settings: of any project; all share one destination.
        pipelines: the folder for dlt's working files.
        read_only: whether other processes may read the DuckDB file at the same time.
    """
    return dlt.pipeline(
        pipeline_name=pipeline_name(destination),
        dataset_name=DATASET,
        pipelines_dir=str(pipelines),
        destination=make_destination(destination, settings, read_only=read_only),
        staging=lake_destination(settings, STAGING) if destination == "snowflake" else None,
    )


def lake_destination(settings: AmplitudeSettings, folder: str = "") -> Destination[Any, Any]:
    """A folder of the lake, for files that dlt writes; with the settings of the lake, credentials included."""
    return dlt.destinations.filesystem(
        bucket_url=f"{settings.lake.bucket_url.rstrip('/')}/{folder}",
        credentials=settings.lake.credentials,
        layout=LAYOUT,
        kwargs=settings.lake.kwargs,
        client_kwargs=settings.lake.client_kwargs,
        config_kwargs=settings.lake.config_kwargs,
        preferred_loader_file_format="parquet",
    )


def make_destination(destination: str, settings: AmplitudeSettings, *, read_only: bool) -> TDestinationReferenceArg:
    if destination == "filesystem":
        return lake_destination(settings)
    if destination == "duckdb":
        path = duckdb_path(Path.cwd())  # the repository's root
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():  # a file keeps the format that it was made with
            patiently(lambda: duckdb.connect(path, config=NEW_FILE), path).close()
        credentials = DuckDbCredentials()
        credentials.database = str(path)  # given to the constructor, it would be parsed as an address
        credentials.read_only = read_only
        credentials.global_config = DUCKDB_CONFIG
        return DuckDB(credentials=credentials, max_parallel_load_jobs=PARALLEL_INSERTS)
    if destination == "ducklake":
        return DuckLake(credentials=lake_credentials(settings.lake, read_only=read_only))
    return snowflake_destination(settings.lake.bucket_url.rstrip("/"))


@contextmanager
def kept_open(pipeline: dlt.Pipeline) -> Iterator[None]:
    """Keep a connection to DuckDB, so that no other process takes the file, and what dlt opens opens at once.

    DuckDB puts its file in order, at some cost, whenever the last connection closes; to DuckLake it signs in anew.

    Raises:
        BusyError: another process holds the file, and goes on holding it for some seconds.
    """
    if pipeline.destination.destination_name == "duckdb":
        client = pipeline.sql_client()
        path, read_only = Path(client.credentials.database), client.credentials.read_only
        with patiently(lambda: duckdb.connect(path, read_only=read_only), path):
            yield
    elif pipeline.destination.destination_name == "ducklake":
        with shared(pipeline.sql_client().credentials):
            yield
    else:
        yield


def run_pipeline(pipeline: dlt.Pipeline, source: DltSource) -> LoadInfo:
    """`pipeline.run` without asking for the destination's state once more, and with DuckDB open for the load alone."""
    pipeline.extract(source)
    pipeline.normalize()
    with kept_open(pipeline):
        return pipeline.load()


def load_lines(pipeline: dlt.Pipeline, longest: int, average: int) -> None:
    """`pipeline.load`, with what DuckDB may take for it and how it compresses. dlt hands that to each connection.

    It is for the load alone: the little memory that appending rows takes is too little for queries of gold.

    Args:
        pipeline: with normalized rows.
        longest: bytes of the longest line so far.
        average: bytes of a line.
    """
    are_long = average > LONG_LINE_BYTES
    inserts = 1 if are_long else PARALLEL_INSERTS
    of_load = {
        "memory_limit": f"{DUCKDB_MEMORY_BYTES + inserts * VECTORS_HELD * VECTOR_ROWS * longest}B",
        "disabled_compression_methods": SLOW_COMPRESSION if are_long else "",
    }
    DUCKDB_CONFIG.update(of_load)
    try:
        if are_long and pipeline.destination.destination_name == "duckdb":
            pipeline.load(workers=inserts)
        else:
            pipeline.load()
    finally:
        for name in of_load:
            del DUCKDB_CONFIG[name]

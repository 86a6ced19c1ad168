"""The files of DuckLake: small ones become large ones, and what nothing refers to any more goes."""

from typing import Any

import dlt
from dlt.destinations.sql_client import SqlClientBase

from .cleanup import LONGEST_LOAD_SECONDS
from .ducklake import BUILDERS_LOCK, METADATA_SCHEMA, NAME, locked

# An hour's load and its run make some hundred files. From so many on a run puts them in order, about twice a day.
SMALL_BYTES, MANY_SMALL_FILES = 10 << 20, 2_000
SMALL_FILES = f"""
    SELECT COUNT(*) FROM __ducklake_metadata_{NAME}.{METADATA_SCHEMA}.ducklake_data_file
    WHERE end_snapshot IS NULL AND file_size_bytes < {SMALL_BYTES}
"""
# How long old states of the tables can be read, and files that no commit has named may belong to a load under way.
KEPT = f"{LONGEST_LOAD_SECONDS // 86_400} days"
OPTIONS = ("expire_older_than", "delete_older_than")


def put_in_order(pipeline: dlt.Pipeline) -> None:
    """Have DuckLake join its small files, and remove what is older than it is kept, if there are many by now.

    Nobody may build silver and gold meanwhile, because they delete from the same files: then a later run does it.
    """
    if pipeline.destination.destination_name != "ducklake":
        return
    with pipeline.sql_client() as client:
        ((small,),) = client.execute_sql(SMALL_FILES) or [(0,)]
        if small < MANY_SMALL_FILES:
            return
        with locked(client.credentials.catalog, BUILDERS_LOCK, waits=False) as is_alone:
            if not is_alone:
                return
            for option in OPTIONS:
                client.execute_sql(f"CALL {NAME}.set_option('{option}', '{KEPT}')")
            client.execute_sql(f"CHECKPOINT {NAME}")


def forget_deleted(client: SqlClientBase[Any]) -> None:
    """Have no file and no statistics hold what was deleted from the tables; earlier states of them are gone, too."""
    client.execute_sql(f"CALL ducklake_rewrite_data_files('{NAME}', delete_threshold => 0)")
    client.execute_sql(f"CALL ducklake_expire_snapshots('{NAME}', older_than => NOW())")
    client.execute_sql(f"CALL ducklake_cleanup_old_files('{NAME}', cleanup_all => TRUE)")

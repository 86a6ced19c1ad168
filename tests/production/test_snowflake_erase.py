"""`archive prune` and `erase` on Snowflake and S3: as on DuckDB, and what others keep is said."""

import gzip
import json
from collections import Counter

import pytest

from support.members import SMALL_PRODUCT
from support.project import succeeded
from support.snowflake_standin import SnowflakeProject
from support.witnesses import assert_take_what_was_sent

ROWS = [row for _, rows in SMALL_PRODUCT.rows() for row in rows]
USER = Counter(str(row["user_id"]) for row in ROWS if row["user_id"]).most_common(1)[0][0]
AMPLITUDE_IDS = {row["amplitude_id"] for row in ROWS if row["user_id"] == USER}
OTHERS = {row["uuid"] for row in ROWS if row["amplitude_id"] not in AMPLITUDE_IDS}


@pytest.mark.nightly
@pytest.mark.slow
def test_a_person_leaves_snowflake_and_the_bucket_and_hours_without_files(snowflake_project: SnowflakeProject) -> None:
    project = snowflake_project
    project.env["SOURCES__AMPLITUDE__PRIVACY__HASH_KEY"] = "a-secret-that-nobody-may-see"
    project.env["SOURCES__AMPLITUDE__LAKE__RETENTION_DAYS"] = "2"
    succeeded(project.load_here())
    removed = succeeded(project.load_here("archive", "prune"))
    assert "hours (2026-06-01T00 to 2026-06-02T11) were removed" in removed.stdout
    assert "A bucket with versions" in removed.stderr
    result = succeeded(project.load_here("erase", "--user-id", USER))
    assert "Time Travel" in result.stderr
    assert "A bucket with versions" in result.stderr
    found = project.query("SELECT uuid FROM bronze.events")
    assert {uuid for (uuid,) in found} == OTHERS
    files = project.s3.files(project.bucket, "amplitude/")
    texts = [gzip.decompress(data) if key.endswith(".gz") else data for key, data in files.items()]
    assert not [text for text in texts if USER.encode() in text]
    (certificate,) = [json.loads(data) for key, data in files.items() if "/erased/2" in key]
    assert certificate["hours_without_files"], "rows of hours whose files are gone are deleted from Snowflake itself"
    assert any("Fail-safe" in sentence for sentence in certificate["kept_by_others"])
    assert project.query("SELECT SUM(erased_rows) FROM bronze.export_hours") == [(len(ROWS) - len(OTHERS),)]
    assert_take_what_was_sent(project)

"""Privacy, end to end: no personal value is kept anywhere, and all else is loaded as without rules."""

import gzip
from datetime import timedelta
from pathlib import Path

import pytest

from amplitude_source.lake.privacy import SETTINGS
from simulator.product import Product
from simulator.server import Simulator
from support.assertions import take_all_hours
from support.members import hour_text
from support.project import Project, sentence, succeeded

pytestmark = pytest.mark.slow

RULES = {
    f"{SETTINGS}__PROFILE": "ip_and_location",
    f"{SETTINGS}__HASH": '["user_id", "device_id"]',
    f"{SETTINGS}__DROP": '["user_properties/plan"]',
    f"{SETTINGS}__HASH_KEY": "a-secret-that-nobody-may-see",
}


def everything(folder: Path) -> bytes:
    """The bytes of all files below a folder; what is gzipped, unzipped."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return b"\n".join(gzip.decompress(p.read_bytes()) if p.suffix == ".gz" else p.read_bytes() for p in paths)


def personal_values(product: Product) -> set[bytes]:
    rows = [row for _, rows in product.rows() for row in rows]
    values = {str(row[key]) for row in rows for key in ("user_id", "device_id", "ip_address") if row[key]}
    assert len(values) > 20, "the product has personal data"
    return {value.encode() for value in values}


def test_no_personal_value_is_in_the_lake_the_warehouse_or_any_other_file(project: Project, product: Product) -> None:
    project.env |= RULES
    result = succeeded(project.load_here())
    found = everything(project.root / "data") + result.stdout.encode() + result.stderr.encode()
    assert {value for value in personal_values(product) if value in found} == set()
    assert b"a-secret-that-nobody-may-see" not in found
    ((rows, users, places),) = project.query("SELECT COUNT(*), COUNT(user_id), COUNT(city) FROM bronze.events")
    assert rows == sum(member.rows for member in product.members())
    assert users > 0
    assert places == 0
    assert project.query("SELECT COUNT(*) FROM bronze.rejected_rows") == [(0,)]
    ((devices,),) = project.query("SELECT COUNT(NULLIF(device_id, '')) FROM bronze.events")
    summary = next(line for line in result.stdout.splitlines() if line.startswith("Privacy rules"))
    assert f"in {rows:,} rows" in summary
    assert f"{users + devices:,} values hashed" in summary
    assert "dropped" in summary
    assert "nulled" in summary
    assert "warning" not in result.stderr


def test_a_misspelled_rule_warns_with_the_nearest_key(project: Project) -> None:
    env = {f"{SETTINGS}__HASH": '["userid"]', f"{SETTINGS}__HASH_KEY": "a-secret-that-nobody-may-see"}
    result = succeeded(project.load_here(**env))
    assert result.stderr.count("did you mean user_id?") == 2, "before the load, and after it"
    ((rows,),) = project.query("SELECT COUNT(*) FROM bronze.events")
    assert f"'userid' is in none of {rows:,} rows, so the rule did nothing" in result.stderr
    assert "0 values hashed" in result.stdout
    assert "Privacy rules" not in succeeded(project.load_here("--replay", **env)).stdout, "they are not tried twice"


def test_privacy_check_shows_counts_and_no_values(loaded: Project, product: Product) -> None:
    assert "no privacy rules" in succeeded(loaded.load_here("privacy", "check")).stdout
    loaded.env |= RULES | {f"{SETTINGS}__NULL": '["languge"]', f"{SETTINGS}__DROP": "[]"}
    before = everything(loaded.root / "data")
    result = succeeded(loaded.load_here("privacy", "check"))
    shown = {tuple(line.split()[:2]) for line in result.stdout.splitlines()}
    assert {("user_id", f"{SETTINGS}__HASH"), ("ip_address", f"{SETTINGS}__PROFILE")} <= shown
    assert "did you mean language?" in result.stderr
    output = (result.stdout + result.stderr).encode()
    assert {value for value in personal_values(product) if value in output} == set()
    assert everything(loaded.root / "data") == before


def test_privacy_check_takes_a_folder_before_anything_is_loaded(project: Project, product: Product) -> None:
    project.env |= RULES
    assert "name a folder" in sentence(project.load_here("privacy", "check"))
    member = next(product.members())
    (project.root / "exports").mkdir()
    (project.root / "exports" / member.file_name).write_bytes(member.data)
    result = succeeded(project.load_here("privacy", "check", "exports"))
    assert f"on the {member.rows:,} rows of hour {hour_text(member.hour)}" in result.stdout
    assert not project.database.exists()


def test_a_replay_of_the_redacted_archive_hashes_nothing_twice(project: Project) -> None:
    project.env |= RULES
    succeeded(project.load_here())
    users = "SELECT user_id, COUNT(*) FROM bronze.events GROUP BY ALL ORDER BY ALL"
    before = project.query(users)
    project.database.unlink()
    succeeded(project.load_here("--replay"))
    assert project.query(users) == before
    assert project.query("SELECT DISTINCT revision FROM bronze.export_hours") == [(1,)]


def test_a_folder_of_exported_files_is_redacted_as_well(project: Project, product: Product) -> None:
    folder = project.root / "exports"
    folder.mkdir()
    for member in product.members():
        (folder / member.file_name).write_bytes(member.data)
    project.env |= RULES
    succeeded(project.load_here("--replay", "exports"))
    found = everything(project.root / "data")
    assert {value for value in personal_values(product) if value in found} == set()


def test_a_second_look_compares_what_amplitude_sent_not_what_became_of_it(
    project: Project, simulator: Simulator, product: Product
) -> None:
    project.env |= RULES
    project.set_clock(product.start + timedelta(hours=36), simulator)
    succeeded(project.load_here())
    project.set_clock(product.start + timedelta(hours=60), simulator)
    result = succeeded(project.load_here())
    assert "once more: 0 had changed" in result.stdout


def test_other_rules_make_another_content_of_an_hour_that_is_loaded_again(project: Project, product: Product) -> None:
    hour = next(product.members()).hour
    bounds = ("--start", hour_text(hour), "--end", hour_text(hour))
    succeeded(project.load_here(*bounds))
    take_all_hours(project)
    project.env |= RULES
    assert "--restate-model" in succeeded(project.load_here(*bounds)).stdout
    assert project.query("SELECT revision, status FROM bronze.export_hours") == [(2, "loaded")]


def test_rules_that_cannot_be_followed_are_told_before_anything_is_asked_for(
    project: Project, simulator: Simulator
) -> None:
    for env in ({f"{SETTINGS}__HASH": '["user_id"]'}, {f"{SETTINGS}__DROP": '["uuid"]'}, {f"{SETTINGS}__NULL": "x"}):
        assert f"{SETTINGS}__" in sentence(project.load_here(**env))
    assert simulator.requests == []

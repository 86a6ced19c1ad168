"""Files of the dashboard beside its code."""

import re

from board.dictionary import read_tables
from support.project import REPOSITORY


def test_inside_snowflake_the_packages_have_the_versions_of_the_lock() -> None:
    lock = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
    names = (REPOSITORY / "dashboard/requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in names if not line.startswith("#") and f"{line} " not in lock] == []


def test_the_dictionary_has_every_table_of_the_reference_with_its_parents() -> None:
    tables = read_tables()
    text = (REPOSITORY / "docs/reference/tables.md").read_text(encoding="utf-8")
    assert [*tables] == re.findall(r"^### (\S+)$", text, re.MULTILINE)
    assert tables["gold.daily_metrics"].parents == ("silver.apps", "silver.segment_days", "silver.segment_sessions")
    assert [name for name, table in tables.items() if not table.text.strip()] == []

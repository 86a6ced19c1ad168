"""Charts as dynamic tables, against the stand-in, which makes them ordinary tables and refreshes them when told."""

from datetime import timedelta

import pytest

from simulator.server import Simulator
from support import statements, warehouse, witnesses
from support.members import hour_text
from support.project import make_project, succeeded
from support.snowflake_standin import SnowflakeProject
from verify_snowflake import expect_same_rows

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

CHARTS = ("gold.daily_metrics", "gold.lifecycle_weekly")


def test_charts_have_the_rows_of_duckdb_after_a_plan_and_after_a_run(
    snowflake_project: SnowflakeProject, simulator: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A plan makes and fills the tables. A run refreshes them before their audits, which compare them with silver."""
    local = make_project(tmp_path_factory.mktemp("local"), simulator)
    path = snowflake_project.root / "sqlmesh/config.yaml"
    lines = "".join(f"\n    {name}: 1 hour" for name in CHARTS)
    path.write_text(path.read_text().replace("\n  dynamic_tables:", f"\n  dynamic_tables:{lines}"))
    found = []
    for end in (("--end", hour_text(simulator.product.start + timedelta(hours=30))), ()):
        for project in (local, snowflake_project):
            succeeded(project.load_here(*end))
            models = (*warehouse.stored_models(project), *CHARTS)
            warehouse.plan(project, models=models) if end else warehouse.run(project)
        for name in CHARTS:
            found.append(snowflake_project.query(f"SELECT * FROM {name}"))
            expect_same_rows(found[-1], local.query(f"SELECT * FROM {name}"))
    assert len(found[0]) < len(found[2]), "the run has added rows"
    sent = [each.sql for each in snowflake_project.snowflake.statements()]
    assert len([sql for sql in sent if "REFRESH_MODE=FULL" in sql]) == len(CHARTS)
    statements.assert_keep_to_the_rules(sent)
    witnesses.assert_take_what_was_sent(snowflake_project)

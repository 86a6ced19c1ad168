"""`sqlmesh run` reports a failure of production once, with the audit, and its end."""

import duckdb
import pytest

from amplitude_source.transform.run_alerts import RunAlerts
from support import warehouse
from support.project import SQLMESH, Project, Result
from support.receiver import receiving

MODEL = """MODEL (
  name marts.daily_events,
  kind FULL,
  audits (forall(criteria := (day < '2030-01-01')))
);

SELECT event_time::DATE AS day, COUNT(*) AS events FROM bronze.events GROUP BY 1
"""
LATE = "UPDATE bronze.events SET event_time = event_time + INTERVAL ({years}) YEAR WHERE _archive_row = 1"


def sqlmesh_run(project: Project) -> Result:
    result = project.run(*SQLMESH, "run", "--ignore-cron", "--select-model", "marts.daily_events")
    assert "hush" not in result.stdout + result.stderr
    return result


def test_only_production_is_reported_and_a_webhook_that_fails_is_a_warning(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    with receiving() as receiver, project.entered(receiver.secrets):
        for environment in ("dev", "prod"):
            target = RunAlerts()
            target.notify_run_start(environment)
            target.notify_run_failure("a trace")
        assert [text.endswith("its log says why.") for text in receiver.texts] == [True]
        receiver.status = 500
        target.notify_run_end("prod")
    assert capsys.readouterr().err == (
        "Warning: The address of ALERTS__WEBHOOK_URL answers HTTP 500: check it and the network.\n"
    )


@pytest.mark.slow
def test_a_run_whose_audit_fails_is_reported_once_and_so_is_the_good_one(loaded: Project) -> None:
    model = loaded.root / "sqlmesh/models/custom/daily_events.sql"
    model.write_text(MODEL)
    with warehouse.opened(loaded) as context:
        context.plan(
            select_models=["marts.daily_events"], auto_apply=True, no_prompts=True, skip_tests=True, skip_linter=True
        )
    with receiving() as receiver:
        loaded.env |= receiver.secrets
        with duckdb.connect(str(loaded.database)) as connection:
            connection.execute(LATE.format(years=9))
            connection.execute("DELETE FROM sqlmesh._intervals")
        failed = sqlmesh_run(loaded)
        assert failed.returncode == 1, failed.stdout + failed.stderr
        (said,) = receiver.texts
        assert said.startswith("Amplitude warehouse, sqlmesh run: sqlmesh run failed, and its log says why.")
        assert "forall of marts.daily_events (" in said
        with duckdb.connect(str(loaded.database)) as connection:
            connection.execute(LATE.format(years=-9))
        good = sqlmesh_run(loaded)
        assert good.returncode == 0, good.stdout + good.stderr
        assert [": over. " in text for text in receiver.texts] == [False, True]

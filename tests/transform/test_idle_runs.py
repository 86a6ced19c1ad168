"""A `sqlmesh run` with nothing new, as most runs of a tight schedule are."""

import json

import pytest
from sqlglot import exp, parse_one

from support import warehouse
from support.project import Project, succeeded

# `sqlmesh run`, which writes down at its end what it has sent, rendered and imported.
RUN = """
import atexit, json, sys
from sqlmesh.cli.main import cli
from sqlmesh.core.engine_adapter.duckdb import DuckDBEngineAdapter
from sqlmesh.core.renderer import QueryRenderer

def noting(function, seen, what):
    def noted(self, *arguments, **options):
        seen.append(what(self, *arguments))
        return function(self, *arguments, **options)
    return noted

def write_down():
    imported = [name for name in sys.modules if name == "snowflake.snowpark"]
    with open("noted.json", "w") as file:
        json.dump({"sent": sent, "rendered": rendered, "imported": imported}, file)

sent, rendered = [], []
DuckDBEngineAdapter._execute = noting(DuckDBEngineAdapter._execute, sent, lambda self, sql, *_: sql)
QueryRenderer.render = noting(QueryRenderer.render, rendered, lambda self, *_: self._model_fqn)
atexit.register(write_down)
cli()
"""


@pytest.mark.slow
def test_a_run_with_nothing_new_reads_no_events_and_renders_no_model(loaded: Project) -> None:
    for audit in (loaded.root / "sqlmesh/audits").glob("*.sql"):
        if "standalone TRUE" in audit.read_text():
            audit.unlink()  # it reads gold, which is not built here
    with warehouse.opened(loaded) as context:
        context.plan(
            select_models=["silver.events", "silver.first_events"], auto_apply=True, no_prompts=True, skip_tests=True
        )
    succeeded(loaded.run("-c", RUN, "run"))
    noted = json.loads((loaded.root / "noted.json").read_text())
    tables = [table for sql in noted["sent"] for table in parse_one(sql, dialect="duckdb").find_all(exp.Table)]
    read = {f"{table.db}.{table.name}".lower() for table in tables}
    assert "bronze.export_hours" in read, "the gate has not looked for new hours"
    assert not [name for name in read if name == "bronze.events" or name.startswith("silver")]
    assert (noted["rendered"], noted["imported"]) == ([], [])

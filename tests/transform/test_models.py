"""The unit tests of the models, as `sqlmesh test` runs them, so that every processor takes its share."""

import io
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlglot import exp
from sqlmesh import Context

from simulator.product import Product
from simulator.server import Simulator
from support import warehouse
from support.project import REPOSITORY, make_project

FILES = sorted(path.name for path in (REPOSITORY / "sqlmesh/tests").glob("test_*.yaml"))


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory, product: Product) -> Iterator[Context]:
    """SQLMesh's context of a checkout in which nothing was loaded."""
    with Simulator(product, product.end + timedelta(hours=12)) as simulator:
        project = make_project(tmp_path_factory.mktemp("models"), simulator)
        with warehouse.opened(project) as context:
            yield context


@pytest.mark.parametrize("file", FILES)
def test_each_unit_test_of_the_models_holds(context: Context, file: str) -> None:
    told = io.StringIO()
    path = Path(next(iter(context.configs))) / "sqlmesh/tests" / file
    result = context.test(tests=[str(path)], stream=told)
    assert result.testsRun > 0, f"SQLMesh finds no test in {file}"
    assert result.wasSuccessful(), "\n".join(text for _, text in [*result.errors, *result.failures])


def test_each_query_of_silver_reads_each_json_once(context: Context) -> None:
    """DuckDB reads the JSON of a row anew for each call, unless all calls are alike."""
    readers = set()
    for model in context.models.values():
        query = model.render_query() if model.is_sql and model.schema_name.lower() == "silver" else None
        for select in query.find_all(exp.Select) if query else ():
            calls = defaultdict(set)
            for call in select.find_all(exp.Anonymous):
                if call.name.upper().startswith("JSON_EXTRACT") and call.find_ancestor(exp.Select) is select:
                    calls[call.expressions[0].sql()].add(call.sql())
            readers |= {model.name} if calls else set()
            assert [[*each] for each in calls.values() if len(each) > 1] == [], model.name
    assert {"silver.sessions", "silver.user_device_hours"} <= readers

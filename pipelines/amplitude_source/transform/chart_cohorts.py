"""A look at the cohorts that segments name, before anything is built."""

from pathlib import Path

from sqlglot import exp
from sqlmesh.core.engine_adapter.base import EngineAdapter
from sqlmesh.core.model import Model

from ..charts.cohorts import Cohort, Fault, cohort_faults, cohorts_of
from ..charts.definitions import FILE, read_words
from ..charts.expressions import DIALECT

COHORTS = "silver.cohorts"


def faults_of_cohorts(root: Path, model: Model, adapter: EngineAdapter, bronze: str | None) -> list[Fault]:
    """Return what is wrong with the cohorts that sqlmesh/definitions.yaml names.

    Args:
        root: the repository's folder.
        model: of `COHORTS`; its view is not there before the first plan, so its query is asked.
        adapter: of the warehouse.
        bronze: that is chosen in place of this pipeline's own.
    """
    segments = read_words(root).segments
    wanted = cohorts_of(segments, segments)
    if not wanted:
        return []
    if bronze:
        sentence = f"{FILE}: the segment {next(iter(wanted))} names a cohort; `bronze: {bronze}` has none."
        return [Fault(sentence, is_wrong=True)]
    return [*cohort_faults(wanted, listed_cohorts(model, adapter), root)]


def listed_cohorts(model: Model, adapter: EngineAdapter) -> list[Cohort]:
    """Return the cohorts that bronze has today; none if it is not loaded yet."""
    query = model.render_query_or_raise()
    read = (exp.table_(each.this, each.args.get("db"), each.args.get("catalog")) for each in query.find_all(exp.Table))
    if not all(adapter.table_exists(table) for table in read if table.db):
        return []
    columns = ("project", "cohort_id", "name", "size", "members")
    rows = adapter.fetchall(exp.select(*columns, dialect=DIALECT).from_(query.subquery("cohorts")))
    return [Cohort(*row) for row in rows]

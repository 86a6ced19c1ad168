"""Plans of SQLMesh whose restatements survive a kill, and which go by the state alone."""

from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path
from typing import TypeAlias, cast

from sqlglot import exp
from sqlmesh.core.config import Config
from sqlmesh.core.config.scheduler import BuiltInSchedulerConfig
from sqlmesh.core.context import GenericContext
from sqlmesh.core.model import SqlModel
from sqlmesh.core.plan import BuiltInPlanEvaluator, EvaluatablePlan
from sqlmesh.core.plan.stages import BackfillStage
from sqlmesh.core.scheduler import Scheduler
from sqlmesh.core.snapshot import Snapshot, SnapshotEvaluator, SnapshotId
from sqlmesh.core.snapshot.cache import SnapshotCache
from sqlmesh.core.state_sync import EngineAdapterStateSync, StateSync
from sqlmesh.utils.cache import FileCache
from sqlmesh.utils.date import now_timestamp, to_timestamp

from .foreign_bronze import CHOICE, OWN
from .row_batches import RowScheduler

MINUTE_IN_MS = 60_000

ColumnTypes: TypeAlias = dict[str, exp.DataType] | None


class ResumablePlanEvaluator(BuiltInPlanEvaluator):
    """Restates so that a kill leaves work to do, and not tables that are half restated and count as done.

    SQLMesh itself leaves the intervals in its state while it builds them again: after a kill nothing is missing.
    """

    def evaluate(self, plan: EvaluatablePlan, circuit_breaker: Callable[[], bool] | None = None) -> None:
        """Give the plan the time at which it really begins, for which SQLMesh takes the start of the minute.

        `gold.export_hours_taken` compares it with the ends of loads.
        """
        started = now_timestamp()
        if plan.execution_time and 0 <= started - to_timestamp(plan.execution_time) < MINUTE_IN_MS:
            plan = plan.copy(update={"execution_time": started})
        super().evaluate(plan, circuit_breaker)

    def visit_backfill_stage(self, stage: BackfillStage, plan: EvaluatablePlan) -> None:
        """Remove the intervals of production first; each model adds its own again when it is built."""
        if plan.is_prod:
            snapshots = [snapshot for snapshot in stage.all_snapshots.values() if snapshot.name in plan.restatements]
            self.state_sync.remove_intervals(
                [(snapshot, plan.restatements[snapshot.name]) for snapshot in snapshots], remove_shared_versions=True
            )
        super().visit_backfill_stage(stage, plan)


class SnapshotsOfTheState(SnapshotCache):
    """Reads each snapshot from the state, and keeps in files which tables and columns its model's query has.

    SQLMesh would keep snapshots in files by their fingerprints. After a second state (another DuckDB file, one that was
    deleted and made anew) a file says where the tables of the first one lie: plans fail, or write there. Reading the
    snapshots takes 0.3 s longer (measured with 56 of them).

    It would also read the query of every model, optimized, from a file. That is most of the work of a run that builds
    little or nothing. Which tables a query reads and which columns it has is all that is asked of most of them.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._queries: FileCache[tuple[set[str], ColumnTypes]] = FileCache(path, prefix="tables_and_columns")

    def get_or_load(
        self, snapshot_ids: set[SnapshotId], loader: Callable[[set[SnapshotId]], Collection[Snapshot]]
    ) -> tuple[dict[SnapshotId, Snapshot], set[SnapshotId]]:
        """Return the snapshots, none of them from a file."""
        snapshots = {snapshot.snapshot_id: snapshot for snapshot in loader(snapshot_ids)}
        for snapshot in snapshots.values():
            self._update_node_hash_cache(snapshot)
            self.put(snapshot)
        return snapshots, set()

    def put(self, snapshot: Snapshot) -> None:
        """Keep what the query of a new snapshot says, and not the snapshot: it is in the state alone."""
        if snapshot.is_model and isinstance(snapshot.model, SqlModel):
            self._complete(snapshot.model, self._entry_name(snapshot.snapshot_id))

    def _complete(self, model: SqlModel, name: str) -> None:
        """Give a model what its query says, which follows from its fingerprint alone."""
        known = self._queries.get(name)
        if known is None:
            try:
                known = model.full_depends_on, model.columns_to_types
            except Exception:  # an older model may need code that is gone; a step that needs its query meets the error
                return
            self._queries.put(name, value=known)
        depends_on, model._columns_to_types = known
        model._full_depends_on = depends_on  # type: ignore[misc]  # SQLMesh itself sets it so


def _scheduler(
    context: GenericContext[Config], snapshots: Iterable[Snapshot], snapshot_evaluator: SnapshotEvaluator
) -> Scheduler:
    """Return the scheduler of a plan: by rows, where bronze is this pipeline's own and has tables to ask for them."""
    is_own = context.config.variables.get(CHOICE, OWN) == OWN
    return (RowScheduler if is_own else Scheduler)(
        snapshots,
        snapshot_evaluator,
        context.state_sync,
        default_catalog=context.default_catalog,
        max_workers=context.concurrent_tasks,
        console=context.console,
        notification_target_manager=context.notification_target_manager,
    )


class ResumableScheduler(BuiltInSchedulerConfig):
    """SQLMesh's scheduler with that evaluator of plans and those snapshots."""

    def create_state_sync(self, context: GenericContext[Config]) -> StateSync:
        state_sync = cast(EngineAdapterStateSync, super().create_state_sync(context))
        state_sync.snapshot_state._snapshot_cache = SnapshotsOfTheState(context.cache_dir)
        return state_sync

    def create_plan_evaluator(self, context: GenericContext[Config]) -> ResumablePlanEvaluator:
        return ResumablePlanEvaluator(
            state_sync=context.state_sync,
            snapshot_evaluator=context.snapshot_evaluator,
            create_scheduler=partial(_scheduler, context),
            default_catalog=context.default_catalog,
            console=context.console,
        )

"""The steps of an erasure. Each can be done again, so a run that was killed is finished by the next one.

First a note in the lake has the hashes of the persons: from there on no load brings them, and the rest only makes
everything agree with the list. The certificate comes last.
"""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import dlt

from ..bronze import compaction
from ..bronze.destinations import kept_open
from ..bronze.ducklake import FOLDER
from ..bronze.files import BronzeFiles
from ..bronze.ledger import Ledger, read_ledgers
from ..bronze.persons import CLEARED_EXAMPLES, EVERYWHERE, IdTable, Persons, id_tables
from ..bronze.snowflake import STAGING
from ..bronze.taken import bounds, read_taken, restatements
from ..bronze.unarchived import delete_lines, in_hours, lines_of, rows_by_hour
from ..bronze.upkeep import KEPT, forget_deleted
from ..errors import AmplitudeError
from ..invocation import ROOT, load_command
from ..lake.archive import Archive
from ..lake.erased import ErasedFolder, Unfinished
from ..lake.open import open_lake
from ..plan import Work
from ..settings import HOUR, AmplitudeSettings, duckdb_path, format_hour
from ..tables import IDS_OF_PERSONS
from .dashboard import COPY_FOLDER
from .loads import opened_ledgers, run_loads
from .reports import out
from .runs import noted

ENVIRONMENTS = Path(__file__).parents[1] / "transform/environments.py"
DOWNLOADS = "window-*.zip*"
SNOWFLAKE_KEEPS = (
    "Snowflake keeps deleted rows of bronze for Time Travel (DATA_RETENTION_TIME_IN_DAYS, 1 to 90 days) and then 7 "
    "days for Fail-safe, which nobody can shorten; its query history keeps the text of statements for 365 days."
)
DUCKLAKE_KEEPS = (
    f"Files that a killed load left in the lake's folder {FOLDER} belong to no table; a later load removes them after "
    f"{KEPT}."
)
S3_KEEPS = "A bucket with versions keeps the old files until its lifecycle rule deletes them."


class Erasure:
    """An erasure of a project's persons that has begun.

    Args:
        pipeline: of the destination.
        settings: of the project.
        unfinished: what it is about, and how far it is.
    """

    def __init__(self, pipeline: dlt.Pipeline, settings: AmplitudeSettings, unfinished: Unfinished) -> None:
        self._pipeline, self._settings, self._unfinished = pipeline, settings, unfinished
        self._archive = Archive(settings.lake, settings.project, settings.privacy, settings.exports)
        self._folder = erasures_of(self._archive)
        self._persons = self._folder.nobody().with_hashes(unfinished.hashes)
        self._destination = str(pipeline.destination.destination_name)

    def complete(self) -> str:
        """Take all steps.

        Returns:
            The path of the certificate in the lake.

        Raises:
            AmplitudeError: something is in the way; the same command goes on from there.
        """
        if not self._folder.is_certified(self._unfinished):
            self._rewrite_archive()
            if self._destination == "filesystem":
                self._reload_hours()
                BronzeFiles(self._pipeline).erase(self._persons, self._files_rewritten())
            else:
                self._reload_hours()
                self._delete_unarchived()
                self._delete_rows()
                self._restate()
            self._remove_copies()
            self._folder.certify(self._unfinished, self._certificate())
        self._folder.close()
        return self._folder.certificate_path(self._unfinished)

    def _rewrite_archive(self) -> None:
        searched = list(self._archive.search(self._persons))
        for hour in sorted({*self._hours_rewritten()} | {each.hour for each in searched if each.found}):
            self._archive.purge(hour)
        self._archive.remove_strays({path for each in searched for path in each.paths})
        if left := [each.hour for each in self._archive.search(self._persons, self._hours_rewritten()) if each.found]:
            raise AmplitudeError(f"Hour {format_hour(left[0])} of the archive has the persons still; run again.")

    def _reload_hours(self) -> None:
        """Bronze takes in the hours that the archive has otherwise now, as after any change."""
        ledgers = opened_ledgers(self._pipeline, self._settings)
        ledger = ledgers.get(self._settings.project, {})
        rewritten = self._hours_rewritten()
        # Another warehouse's erasure may have rewritten hours long ago, or this warehouse was restored.
        if hours := [hour for hour in sorted({*rewritten, *self._hours_in_bronze()}) if self._differs(hour, ledger)]:
            read = (read() for read in self._archive.read_hours(hours))
            work = Work(read, hours[0], len(hours), self._archive, asks_amplitude=False)
            with noted(self._pipeline, self._settings, "erase") as run:
                run_loads(self._pipeline, self._settings, work, ledgers, run)
                if run.progress.error:
                    raise run.progress.error
        for hour in self._archive.announced():
            if hour in rewritten:
                self._archive.settle(hour)

    def _delete_unarchived(self) -> None:
        """Delete the rows of hours whose files retention has removed, so that no reload can replace them."""
        ledger = opened_ledgers(self._pipeline, self._settings).get(self._settings.project, {})
        with kept_open(self._pipeline), self._pipeline.sql_client() as client:
            lines = lines_of(client, self._settings.project, self._persons)
            rows = rows_by_hour(lines)
            if removed := sorted(hour for hour in rows.keys() & ledger.keys() if self._archive.removed_at(hour)):
                self._unfinished.unarchived |= {format_hour(hour): rows[hour] for hour in removed}
                self._folder.note(self._unfinished)
                theirs = in_hours(lines, removed)
                delete_lines(client, self._settings.project, theirs, ledger, self._settings.present)

    def _hours_in_bronze(self) -> list[datetime]:
        """Return the hours of which bronze has rows of these persons."""
        if self._destination == "filesystem":
            return []
        with kept_open(self._pipeline), self._pipeline.sql_client() as client:
            persons = Persons(client, self._settings.project, self._persons)
            events = [table for table in own_tables(id_tables(client)) if table.name.lower() == "events"]
            return [hour for table in events for (hour,) in persons.rows(table, "DISTINCT _export_hour")[1]]

    def _differs(self, hour: datetime, ledger: Ledger) -> bool:
        is_known = hour in ledger and ledger[hour].is_final and not self._archive.removed_at(hour)
        return is_known and not self._archive.is_loaded(hour, ledger[hour].sha256)

    def _delete_rows(self) -> None:
        """Delete the rows of tables that no reload of hours replaces, once it is noted what silver has to do."""
        self._note_restatement()
        with kept_open(self._pipeline), self._pipeline.sql_client() as client:
            persons = Persons(client, self._settings.project, self._persons)
            for table in own_tables(id_tables(client)):
                if table.name.lower() != "events":
                    persons.delete(table)
            if "schema_changes" in self._pipeline.default_schema.tables:
                for file in self._files_rewritten():
                    client.execute_sql(CLEARED_EXAMPLES, file)

    def _note_restatement(self) -> None:
        if self._unfinished.is_restated:
            return
        with kept_open(self._pipeline):
            taken = read_taken(self._pipeline)
            changed = [each.first for each in restatements(read_ledgers(self._pipeline), taken)]
            with self._pipeline.sql_client() as client:
                persons = Persons(client, self._settings.project, self._persons)
                merges = [table for table in own_tables(id_tables(client)) if table.name.lower() == "merge_ids"]
                hours = [hour for table in merges for (hour,) in persons.rows(table, "_effective_hour")[1]]
        if self._unfinished.restate_from:
            hours.append(datetime.fromisoformat(self._unfinished.restate_from))
        if taken and (firsts := [hour for hour in (*changed, *hours) if hour <= bounds(taken)[1]]):
            self._unfinished.restate_from = max(min(firsts), bounds(taken)[0]).isoformat()
            self._folder.note(self._unfinished)

    def _restate(self) -> None:
        """Have silver and gold take in again what changed, and forget what only other environments hold."""
        if self._unfinished.restate_from and not self._unfinished.is_restated:
            with kept_open(self._pipeline):
                _, last = bounds(read_taken(self._pipeline))
            span = ("--start", f"{datetime.fromisoformat(self._unfinished.restate_from)}", "--end", f"{last + HOUR}")
            quiet = ("--auto-apply", "--no-prompts", "--skip-tests", "--skip-linter")
            sqlmesh = f"{Path(sys.executable).with_name('sqlmesh')}"
            run_program(sqlmesh, "plan", "--restate-model", "silver.events", *span, *quiet)
            self._unfinished.is_restated = True
            self._folder.note(self._unfinished)
        with kept_open(self._pipeline), self._pipeline.sql_client() as client:
            has_models = any(table.schema.lower() != "bronze" for table in id_tables(client, EVERYWHERE))
        if has_models:
            run_program(sys.executable, "-P", str(ENVIRONMENTS), str(ROOT))
        self._check_tables()

    def _check_tables(self) -> None:
        """Look for these persons in every table.

        Raises:
            AmplitudeError: a table still has rows of theirs.
        """
        with kept_open(self._pipeline), self._pipeline.sql_client() as client:
            persons = Persons(client, self._settings.project, self._persons)
            left = persons.counts(id_tables(client, EVERYWHERE)) | persons.rejected_counts()
        if left:
            named = ", ".join(f"{table} ({rows:,})" for table, rows in left.items())
            raise AmplitudeError(
                f"Tables still have rows of the persons: {named}. Bronze may have hours that the archive lacks: run "
                f"{load_command('archive', 'verify')}, then {load_command('erase')}."
            )

    def _remove_copies(self) -> None:
        """Remove what is made anew when it is needed: copies of gold, files on their way, freed pages."""
        if self._destination == "snowflake":
            lake = open_lake(self._settings.lake)
            for path in lake.paths(STAGING.rstrip("/")):
                lake.remove(path)
        if self._destination == "ducklake":
            with kept_open(self._pipeline), self._pipeline.sql_client() as client:
                forget_deleted(client)
        if self._destination == "duckdb":
            file = duckdb_path(Path.cwd())  # the repository's root
            shutil.rmtree(file.with_name(COPY_FOLDER), ignore_errors=True)
            compaction.rewrite(file)
        shutil.rmtree(self._settings.pipelines_path, ignore_errors=True)
        for download in self._settings.work_path.glob(DOWNLOADS):
            download.unlink()

    def _hours_rewritten(self) -> list[datetime]:
        return sorted(datetime.fromisoformat(each.hour) for each in self._folder.all_rewritten())

    def _files_rewritten(self) -> list[str]:
        return [name for each in self._folder.all_rewritten() for name in each.erased]

    def _certificate(self) -> dict[str, object]:
        files = [
            {"file": name, "before": each.before.get(name), "after": sha256, "erased_rows": rows}
            for each in self._folder.all_rewritten()
            for name, sha256 in each.after.items()
            if (rows := each.erased.get(name, 0) - each.known.get(name, 0))
        ]
        left = sorted(place for each in self._folder.all_rewritten() for place in each.elsewhere)
        return {
            "project": self._settings.project,
            "destination": self._destination,
            "version": self._unfinished.version,
            "started_at": self._unfinished.started_at,
            "finished_at": self._settings.present.isoformat(timespec="seconds"),
            "persons": sorted(self._unfinished.hashes),
            "rows_before": self._unfinished.counts,
            "rows_after": dict.fromkeys(self._unfinished.counts, 0),
            "files": files,
            "hours_without_files": self._unfinished.unarchived,
            "left_in_your_bucket": left,
            "kept_by_others": list(kept_by_others(self._destination, self._settings)),
        }


def kept_by_others(destination: str, settings: AmplitudeSettings) -> Iterable[str]:
    """Yield a sentence on each place that keeps what was deleted for some time."""
    if destination == "snowflake":
        yield SNOWFLAKE_KEEPS
    if destination == "ducklake":
        yield DUCKLAKE_KEEPS
    if not settings.lake.is_local_filesystem:
        yield S3_KEEPS


def erasures_of(archive: Archive) -> ErasedFolder:
    """Return an archive's list of erased persons.

    Raises:
        ValueError: it was opened without privacy settings.
    """
    if not archive.erasures:
        raise ValueError("an archive without privacy settings has no list of persons")
    return archive.erasures


def own_tables(tables: Iterable[IdTable]) -> list[IdTable]:
    """Return the tables of bronze among those with ids."""
    return [table for table in tables if table.schema.lower() == "bronze" and table.name.lower() in IDS_OF_PERSONS]


def run_program(*command: str) -> None:
    """Run a program in a process of its own, and pass its output on.

    Raises:
        AmplitudeError: it fails.
    """
    out.file.flush()
    if subprocess.run(command, cwd=ROOT, check=False).returncode:  # noqa: S603 - our own programs
        raise AmplitudeError(
            f"`{shlex.join(command)}` failed; its output is above. Mend that, then run {load_command('erase')}, which "
            "goes on from here."
        )

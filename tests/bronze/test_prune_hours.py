"""Which hours leave the archive: for any mix of states, and wherever it is killed, exactly those that nobody needs."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import pytest
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.storages import FilesystemConfiguration
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from amplitude_source.bronze.ledger import LedgerRow
from amplitude_source.bronze.proof import DIFFERS, EQUAL, ProofDay
from amplitude_source.bronze.prune import Counts, Witness, doubtful_hours, due_hours, needed
from amplitude_source.lake.archive import Archive, Member, MemberName, RemovedHourError
from amplitude_source.lake.storage import LocalLake
from amplitude_source.settings import HOUR
from support.members import export_row, gzip_lines, member_name

START = datetime(2026, 6, 1)
NOW, LATER = datetime(2026, 7, 1), datetime(2026, 7, 2)
ROWS = 2
LOAD = "1795688335.7"


def opened(folder: Path) -> Archive:
    return Archive(resolve_configuration(FilesystemConfiguration(bucket_url=str(folder))), "web")


def member(hour: datetime, partition: int) -> Member:
    data = gzip_lines(*(export_row() for _ in range(ROWS)))
    name = MemberName.parse(member_name(hour, partition))
    assert name
    return Member(name, lambda: mock.mock_open(read_data=data)())


def row_of(archive: Archive, hour: datetime) -> LedgerRow:
    content = archive.content(hour)
    return LedgerRow(
        "web", hour, "loaded", 2, 9, 2 * ROWS, 1, content, 1, None, exported_at=START, loaded_at=START, load_id=LOAD
    )


class World:
    """An archive and two warehouses that hold it, but for what a state of an hour changes.

    Args:
        folder: of the lake.
        states: of the hours, one each.
    """

    def __init__(self, folder: Path, states: list[str]) -> None:
        self.archive = opened(folder)
        self.hours = [START + number * HOUR for number in range(len(states))]
        self.limit = START + len(states) * HOUR
        self.folder = folder
        for hour in self.hours:
            self.archive.store_hour(hour, [member(hour, 0), member(hour, 1)], START)
        self.ledgers = [{hour: row_of(self.archive, hour) for hour in self.hours} for _ in range(2)]
        self.loaded = Counts({(hour, LOAD): 2 * ROWS for hour in self.hours})
        self.rejected = Counts({(hour, LOAD): 1 for hour in self.hours})
        self.cut, self.doubtful = set[datetime](), set[datetime]()
        for hour, state in zip(self.hours, states, strict=True):
            STATES[state](self, hour)
        self.states = dict(zip(self.hours, states, strict=True))

    def change(self, hour: datetime, **fields: object) -> None:
        """Have the second warehouse hold an hour otherwise."""
        self.ledgers[1][hour] = LedgerRow(**vars(self.ledgers[1][hour]) | fields)

    def witnesses(self) -> list[Witness]:
        return [
            Witness(name, ledger, self.loaded, self.rejected, self.cut, self.doubtful)
            for name, ledger in zip(("one", "other"), self.ledgers, strict=True)
        ]

    def manifest(self, hour: datetime) -> Path:
        return self.folder / f"raw/project=web/hours/date={hour:%Y-%m-%d}/hour={hour:%H}.json"

    def files(self) -> dict[datetime, int]:
        return {hour: len(paths) for hour, paths in opened(self.folder).files().items()}

    def prune(self, at: datetime) -> dict[datetime, str]:
        """Remove what may go, and return what stays, with the reasons."""
        archive = opened(self.folder)
        due = due_hours(archive, self.limit)
        kept = dict(needed(archive, self.witnesses(), due))
        archive.remove_files({hour: paths for hour, paths in due.items() if hour not in kept}, at)
        return {hour: reason.text for hour, reason in kept.items()}


def half_removed(world: World, hour: datetime) -> None:
    paths = world.archive.files()[hour]
    world.archive.remove_files({hour: paths[:1]}, NOW)


STATES: dict[str, Callable[[World, datetime], object]] = {
    "held": lambda _, __: None,
    "half removed": half_removed,
    "does not have": lambda world, hour: world.ledgers[1].pop(hour),
    "as pending": lambda world, hour: world.change(hour, status="pending"),
    "other files": lambda world, hour: world.change(hour, sha256="x"),
    "not as many rows": lambda world, hour: world.change(hour, loaded_rows=1),
    "rejected line": lambda world, hour: world.cut.add(hour),
    "another number of events": lambda world, hour: world.doubtful.add(hour),
    "a change of theirs": lambda world, hour: world.archive.announce(hour),
    "damaged or missing": lambda world, hour: world.manifest(hour).write_text("{}"),
}
"""What may be of an hour, by words of the reason for which it stays; the first two have none."""
GO = {"held", "half removed"}


@limits(max_examples=25, deadline=None)
@given(states=st.lists(st.sampled_from([*STATES, "held"]), min_size=1, max_size=8), kill=st.integers(0, 24))
def test_the_hours_go_that_all_hold_and_a_kill_anywhere_changes_nothing(states: list[str], kill: int) -> None:
    with TemporaryDirectory() as folder:
        world = World(Path(folder), states)
        calls = iter(range(kill))

        def killed(call: Callable[..., None]) -> Callable[..., None]:
            def until_then(*arguments: object) -> None:
                if next(calls, None) is None:
                    raise KeyboardInterrupt
                call(*arguments)

            return until_then

        before = world.files()
        write, remove = killed(LocalLake.write), killed(LocalLake.remove)
        with mock.patch.multiple(LocalLake, write=write, remove=remove):
            try:
                world.prune(NOW)
            except KeyboardInterrupt:
                lacking = [hour for hour in before if world.files().get(hour) != before[hour]]
                assert all(world.archive.removed_at(hour) for hour in lacking), "it is noted before a file goes"
        kept = world.prune(LATER)
        staying = {hour for hour, state in world.states.items() if state not in GO}
        assert kept.keys() == staying
        assert all(world.states[hour] in reason for hour, reason in kept.items())
        assert world.files() == {hour: before[hour] for hour in staying}
        for hour in {*world.hours} - staying:
            assert world.archive.verify(hour) == world.ledgers[0][hour].sha256
            with pytest.raises(RemovedHourError, match=f"{hour:%Y-%m-%dT%H} from the lake on 2026-07-0"):
                world.archive.read_hour(hour)
        assert world.prune(LATER) == kept


def test_hours_stay_whose_day_differs_without_an_explanation() -> None:
    def day(verdict: str, cause: str | None) -> ProofDay:
        end = START + timedelta(days=1)
        return ProofDay("web", START.date(), verdict, cause, 1, 2, None, NOW, START, end)

    assert doubtful_hours([day(EQUAL, None), day(DIFFERS, "zone")]) == set()
    hours = doubtful_hours([day(DIFFERS, "late rows")])
    assert (min(hours), max(hours)) == (START, START + timedelta(days=4))

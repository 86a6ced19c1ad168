"""Amplitude's own export to a bucket: the hours of the Export API as files, and a mark for each hour that is done.

Amplitude documents the names of files, and the folders that they lie in for Google Cloud Storage alone, so those are
looked for.
"""

import logging
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from itertools import groupby
from pathlib import PurePosixPath
from typing import NamedTuple

from ..bronze.ledger import Ledger
from ..errors import AmplitudeError
from ..lake.archive import EXAMPLE_NAME, Archive, ExportHour, Member, MemberName
from ..lake.open import open_files, place_of
from ..lake.storage import EXPORT_VARIABLE, ExportBucketConfiguration
from ..settings import AmplitudeSettings, format_hour
from .exported import MARK_NAME, MERGES_NAME, Source, parsed_hour
from .hours import SentHour, archive_hours

MOST_FOLDERS = 500
LISTED_BY_DAY = 3  # days; more are listed by the month, because each listing is a request
NAMED_APPS = 5
OWNER = "-0123456789"

LOG = logging.getLogger(__name__)


class Series(NamedTuple):
    """The files of a project, or the merges of an organization, in one folder."""

    folder: str
    """With a slash at its end; empty for the bucket's own."""
    owner: str
    """Amplitude's number of the project; for merges mostly that of the organization, with the dash in front."""

    @property
    def prefix(self) -> str:
        return f"{self.folder}{self.owner}_"

    @property
    def end(self) -> str:
        """What comes after all of its files, and before all others."""
        return f"{self.folder}{self.owner}`"  # the character after the underscore


@dataclass
class Listing:
    """What the bucket has of some hours."""

    members: dict[datetime, dict[MemberName, Member]] = field(default_factory=dict)
    marked: set[datetime] = field(default_factory=set)
    """Hours with Amplitude's word that they are complete."""

    @property
    def newest(self) -> datetime:
        """The newest hour that anything is known of."""
        return max([*self.members, *self.marked], default=datetime.min)

    def add(self, member: Member) -> None:
        """Take in a file.

        Raises:
            AmplitudeError: there is another of its name, whose rows would be the same once more.
        """
        of_hour = self.members.setdefault(member.name.hour, {})
        if other := of_hour.get(member.name):
            raise AmplitudeError(
                f"{EXPORT_VARIABLE}: {other.place} and {member.place} are one file of Amplitude's by name: name the "
                "folder that Amplitude writes to, without copies below it."
            )
        of_hour[member.name] = member


class ExportBucket:
    """What Amplitude exported of a project.

    Args:
        settings: of the project.
        config: the bucket's address.
        known_apps: Amplitude's numbers of the project, as far as the archive knows them.

    Raises:
        AmplitudeError: there are no exported files, or those of another project, or of several and none is chosen.
    """

    def __init__(
        self, settings: AmplitudeSettings, config: ExportBucketConfiguration, known_apps: Collection[int]
    ) -> None:
        self._settings, self._config = settings, config
        self._bucket = open_files(config)
        series = list(self._series())
        self._events = self._of_project([each for each in series if not each.owner.startswith("-")], known_apps)
        self._merges = [*(each for each in series if each.owner.startswith("-")), *self._events]
        self._latest = self._find_latest()

    def hours(
        self, archive: Archive, hours: list[datetime], ledger: Ledger, *, changed_only: bool = False
    ) -> Iterator[ExportHour]:
        """Put hours into the archive, as `export_hours` does with those of the API.

        An hour counts once Amplitude has marked it as complete. If no hour has such a mark (Amplitude's support can
        turn them off), it counts once it has settled and a later hour is there. Until then it is pending, its files
        too, because others may come.

        Args:
            archive: of the project.
            hours: in order.
            ledger: what the warehouse holds.
            changed_only: leave out hours that the archive and the warehouse hold as they are.
        """
        waiting: list[datetime] = []
        for _, month in groupby(hours, lambda hour: (hour.year, hour.month)):
            sent = self._sent([*month], waiting)
            yield from archive_hours(archive, self._settings, sent, ledger, changed_only=changed_only)
        if waiting:
            LOG.warning(
                "%s has files of %s%s without Amplitude's mark that the hour is complete, though later hours have it: "
                "it waits. If the mark does not come, load the files as they are with --replay.",
                self._settings.export_bucket_url,
                format_hour(waiting[0]),
                f" and of {len(waiting) - 1} more hours" if len(waiting) > 1 else "",
            )

    def merges(self, hours: Iterable[datetime]) -> list[Source]:
        """Return the files of merged users of some hours."""
        wanted = set(hours)
        found = []
        for period in periods(wanted):
            for path in self._paths(self._merges, period):
                match = MERGES_NAME.fullmatch(PurePosixPath(path).name)
                if match and parsed_hour(match) in wanted:
                    place = place_of(self._config, path)
                    found.append(Source(place, PurePosixPath(path).name, partial(self._bucket.open, path)))
        return found

    def _sent(self, hours: list[datetime], waiting: list[datetime]) -> Iterator[SentHour]:
        """Give hours of one month; those go to `waiting` that have files, and that Amplitude has passed by."""
        listing, now = Listing(), self._settings.present
        for period in periods(hours):
            self._list(period, listing)
        has_marks = bool(self._latest.marked or listing.marked)
        newest = max(self._latest.newest, listing.newest)
        for hour in hours:
            is_done = hour in listing.marked if has_marks else self._settings.is_settled(hour, now) and hour < newest
            if not is_done and hour in listing.members and hour < newest:
                waiting.append(hour)
            members = [*listing.members.get(hour, {}).values()] if is_done else []
            yield SentHour(hour, members, now, is_done)

    def _list(self, period: str, listing: Listing) -> None:
        for path in self._paths(self._events, period):
            name = PurePosixPath(path).name
            if member := MemberName.parse(name):
                listing.add(Member(member, partial(self._bucket.open, path), place_of(self._config, path)))
            elif (match := MARK_NAME.fullmatch(name)) and (hour := parsed_hour(match)):
                listing.marked.add(hour)

    def _paths(self, series: list[Series], period: str) -> Iterator[str]:
        for each in series:
            for page in self._bucket.pages(f"{each.prefix}{period}"):
                yield from page

    def _find_latest(self) -> Listing:
        """List the newest day of which the bucket has anything; the export may have stopped long ago."""
        listing, day = Listing(), self._settings.present.date()
        first = self._settings.first_hour.date()
        while day >= first and not (listing.members or listing.marked):
            period = f"{day:%Y-%m-%d}" if self._is_near(day) else f"{day:%Y-%m}"
            self._list(period, listing)
            day = day - timedelta(days=1) if self._is_near(day) else day.replace(day=1) - timedelta(days=1)
        return listing

    def _is_near(self, day: date) -> bool:
        return self._settings.present.date() - day < timedelta(days=LISTED_BY_DAY)

    def _series(self) -> Iterator[Series]:
        """Find all series. Each is passed over once it is known, so that a long history costs no more than a short one.

        Raises:
            AmplitudeError: there are so many that this can be no folder of Amplitude's.
        """
        found = set[Series]()
        after: str | None = ""
        while after is not None:
            after, series = self._next(after)
            if series and series not in found:
                found.add(series)
                yield series
            if len(found) > MOST_FOLDERS:
                raise AmplitudeError(
                    f"{EXPORT_VARIABLE}: exported files lie in more than {MOST_FOLDERS} folders below "
                    f"{self._settings.export_bucket_url}; name the folder that Amplitude writes to. Copies in folders "
                    "of their own are for --replay."
                )

    def _next(self, after: str) -> tuple[str | None, Series | None]:
        """Find the first series behind a path, and the path to go on from; None at the end."""
        for page in self._bucket.pages("", after):
            for path in page:
                name = PurePosixPath(path).name
                if owner := owner_of(name):
                    series = Series(path.removesuffix(name), owner)
                    return series.end, series
        return None, None

    def _of_project(self, series: list[Series], known_apps: Collection[int]) -> list[Series]:
        apps, place = sorted({each.owner for each in series}, key=int), self._settings.export_bucket_url
        app, variable = str(self._settings.export_app or ""), self._settings.variable("export_app")
        if not apps:
            raise AmplitudeError(
                f"{EXPORT_VARIABLE}: there are no exported files in {place}, which are named like {EXAMPLE_NAME}: "
                "correct the place, or wait, because Amplitude writes the first within an hour or two."
            )
        if app and app not in apps:
            raise AmplitudeError(f"{variable}: {place} has no files of project {app}, only of {listed(apps)}.")
        if not app and len(apps) > 1:
            raise AmplitudeError(
                f"{place} has files of several projects ({listed(apps)}): write Amplitude's number of this one into "
                f"{variable}."
            )
        app = app or apps[0]
        if known_apps and int(app) not in known_apps:
            known = listed([*map(str, known_apps)])
            raise AmplitudeError(
                f"{place} has files of project {app}, and what is loaded so far is of {known}: correct "
                f"{self._settings.variable('export_bucket_url')}."
            )
        return [each for each in series if each.owner == app]


def periods(hours: Iterable[datetime]) -> list[str]:
    """Return what the names of the hours' files have in common: a day, or a month of which many days are asked for."""
    found = []
    for month, group in groupby(sorted(hours), lambda hour: f"{hour:%Y-%m}"):
        days = sorted({f"{hour:%Y-%m-%d}" for hour in group})
        found += days if len(days) <= LISTED_BY_DAY else [month]
    return found


def owner_of(name: str) -> str | None:
    """Return whose export a file belongs to, by its name; None for a file that is none."""
    if member := MemberName.parse(name):
        return str(member.app)
    match = MERGES_NAME.fullmatch(name) or MARK_NAME.fullmatch(name)
    return name.partition("_")[0] if match and parsed_hour(match) and name[0] in OWNER else None


def listed(apps: list[str]) -> str:
    return ", ".join(apps[:NAMED_APPS]) + (", ..." if len(apps) > NAMED_APPS else "")

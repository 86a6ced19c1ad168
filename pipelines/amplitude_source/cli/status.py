"""What `status` finds: the hours in bronze, the archive behind them, and how far silver and gold are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import groupby
from random import Random

from ..bronze.ledger import Coverage, Ledger, coverage, rejecting_hours
from ..bronze.proof import DIFFERS, EQUAL, MENDED_BY_A_LOOK, ProofDay
from ..bronze.taken import TAKEN_TABLE, Built, Restatement, Taken, built, forgotten, newest_final, restatements
from ..bronze.verify import damaged_hours, sample_hours
from ..invocation import load_command, sqlmesh_command
from ..lake.archive import Archive
from ..lake.storage import LakeError
from ..settings import HOUR, AmplitudeSettings, format_hour
from .reports import coverage_json, damage_text, rejecting_text, restate_text

DAMAGED_EXIT = 3
REJECTED_EXIT = 5
BEHIND_EXIT = 6


@dataclass(frozen=True)
class Rejecting:
    """Hours of a project of which too many rows were rejected."""

    settings: AmplitudeSettings
    hours: list[datetime]

    def __str__(self) -> str:
        return rejecting_text(self.hours, self.settings)


@dataclass(frozen=True)
class Trust:
    """What Amplitude itself says of the days."""

    days: Sequence[ProofDay]
    failures: Sequence[tuple[str, str, datetime, str]]
    """Project, resource, time and problem of what it could not be asked."""


@dataclass(frozen=True)
class Status:
    """All that `status` shows."""

    hours: Mapping[str, list[Coverage]]
    """By project."""
    damage: Mapping[str, str]
    """What is wrong with a project's archive, one sentence each; only projects that have damage."""
    rejecting: list[Rejecting]
    restatements: list[Restatement]
    standing: str | None
    """How far silver and gold are; None before the first load, and where bronze is files."""
    proof: list[str]
    """By project, up to which day Amplitude has as many events."""
    complaints: list[str]
    """Each with its mend."""

    @property
    def exit_code(self) -> int:
        """Return the code of the gravest finding, 0 if all is well."""
        ranges = [range_ for of_project in self.hours.values() for range_ in of_project]
        if self.damage or any(range_.status == "missing" for range_ in ranges):
            return DAMAGED_EXIT
        if self.rejecting:
            return REJECTED_EXIT
        return BEHIND_EXIT if self.complaints else 0

    def as_json(self) -> dict[str, object]:
        """Return the same for machines."""
        return {
            "hours": [{"project": name, **coverage_json(range_)} for name in self.hours for range_ in self.hours[name]],
            "restatements": [{name: str(value) for name, value in asdict(each).items()} for each in self.restatements],
            "archive": [{"project": name, "first_damage": text} for name, text in self.damage.items()],
            "rejecting": [
                {"project": each.settings.project, "hour": format_hour(hour)}
                for each in self.rejecting
                for hour in each.hours
            ],
            "silver": {"standing": self.standing, "proof": self.proof, "complaints": self.complaints},
        }


def find_status(
    chosen: Sequence[AmplitudeSettings],
    projects: Sequence[AmplitudeSettings],
    ledgers: Mapping[str, Ledger],
    taken: Taken,
    trust: Trust,
    *,
    has_silver: bool,
) -> Status:
    """Compare the ledger with Amplitude's clock, with the archive, and with silver and gold.

    Args:
        chosen: the projects whose hours and archives are looked at.
        projects: all projects of the settings, because silver waits for each.
        ledgers: by project.
        taken: what silver and gold hold.
        trust: what Amplitude itself says of the days, and what it did not say.
        has_silver: whether silver can be built on the destination at all.
    """
    own = [(settings, ledgers.get(settings.project, {})) for settings in chosen]
    damage = {settings.project: sample_damage(settings, ledger) for settings, ledger in own}
    return Status(
        {each.project: coverage(ledger, each.first_hour, each.newest_hour) for each, ledger in own},
        {name: text for name, text in damage.items() if text},
        [Rejecting(each, hours) for each, ledger in own if (hours := rejecting_hours(ledger.values(), each))],
        restatements(ledgers, taken),
        standing(ledgers, taken, projects) if has_silver else None,
        list(proofs(trust.days, [settings.project for settings in projects])),
        complaints(ledgers, taken, projects, has_silver=has_silver) + list(doubts(trust, projects)),
    )


def sample_damage(settings: AmplitudeSettings, ledger: Ledger) -> str | None:
    """Look at some hours of a project's archive; say what is wrong with them."""
    try:
        archive = Archive(settings.lake, settings.project, exports=settings.exports)
        kept = {hour: row for hour, row in ledger.items() if hour >= settings.kept_from}
        damaged = damaged_hours(archive, ledger, sample_hours(archive, kept, Random()))
    except LakeError as error:
        return f"The archive could not be looked at. {error}"
    return damage_text(damaged) if damaged else None


def standing(ledgers: Mapping[str, Ledger], taken: Taken, projects: Sequence[AmplitudeSettings]) -> str | None:
    """Return how far silver and gold are, in one sentence; None before the first load."""
    if not ledgers:
        return None
    if not taken:
        return f"Silver and gold are not built yet (there is no {TAKEN_TABLE}): {sqlmesh_command('plan')}"
    state = built(ledgers, taken, overdue_before(projects))
    return f"Silver and gold hold the hours {format_hour(state.first)} to {format_hour(state.last)}."


def complaints(
    ledgers: Mapping[str, Ledger], taken: Taken, projects: Sequence[AmplitudeSettings], *, has_silver: bool
) -> list[str]:
    """List what makes the export, silver and gold fall behind or be wrong, each in one sentence with its mend."""
    found = [f"{restate_text(hours)} (since {hours.since:%Y-%m-%d %H:%M})" for hours in restatements(ledgers, taken)]
    if taken:
        found += lag(built(ledgers, taken, overdue_before(projects)))
    for settings in projects:
        found += stale(settings, ledgers.get(settings.project, {}))
    return found + (unloaded_projects(ledgers, [each.project for each in projects]) if has_silver else [])


def proofs(days: Sequence[ProofDay], names: Sequence[str]) -> Iterator[str]:
    """Yield for each project up to which day its events are proven, and since when a day is not."""
    for name in names:
        equal = [day.day for day in days if day.project == name and day.verdict == EQUAL]
        differing = [day.day for day in days if day.project == name and day.verdict == DIFFERS]
        of_project = f"Project {name}: " if len(names) > 1 else ""
        if equal and differing:
            yield (
                f"{of_project}The newest day whose events Amplitude's own numbers prove is {max(equal)}; "
                f"{min(differing)} is the first that they do not."
            )
        elif equal:
            yield f"{of_project}Amplitude's own numbers prove the events of each day up to {max(equal)}."


def doubts(trust: Trust, projects: Sequence[AmplitudeSettings]) -> Iterator[str]:
    """Yield what is wrong by Amplitude's own numbers, and what it could not be asked, each with its mend."""
    names = {settings.project for settings in projects}
    differing = [day for day in trust.days if day.verdict == DIFFERS and day.project in names]
    for _, alike in groupby(sorted(differing, key=_kind), _kind):
        yield doubt(list(alike))
    for project, resource, asked_at, problem in trust.failures:
        if project in names:
            yield f"Project {project}: {resource} failed at {asked_at:%Y-%m-%d %H:%M}. {problem}"


def _kind(day: ProofDay) -> tuple[str, str, int]:
    return day.project, str(day.cause), day.zone_offset_minutes or 0


def doubt(days: Sequence[ProofDay]) -> str:
    """Return what is wrong with days of a project for the same cause, and what to do about it."""
    day, others = days[0], f" and {len(days) - 1} other days differ" if len(days) > 1 else ""
    numbers = f"Project {day.project}: {day.day} has {day.ours:,} events here and {day.theirs:,} in Amplitude{others}"
    if day.zone_offset_minutes is not None:
        sign, minutes = "-" if day.zone_offset_minutes < 0 else "+", abs(day.zone_offset_minutes)
        return (
            f"{numbers}. Amplitude's days are those of UTC{sign}{minutes // 60:02}:{minutes % 60:02}: set "
            "reporting_timezone in sqlmesh/config.yaml to the project's time zone."
        )
    mend = "loads look at their hours again" if day.cause in MENDED_BY_A_LOOK else "Amplitude counts by another rule"
    return f"{numbers}. The likely cause is {day.cause}: {mend}, see docs/guides/reconciliation.md."


def overdue_before(projects: Sequence[AmplitudeSettings]) -> datetime:
    """Return the first hour that a project may still lack, because Amplitude may not have settled it."""
    return min(settings.present - (settings.settle_hours + 1) * HOUR for settings in projects)


def lag(state: Built) -> list[str]:
    """Say what silver and gold lack of bronze, each with its mend."""
    found = [
        f"Project {hours.project}: hours {format_hour(hours.first)} to {format_hour(hours.last)} are in bronze, but "
        f"silver begins with {format_hour(state.first)} and never takes them in. With START_HOUR no later than "
        f"{format_hour(hours.first)}, run: {sqlmesh_command('plan')}"
        for hours in state.out_of_reach
    ]
    if state.is_overdue and state.lacking:
        found.append(
            f"{state.waiting_hours} hours wait in bronze, because project {', '.join(state.lacking)} lacks hour "
            f"{format_hour(state.next_hour)}: {load_command()}"
        )
    elif state.is_overdue:
        restate = sqlmesh_command("plan", "--restate-model", "silver.events", "--start", f"'{state.next_hour}'")
        found.append(
            f"{state.waiting_hours} hours wait in bronze from {format_hour(state.next_hour)} on: "
            f"{sqlmesh_command('run')}; if that finds nothing to do, the warehouse was restored without SQLMesh's "
            f"state: {restate}"
        )
    return found


def stale(settings: AmplitudeSettings, ledger: Ledger) -> list[str]:
    """Say so if a project's newest finished hour is older than its settings allow."""
    newest = newest_final(ledger)
    if newest is None or newest >= settings.present - settings.freshness_hours * HOUR:
        return []
    age = (settings.present - newest) // HOUR
    return [
        f"Project {settings.project}: its newest finished hour, {format_hour(newest)}, is {age:,} hours old (more than "
        f"FRESHNESS_HOURS={settings.freshness_hours}): {load_command()}"
    ]


def unloaded_projects(ledgers: Mapping[str, Ledger], known: Sequence[str]) -> list[str]:
    """Name the projects that nobody loads any more and that silver waits for.

    Args:
        ledgers: by project.
        known: the projects of the settings.
    """
    return [
        f"Project {name} is in bronze but not in the settings, and silver waits for it. If it is given up: "
        f"{load_command('retire-project', name)}. If it has another name now: "
        f"{load_command('rename-project', name, 'NEW')}"
        for name in forgotten(ledgers, known)
    ]

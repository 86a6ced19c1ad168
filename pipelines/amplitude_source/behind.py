"""The sentences of `status` on silver and gold: how far they are, and what is wrong or holds them back."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from .commands import load_command, sqlmesh_command
from .ledger import Ledger
from .reports import restate_text
from .settings import HOUR, AmplitudeSettings, format_hour
from .taken import Built, Taken, built, forgotten, newest_final, restatements


def standing(ledgers: Mapping[str, Ledger], taken: Taken, projects: Sequence[AmplitudeSettings]) -> str | None:
    """Return how far silver and gold are, in one sentence; None before the first load."""
    if not ledgers:
        return None
    if not taken:
        return f"Silver and gold are not built yet: {sqlmesh_command('plan')}"
    state = built(ledgers, taken, overdue_before(projects))
    return f"Silver and gold hold the hours {format_hour(state.first)} to {format_hour(state.last)}."


def complaints(ledgers: Mapping[str, Ledger], taken: Taken, projects: Sequence[AmplitudeSettings]) -> list[str]:
    """List what makes silver and gold fall behind or be wrong, each in one sentence with its mend.

    Args:
        ledgers: by project.
        taken: what silver and gold hold.
        projects: all projects of the settings.
    """
    found = [f"{restate_text(hours)} (since {hours.since:%Y-%m-%d %H:%M})" for hours in restatements(ledgers, taken)]
    if taken:
        found += _lag(built(ledgers, taken, overdue_before(projects)))
    for settings in projects:
        found += _stale(settings, ledgers.get(settings.project, {}))
    return found + _forgotten(ledgers, projects)


def overdue_before(projects: Sequence[AmplitudeSettings]) -> datetime:
    """Return the first hour that a project may still lack, because Amplitude may not have settled it."""
    return min(settings.present - (settings.settle_hours + 1) * HOUR for settings in projects)


def _lag(state: Built) -> list[str]:
    found = [
        f"Project {hours.project}: hours {format_hour(hours.first)} to {format_hour(hours.last)} are in bronze, but "
        f"silver begins with {format_hour(state.first)} and never takes them in. Set SOURCES__AMPLITUDE__START_HOUR to "
        f"{format_hour(hours.first)} or earlier, then: {sqlmesh_command('plan')}"
        for hours in state.out_of_reach
    ]
    if state.is_overdue and state.lacking:
        found.append(
            f"{state.waiting_hours} hours wait in bronze, because project {', '.join(state.lacking)} lacks hour "
            f"{format_hour(state.next_hour)}: {load_command()}"
        )
    elif state.is_overdue:
        hour = format_hour(state.next_hour)
        found.append(f"{state.waiting_hours} hours wait in bronze from {hour} on: {sqlmesh_command('run')}")
    return found


def _stale(settings: AmplitudeSettings, ledger: Ledger) -> list[str]:
    newest = newest_final(ledger)
    if newest is None or newest >= settings.present - settings.freshness_hours * HOUR:
        return []
    age = (settings.present - newest) // HOUR
    return [
        f"Project {settings.project}: its newest finished hour, {format_hour(newest)}, is {age:,} hours old (more than "
        f"FRESHNESS_HOURS={settings.freshness_hours}): {load_command()}"
    ]


def _forgotten(ledgers: Mapping[str, Ledger], projects: Sequence[AmplitudeSettings]) -> list[str]:
    """Name the projects that nobody loads any more and that silver waits for."""
    known = [settings.project for settings in projects]
    return [
        f"Project {name} is in bronze but not in the settings, and silver waits for it. If it is given up: "
        f"{load_command('retire-project', name)}. If it has another name now: "
        f"{load_command('rename-project', name, 'NEW')}"
        for name in forgotten(ledgers, known)
    ]

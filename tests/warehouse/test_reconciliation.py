"""Our numbers beside Amplitude's own: equal on complete days, else with the cause, and mended where it can be."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from amplitude_source.bronze.proof import MENDED_BY_A_LOOK
from amplitude_source.rest.numbers import MEASURES
from oracle import Charts
from simulator.faults import Fault, FaultPlan, LateHour, LatePartition
from simulator.product import Product
from simulator.server import Simulator
from support import warehouse
from support.project import Project, make_project, succeeded

pytestmark = pytest.mark.slow

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PRODUCT = Product(days=6, events_per_day=300)
START, END = PRODUCT.start, PRODUCT.end
NOON = END + 12 * HOUR
MEMBERS = list(PRODUCT.members())
EVENTS = "SELECT event_date, verdict, likely_cause, theirs - ours FROM gold.proven_days ORDER BY event_date"
CHART = "type: segmentation\nevents: [_active]\nmeasure: uniques\namplitude_chart: activeus\n"
# What compares the numbers, and what `status` and the printed commands go by; nothing else of silver and gold.
COMPARED = ("gold.proven_days", "gold.export_hours_taken", "gold.export_coverage")
FILES = Counter(member.hour for member in MEMBERS)
WITHHELD = next(hour for hour in sorted(FILES) if hour >= START + 2 * DAY + 9 * HOUR)
# An hour of another day with several files, of which one may come late.
PARTED = next(hour for hour, files in sorted(FILES.items()) if files > 1 and hour >= START + 3 * DAY + 9 * HOUR)


@pytest.fixture
def amplitude() -> Iterator[Simulator]:
    with Simulator(PRODUCT) as simulator:
        yield simulator


@pytest.fixture
def shop(tmp_path: Path, amplitude: Simulator) -> Project:
    project = make_project(tmp_path, amplitude)
    project.env |= {
        "SOURCES__AMPLITUDE__START_HOUR": f"{START:%Y-%m-%dT%H}",
        "SOURCES__AMPLITUDE__REST_RESOURCES": '["event_types", "daily_numbers", "user_identities"]',
    }
    return project


def load_at(project: Project, amplitude: Simulator, *times: datetime) -> None:
    for time in times:
        project.set_clock(time, amplitude)
        succeeded(project.load_here())


def days(project: Project) -> dict[date, tuple[str, str | None, int]]:
    return {day: (verdict, cause, missing) for day, verdict, cause, missing in project.query(EVENTS)}


def by_verdict(project: Project, verdict: str) -> Counter[str]:
    query = f"SELECT measure FROM gold.reconciliation_daily WHERE verdict = '{verdict}' AND detail = '(all)'"
    return Counter(measure for (measure,) in project.query(query))


def assert_all_equal(project: Project) -> None:
    """Every complete day; the first began before the export did."""
    assert by_verdict(project, "differs") == Counter()
    equal = by_verdict(project, "equal")
    assert all(equal[measure.name] >= (END - START).days - 1 for measure in MEASURES), equal


def test_each_measure_equals_amplitude_s_in_its_time_zone_while_rows_still_come(
    shop: Project, amplitude: Simulator
) -> None:
    """In the middle of the product's life, Amplitude has counted rows that its export gives three hours later."""
    amplitude.timezone = "America/Los_Angeles"
    warehouse.set_charts(shop, replace(Charts(), timezone=amplitude.timezone))
    (shop.root / "sqlmesh/charts/everybody.yaml").write_text(CHART)
    load_at(shop, amplitude, *(START + number * DAY + 12 * HOUR for number in range(1, 5)))
    warehouse.plan(shop, models=COMPARED)
    found = days(shop)
    assert {verdict for verdict, *_ in found.values()} == {"equal", "open"}, found
    assert sum(verdict == "equal" for verdict, *_ in found.values()) >= 2
    load_at(shop, amplitude, NOON, NOON + DAY)
    warehouse.run(shop)
    assert_all_equal(shop)
    charts = "SELECT verdict, COUNT(*) FROM gold.reconciliation_daily WHERE measure = 'saved_chart' GROUP BY ALL"
    compared = dict(shop.query(charts))
    assert compared.keys() <= {"equal", "open"}
    assert compared["equal"] >= (END - START).days - 1
    newest = max(day for day, (verdict, *_) in days(shop).items() if verdict == "equal")
    assert f"Amplitude's own numbers prove the events of each day up to {newest}." in shop.load_here("status").stdout


@pytest.mark.nightly
def test_rows_that_amplitude_withheld_are_found_and_fetched(shop: Project, amplitude: Simulator) -> None:
    """An hour that is empty for the load, and a file that comes late: no look is due at either."""
    shop.env["SOURCES__AMPLITUDE__RECHECK_HOURS"] = "0"
    amplitude.faults = FaultPlan(
        Fault(LateHour(), hour=WITHHELD), Fault(LatePartition(), hour=PARTED, until=PARTED + 36 * HOUR)
    )
    load_at(shop, amplitude, PARTED + 12 * HOUR, NOON, NOON + DAY)
    warehouse.plan(shop, models=COMPARED)
    found = {day: cause for day, (verdict, cause, _) in days(shop).items() if verdict == "differs"}
    assert found.keys() == {WITHHELD.date(), PARTED.date()}
    assert found[WITHHELD.date()] == "empty hours"
    assert found[PARTED.date()] in MENDED_BY_A_LOOK, "a small shop has empty hours in each night, too"
    shown = shop.load_here("status")
    assert shown.returncode == 6
    assert "The likely cause is empty hours: loads look at their hours again" in shown.stdout
    amplitude.faults = FaultPlan()
    load_at(shop, amplitude, NOON + 2 * DAY)
    words = succeeded(shop.load_here("restate")).stdout.split("'")
    warehouse.plan(shop, restate=["silver.events"], start=words[1])
    assert_all_equal(shop)


@pytest.mark.nightly
def test_another_zone_a_merge_not_loaded_and_a_history_that_begins_later_are_named(
    shop: Project, amplitude: Simulator
) -> None:
    """Amplitude has three days more, so it knows some users who are new here, and their first rows bear no mark."""
    shop.env["SOURCES__AMPLITUDE__START_HOUR"] = f"{START + 3 * DAY:%Y-%m-%dT%H}"
    amplitude.timezone = "Asia/Kolkata"
    load_at(shop, amplitude, NOON, NOON + DAY)
    warehouse.plan(shop, models=COMPARED)
    assert {cause for verdict, cause, _ in days(shop).values() if verdict == "differs"} == {"zone"}
    assert "Amplitude's days are those of UTC+05:30: set reporting_timezone" in shop.load_here("status").stdout
    amplitude.timezone = "UTC"
    amplitude.merges = dict([strangers(shop)])
    load_at(shop, amplitude, NOON + 2 * DAY, NOON + 3 * DAY)
    warehouse.run(shop)
    assert by_verdict(shop, "differs").keys() <= {"active_users", "new_users", "identities", "sessions_per_user"}
    assert causes_of(shop, "active_users") == {"unmerged users"}
    assert "history begins later" in causes_of(shop, "new_users")


def causes_of(project: Project, measure: str) -> set[str]:
    """What the differences of a measure likely come from."""
    causes = f"SELECT likely_cause FROM gold.reconciliation_daily WHERE measure = '{measure}' AND verdict = 'differs'"
    return {cause for (cause,) in project.query(causes)}


def strangers(project: Project) -> tuple[int, int]:
    """Two users who were active on the same day and are not merged here."""
    query = (
        "SELECT MIN(canonical_amplitude_id), MAX(canonical_amplitude_id) FROM silver.user_days "
        "JOIN silver.user_aliases USING (project, app, amplitude_id) WHERE active_events > 0 "
        f"AND event_date = DATE '{(START + 4 * DAY).date()}'"
    )
    ((one, other),) = project.query(query)
    return one, other

"""The SQL of paths against the oracle, on thousands of small histories with events at nearly the same times."""

import random
from datetime import datetime, timedelta
from pathlib import Path

from test_increments import FLAGGED, list_flags, write

import oracle
import warehouse
from conftest import export_row, hour_text, make_project, succeeded
from simulator.server import Simulator

START, EXPORTED = datetime(2026, 6, 8, 10), datetime(2026, 6, 9, 12)
USERS, EVENTS = 2_000, 9
FUNNELS = """\
funnel,step,event_type,property_filter,step_order,window_hours
two,1,A,,this,1
two,2,B,,this,1
repeated,1,A,,this,1
repeated,2,B,,this,1
repeated,3,A,,this,1
repeated,4,C,,this,1
filtered,1,A,,this,1
filtered,2,B,n=1,this,1
filtered,3,B,,this,1
exact,1,A,,exact,1
exact,2,B,,exact,1
exact,3,C,,exact,1
exact twice,1,A,,exact,1
exact twice,2,A,,exact,1
exact twice,3,B,,exact,1
any,1,A,,any,1
any,2,B,,any,1
any,3,C,,any,1
any filtered,1,B,n=1,any,1
any filtered,2,B,n=2,any,1
any filtered,3,C,,any,1
any filtered,4,A,,any,1
"""


def history(chance: random.Random, user: int) -> list[dict[str, object]]:
    """Rows around a few hours and a midnight; conversion windows are an hour."""
    bases = [timedelta(0), timedelta(hours=1), timedelta(hours=2), timedelta(hours=14)]
    return [
        export_row(
            amplitude_id=user,
            device_id=None,
            event_type=chance.choice(["A", "A", "B", "B", "C", "X", FLAGGED]),
            event_time=f"{START + chance.choice(bases) + chance.randint(-4, 4) * timedelta(seconds=0.4)}",
            event_properties={"n": chance.randint(1, 2)},
            platform=chance.choice(["Web", "iOS", None]),
        )
        for _ in range(chance.randint(1, EVENTS))
    ]


def test_small_histories_have_the_paths_of_the_oracle(tmp_path: Path, simulator: Simulator) -> None:
    chance, charts = random.Random(1), oracle.Charts(funnels=FUNNELS)
    rows = [row for user in range(USERS) for row in history(chance, user)]
    members = write(tmp_path / "exports", {EXPORTED: rows})
    project = make_project(tmp_path, simulator)
    project.env["SOURCES__AMPLITUDE__START_HOUR"] = hour_text(EXPORTED)
    project.set_clock(EXPORTED + timedelta(days=1), simulator)
    warehouse.set_charts(project, charts)
    span = "--start", hour_text(EXPORTED), "--end", hour_text(EXPORTED)
    succeeded(project.load_here("--replay", str(tmp_path / "exports"), *span))
    succeeded(project.load_here("declare-empty", *span))
    list_flags(project, [(EXPORTED, True)])
    warehouse.plan(project)
    warehouse.assert_equals_oracle(project, members, charts, {FLAGGED})

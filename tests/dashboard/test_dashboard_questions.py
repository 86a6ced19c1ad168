"""Charts, the explorer and people in a browser, on the demo's month, with the numbers of gold."""

import json
import re
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser

from amplitude_source.charts.book import TYPES, read_charts
from support.charts import EXAMPLES
from support.dashboard import NARROW, Dashboard, Sight, look
from support.project import Project

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dashboard")]
# The least that a chart of each type says in the explorer's address.
LEAST: dict[str, dict[str, Any]] = {
    "segmentation": {"events": ["_active"]},
    "funnel": {"steps": ["Product Viewed", "Order Completed"]},
    "journeys": {"to": "Order Completed"},
    "composition": {"by": ["country"]},
}


def asked(served: Dashboard, definition: dict[str, Any]) -> str:
    return f"{served.url}/explorer?chart={quote(json.dumps(definition))}"


def figures(sight: Sight) -> int:
    """How many figures the page has, once the first one is there: Plotly itself is loaded late."""
    sight.page.get_by_test_id("stPlotlyChart").first.wait_for()
    sight.settle()
    return sight.page.get_by_test_id("stPlotlyChart").count()


def drawn_days(sight: Sight, figure: int = 0) -> dict[str, object]:
    """The points of a figure with one line, whole intervals and others."""
    assert figures(sight) > figure
    return {
        str(day)[:10]: value
        for _, days, values in sight.points(figure)
        for day, value in zip(days, values, strict=True)
        if isinstance(value, int | float) and isfinite(value)
    }


def type_into(sight: Sight, label: str, text: str) -> None:
    field = sight.page.get_by_label(label, exact=True)
    field.fill(text)
    field.press("Enter")
    sight.page.wait_for_timeout(500)
    sight.settle()


def test_every_example_of_the_guide_is_drawn(served: Dashboard, chromium: Browser) -> None:
    with look(chromium, f"{served.url}/charts") as sight:
        titles = sight.page.get_by_role("heading", level=2).all_inner_texts()
        assert len(titles) == len(EXAMPLES)
        assert figures(sight) >= len(EXAMPLES)
        assert not sight.page.get_by_test_id("stAlert").count(), sight.text()
        assert sight.page.get_by_test_id("stException").count() == 0


def test_a_chart_of_the_page_has_the_rows_of_its_view(shop: Project, served: Dashboard, chromium: Browser) -> None:
    rows = shop.query("SELECT period::VARCHAR, value FROM gold.chart_revenue WHERE period >= DATE '2026-06-08'")
    with look(chromium, f"{served.url}/charts?name=revenue&days=2026-06-10&days=2026-06-30") as sight:
        assert drawn_days(sight) == pytest.approx(dict(rows))


@pytest.mark.parametrize("type_", TYPES)
def test_the_explorer_answers_each_type(served: Dashboard, chromium: Browser, type_: str) -> None:
    with look(chromium, asked(served, {"type": type_, **LEAST.get(type_, {})})) as sight:
        assert figures(sight) >= 1
        assert not sight.page.get_by_test_id("stAlert").count(), sight.text()
        assert re.search(r"in \d+\.\d s", sight.text())
        assert (sight.errors, sight.outside) == ([], [])


def test_the_explorer_counts_as_gold_does_and_the_address_is_the_question(
    shop: Project, served: Dashboard, chromium: Browser
) -> None:
    rows = shop.query("""
        SELECT event_date::VARCHAR, COUNT(DISTINCT canonical_amplitude_id) FROM gold.events
        WHERE event_type = 'Order Completed' AND total > 100 AND event_date >= DATE '2026-06-20' GROUP BY 1
    """)
    definition = {"type": "segmentation", "events": [{"event": "Order Completed", "where": "total > 100"}]}
    with look(chromium, f"{asked(served, definition)}&days=2026-06-20&days=2026-06-30") as sight:
        assert drawn_days(sight) == dict(rows)
        sight.page.get_by_text("More", exact=True).click()
        type_into(sight, "Title", "Large *orders*")
        assert sight.page.get_by_role("heading", name="Large *orders*").count() == 1
        with look(chromium, sight.page.url) as shared:
            assert drawn_days(shared) == dict(rows)
            assert shared.page.get_by_role("heading", name="Large *orders*").count() == 1


def test_what_cannot_be_asked_is_a_sentence_and_nonsense_in_the_address_too(
    served: Dashboard, chromium: Browser
) -> None:
    with look(chromium, asked(served, {"type": "segmentation", "events": ["_active"], "by": ["contry"]})) as sight:
        assert "there is no column contry; did you mean country?" in sight.text()
        assert figures(sight) == 1
        sight.page.get_by_text("More", exact=True).click()
        type_into(sight, "Formula", "UNIQUES(B)")
        assert "names event B; the chart's are A." in sight.text()
        assert sight.page.get_by_test_id("stPlotlyChart").count() == 0
    with look(chromium, f"{served.url}/explorer?chart=%7Bnonsense", NARROW) as sight:
        assert "a chart that cannot be read" in sight.text()
        assert figures(sight) == 1
        assert sight.overflow() <= 0


def test_a_chart_is_opened_in_the_explorer_and_kept_as_a_file(
    shop: Project, served: Dashboard, chromium: Browser
) -> None:
    folder = shop.root / "sqlmesh/charts"
    with look(chromium, f"{served.url}/charts?name=purchase") as sight:
        sight.page.get_by_text("Open in the explorer").click()
        sight.page.get_by_role("heading", name="Explorer", level=1).wait_for()
        sight.settle()
        sight.page.get_by_text("File of the chart").click()
        type_into(sight, "Name of the chart", "kept_by_a_test")
        try:
            sight.page.get_by_role("button", name="Save").click()
            sight.page.get_by_text("sqlmesh/charts/kept_by_a_test.yaml is written").wait_for()
            charts = read_charts(shop.root)
            assert charts["kept_by_a_test"] == charts["purchase"]
            sight.page.get_by_role("button", name="Save").click()
            sight.page.get_by_text("There is sqlmesh/charts/kept_by_a_test.yaml already").wait_for()
        finally:
            Path(folder / "kept_by_a_test.yaml").unlink(missing_ok=True)


def test_a_chart_with_a_fault_is_named_and_the_others_are_shown(
    shop: Project, served: Dashboard, chromium: Browser
) -> None:
    path = shop.root / "sqlmesh/charts/faulty.yaml"
    path.write_text("type: segmentation\nevnts: [_active]\n", encoding="utf-8")
    try:
        with look(chromium, f"{served.url}/charts?name=revenue") as sight:
            assert "sqlmesh/charts/faulty.yaml, line 2: evnts means nothing here; did you mean events?" in sight.text()
            assert figures(sight) == 1
    finally:
        path.unlink()


def test_a_person_is_found_by_each_of_their_ids(shop: Project, served: Dashboard, chromium: Browser) -> None:
    ((user, user_id, events),) = shop.query("""
        SELECT canonical_amplitude_id, user_id, events FROM gold.users
        WHERE amplitude_ids > 2 ORDER BY events DESC LIMIT 1
    """)
    ((alias,),) = shop.query(f"""
        SELECT MAX(amplitude_id) FROM silver.user_aliases
        WHERE canonical_amplitude_id = {user} AND amplitude_id <> {user}
    """)
    ((device,),) = shop.query(f"""
        SELECT MIN(device_id) FROM silver.user_devices WHERE amplitude_id = {user}
    """)
    for id_ in (user_id, user_id[:-3], str(user), str(alias), device):
        with look(chromium, f"{served.url}/people?user={quote(id_)}") as sight:
            assert f"Amplitude id {user} · {events} events" in sight.text()
            assert [each for each in (user_id, str(user), device) if each in sight.page.url] == (
                [] if id_ in (user_id[:-3], str(alias)) else [id_]
            )


def test_the_timeline_has_a_persons_events_the_newest_first(
    shop: Project, served: Dashboard, chromium: Browser
) -> None:
    ((user, user_id),) = shop.query(
        "SELECT canonical_amplitude_id, user_id FROM gold.users WHERE events BETWEEN 101 AND 180 ORDER BY 1 LIMIT 1"
    )
    rows = shop.query(f"""
        SELECT STRFTIME(event_time, '%H:%M:%S ') || event_type FROM gold.events
        WHERE canonical_amplitude_id = {user} ORDER BY event_time DESC, uuid DESC
    """)
    labels = "[data-testid=stExpander] summary p"
    with look(chromium, f"{served.url}/people?user={user_id}") as sight:
        sight.page.get_by_role("button", name="Older").wait_for()
        assert sight.page.locator(labels).all_inner_texts() == [text for (text,) in rows[:100]]
        sight.page.get_by_role("button", name="Older").click()
        sight.page.get_by_role("button", name="Newer").wait_for()
        sight.settle()
        assert sight.page.locator(labels).all_inner_texts() == [text for (text,) in rows[100:]]
        sight.page.get_by_role("tab", name="Ids").click()
        sight.page.get_by_text("Ids of Amplitude that are this person").wait_for()


def test_an_id_that_nobody_has_is_a_sentence_with_near_ones(
    shop: Project, served: Dashboard, chromium: Browser
) -> None:
    ((user_id,),) = shop.query("SELECT MIN(user_id) FROM gold.users")
    with look(chromium, f"{served.url}/people?user={user_id}xy") as sight:
        assert f"Nobody in default has the id {user_id}xy" in sight.text()
        assert f"Did you mean {user_id}" in sight.text()
    with look(chromium, f"{served.url}/people?user={quote('<b>*x*</b>')}") as sight:
        assert "the id <b>*x*</b>" in sight.text()
    with look(chromium, f"{served.url}/people?user=99999999999999999999", NARROW) as sight:
        assert "Nobody in default has the id 99999999999999999999" in sight.text()

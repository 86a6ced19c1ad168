"""Charts, the explorer and people in a browser, on the demo's month, with the numbers of gold."""

import json
import re
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page
from streamlit.testing.v1 import AppTest

from amplitude_source.charts.book import TYPES, read_charts
from screens.charts import MOST_CHARTS
from support.charts import EXAMPLES
from support.dashboard import Dashboard, Sight, look
from support.pages import Pages, figures, sentences
from support.project import Project

pytestmark = pytest.mark.slow
# The least that a chart of each type says in the explorer's address.
LEAST: dict[str, dict[str, Any]] = {
    "segmentation": {"events": ["_active"]},
    "funnel": {"steps": ["Product Viewed", "Order Completed"]},
    "journeys": {"to": "Order Completed"},
    "composition": {"by": ["country"]},
}


def asked(definition: dict[str, Any]) -> str:
    """The address of a chart in the explorer."""
    return f"chart={quote(json.dumps(definition))}"


def by_day(lines: list[Any]) -> dict[str, object]:
    """The points of a figure with one line, whole intervals and others."""
    return {
        str(day)[:10]: value
        for line in lines
        for day, value in zip(line["x"], line["y"], strict=True)
        if isinstance(value, int | float) and isfinite(value)
    }


def drawn_days(sight: Sight) -> dict[str, object]:
    """The same of the first figure that a browser shows: Plotly itself is loaded late."""
    sight.page.get_by_test_id("stPlotlyChart").first.wait_for()
    sight.settle()
    return by_day([{"x": days, "y": values} for _, days, values in sight.points(0)])


def spoken(page: AppTest) -> str:
    """All that a page says, as its reader sees it."""
    parts = [*page.markdown, *page.caption, *page.text, *page.info, *page.warning, *page.error]
    return "\n".join(each.value for each in parts).replace("\\", "")


def type_into(sight: Sight, label: str, text: str) -> None:
    field = sight.page.get_by_label(label, exact=True)
    field.fill(text)
    field.press("Enter")
    sight.page.wait_for_timeout(500)
    sight.settle()


def test_every_example_of_the_guide_is_drawn(pages: Pages) -> None:
    headings = []
    for first in range(0, len(EXAMPLES), MOST_CHARTS):
        page = pages("charts", f"charts={first + 1} to {min(first + MOST_CHARTS, len(EXAMPLES))}")
        headings += [each.value for each in page.header]
        assert len(figures(page)) == len(page.header)
        assert sentences(page) == []
        assert not page.exception
    assert len({*headings}) == len(EXAMPLES)


def test_each_figure_of_a_chart_is_drawn_once_its_tab_is_open(pages: Pages) -> None:
    page = pages("charts", "name=come_back")
    assert [line["type"] for (line, *_) in figures(page)] == ["scatter"]
    page.session_state["tabs-come_back"] = "Cohorts"
    page.run()
    assert [line["type"] for (line, *_) in figures(page)] == ["heatmap"]


def test_a_chart_of_the_page_has_the_rows_of_its_view(shop: Project, pages: Pages) -> None:
    rows = shop.query("SELECT period::VARCHAR, value FROM gold.chart_revenue WHERE period >= DATE '2026-06-08'")
    (lines,) = figures(pages("charts", "name=revenue&days=2026-06-10&days=2026-06-30"))
    assert by_day(lines) == pytest.approx(dict(rows))


@pytest.mark.parametrize("type_", TYPES)
def test_the_explorer_answers_each_type(pages: Pages, type_: str) -> None:
    page = pages("explorer", asked({"type": type_, **LEAST.get(type_, {})}))
    assert len(figures(page)) >= 1
    assert sentences(page) == []
    assert not page.exception
    assert any(re.search(r"in \d+\.\d s", each.value) for each in page.caption)


def test_the_explorer_counts_as_gold_does_and_the_address_is_the_question(
    shop: Project, served: Dashboard, window: Page
) -> None:
    rows = shop.query("""
        SELECT event_date::VARCHAR, COUNT(DISTINCT canonical_amplitude_id) FROM gold.events
        WHERE event_type = 'Order Completed' AND total > 100 AND event_date >= DATE '2026-06-20' GROUP BY 1
    """)
    definition = {"type": "segmentation", "events": [{"event": "Order Completed", "where": "total > 100"}]}
    address = f"{served.url}/explorer?{asked(definition)}&days=2026-06-20&days=2026-06-30"
    with look(window, address) as sight:
        assert drawn_days(sight) == dict(rows)
        sight.page.get_by_text("More", exact=True).click()
        type_into(sight, "Title", "Large *orders*")
        assert sight.page.get_by_role("heading", name="Large *orders*").count() == 1
        address = sight.page.url
    with look(window, address) as shared:
        assert drawn_days(shared) == dict(rows)
        assert shared.page.get_by_role("heading", name="Large *orders*").count() == 1


def test_what_cannot_be_asked_is_a_sentence_and_nonsense_in_the_address_too(pages: Pages) -> None:
    page = pages("explorer", asked({"type": "segmentation", "events": ["_active"], "by": ["contry"]}))
    assert "there is no column contry; did you mean country?" in spoken(page)
    assert len(figures(page)) == 1
    (formula,) = [each for each in page.text_input if each.label == "Formula"]
    formula.set_value("UNIQUES(B)").run()
    assert "names event B; the chart's are A." in spoken(page)
    assert figures(page) == []
    page = pages("explorer", "chart=%7Bnonsense")
    assert "a chart that cannot be read" in spoken(page)
    assert len(figures(page)) == 1
    assert not page.exception


def test_a_chart_is_opened_in_the_explorer_and_kept_as_a_file(shop: Project, served: Dashboard, window: Page) -> None:
    folder = shop.root / "sqlmesh/charts"
    with look(window, f"{served.url}/charts?name=purchase") as sight:
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


def test_a_chart_with_a_fault_is_named_and_the_others_are_shown(shop: Project, pages: Pages) -> None:
    path = shop.root / "sqlmesh/charts/faulty.yaml"
    path.write_text("type: segmentation\nevnts: [_active]\n", encoding="utf-8")
    try:
        page = pages("charts", "name=revenue")
    finally:
        path.unlink()
    fault = "sqlmesh/charts/faulty.yaml, line 2: evnts means nothing here; did you mean events?"
    assert fault in spoken(page)
    assert len(figures(page)) == 1


def test_a_person_is_found_by_each_of_their_ids(shop: Project, pages: Pages) -> None:
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
        page = pages("people", f"user={quote(id_)}")
        assert f"Amplitude id {user} · {events} events" in spoken(page)
        assert not page.exception


def test_the_timeline_has_a_persons_events_the_newest_first(shop: Project, served: Dashboard, window: Page) -> None:
    ((user, user_id),) = shop.query(
        "SELECT canonical_amplitude_id, user_id FROM gold.users WHERE events BETWEEN 101 AND 180 ORDER BY 1 LIMIT 1"
    )
    rows = shop.query(f"""
        SELECT STRFTIME(event_time, '%H:%M:%S ') || event_type FROM gold.events
        WHERE canonical_amplitude_id = {user} ORDER BY event_time DESC, uuid DESC
    """)
    labels = "[data-testid=stExpander] summary p"
    with look(window, f"{served.url}/people?user={user_id}") as sight:
        sight.page.get_by_role("button", name="Older").wait_for()
        assert sight.page.locator(labels).all_inner_texts() == [text for (text,) in rows[:100]]
        sight.page.get_by_role("button", name="Older").click()
        sight.page.get_by_role("button", name="Newer").wait_for()
        sight.settle()
        assert sight.page.locator(labels).all_inner_texts() == [text for (text,) in rows[100:]]
        sight.page.get_by_role("tab", name="Ids").click()
        sight.page.get_by_text("Ids of Amplitude that are this person").wait_for()


def test_an_id_that_nobody_has_is_a_sentence_with_near_ones(shop: Project, pages: Pages) -> None:
    ((user_id,),) = shop.query("SELECT MIN(user_id) FROM gold.users")
    said = spoken(pages("people", f"user={user_id}xy"))
    assert f"Nobody in default has the id {user_id}xy" in said
    assert f"Did you mean {user_id}" in said
    assert "the id <b>*x*</b>" in spoken(pages("people", f"user={quote('<b>*x*</b>')}"))
    assert "Nobody in default has the id 99999999999999999999" in spoken(pages("people", "user=99999999999999999999"))

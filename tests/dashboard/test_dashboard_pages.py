"""The pages in a browser: whole, quiet, at both widths, and with the numbers of gold."""

import os
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Page

from support.dashboard import NARROW, TITLES, Dashboard, Sight, look, picture_of
from support.project import REPOSITORY, Project

pytestmark = pytest.mark.slow
PICTURES = REPOSITORY / "docs/images/dashboard"
PATHS = [*TITLES]
APP = "document.querySelector('[data-testid=stApp]')"


@pytest.fixture(scope="module", params=PATHS, ids=lambda path: path or "overview")
def page(served: Dashboard, window: Page, request: pytest.FixtureRequest) -> Iterator[tuple[str, Sight]]:
    """Each page, opened once: its path and the sight of it."""
    with look(window, f"{served.url}/{request.param}") as sight:
        yield request.param, sight


def test_a_page_is_whole_and_quiet_and_fits_a_desk(page: tuple[str, Sight]) -> None:
    path, sight = page
    assert not sight.page.get_by_test_id("stException").count(), sight.text()
    assert sight.overflow() <= 0
    assert (sight.errors, sight.outside) == ([], [])
    if os.environ.get("UPDATE_SNAPSHOTS"):
        picture_of(sight, PICTURES / f"{path or 'overview'}.png")


def test_a_page_can_be_read_aloud(page: tuple[str, Sight]) -> None:
    path, sight = page
    assert sight.page.locator("html").get_attribute("lang") == "en"
    assert sight.page.title() == f"{TITLES[path]} · Amplitude warehouse"
    levels = sight.heading_levels()
    assert levels[0] == 1
    assert all(level in range(2, before + 2) for before, level in pairwise(levels)), levels
    named = sight.page.get_by_role("figure", name=re.compile(r"\w.*\.$"))
    assert named.count() == sight.page.locator("[data-testid=stPlotlyChart]:visible").count()


def test_each_field_of_a_page_is_reached_by_the_tab_key_in_its_order(page: tuple[str, Sight]) -> None:
    _, sight = page
    assert sight.reached_by_tab() == sight.fields()


def test_words_of_a_page_are_easy_to_tell_from_their_ground(page: tuple[str, Sight]) -> None:
    _, sight = page
    assert sight.faint_words() == []


def test_a_page_fits_a_phone_at_night(page: tuple[str, Sight], tmp_path: Path) -> None:
    _, sight = page
    sight.page.set_viewport_size({"width": NARROW, "height": 900})
    sight.page.emulate_media(color_scheme="dark")
    sight.page.reload()
    sight.settle()
    assert sight.overflow() <= 0
    assert (sight.errors, sight.outside) == ([], [])
    assert sight.faint_words() == []
    picture_of(sight, tmp_path / "narrow.png")


def test_words_stay_easy_to_read_when_the_theme_changes(served: Dashboard, window: Page) -> None:
    with look(window, f"{served.url}/growth") as sight:
        for scheme in ("dark", "light"):
            sight.page.emulate_media(color_scheme=scheme)
            sight.page.wait_for_function(f"() => getComputedStyle({APP}).colorScheme === '{scheme}'")
            assert sight.faint_words() == []


def test_numbers_of_a_figure_unfold_as_a_table_and_a_file(served: Dashboard, window: Page) -> None:
    with look(window, f"{served.url}/retention") as sight:
        assert not sight.page.get_by_test_id("stDataFrame").count()
        sight.page.get_by_text("Numbers", exact=True).first.click()
        sight.settle()  # the page draws the button once more when it is through
        with sight.page.expect_download() as download:
            sight.page.get_by_role("button", name="CSV", exact=True).click()
        assert download.value.suggested_filename == "retention-curve.csv"
        assert sight.page.get_by_test_id("stDataFrame").count() == 1


def test_the_docs_have_a_picture_of_each_page() -> None:
    assert {path.stem for path in PICTURES.glob("*.png")} == {path or "overview" for path in PATHS}, (
        "write the pictures with UPDATE_SNAPSHOTS=1, look at them, and remove those of pages that are gone"
    )


def test_the_overview_has_the_numbers_of_gold(shop: Project, served: Dashboard, window: Page) -> None:
    rows = shop.query("""
        SELECT metric_date::VARCHAR, active_users FROM gold.daily_metrics
        WHERE breakdown = 'all' AND metric_date BETWEEN DATE '2026-06-16' AND DATE '2026-06-30' ORDER BY 1
    """)
    (new_users,) = shop.query("""
        SELECT SUM(new_users)::BIGINT FROM gold.daily_metrics JOIN gold.days ON date = metric_date AND is_complete
        WHERE breakdown = 'all' AND metric_date BETWEEN DATE '2026-06-16' AND DATE '2026-06-30'
    """)[0]
    with look(window, f"{served.url}/?days=2026-06-16&days=2026-06-30") as sight:
        assert sight.tiles()["New users"] == f"{new_users:,}"
        lines = sight.points(0)
    drawn = {str(day)[:10]: value for _, x, y in lines for day, value in zip(x, y, strict=True)}
    assert drawn == dict(rows)


def test_a_break_down_and_its_segments_stand_in_the_address(served: Dashboard, window: Page) -> None:
    with look(window, f"{served.url}/?by=platform&segment=iOS&segment=Web") as sight:
        names = [name for name, _, _ in sight.points(0)]
        assert sorted(set(names)) == ["Web", "iOS"]
        sight.page.get_by_role("link", name="Data quality").click()
        sight.page.get_by_role("heading", name="Data quality", level=1).wait_for()
        assert "by=platform" in sight.page.url
        assert "segment=iOS" in sight.page.url

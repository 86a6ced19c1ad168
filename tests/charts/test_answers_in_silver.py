"""What the REST APIs gave, beside events: exposures with their variants, and views of today's lists."""

from datetime import date

import pytest

from oracle.experiments import Exposure, exposures
from support.chart_world import CUSTOMERS, REGULARS, SHOP, World
from support.warehouse import assert_same_rows

pytestmark = pytest.mark.slow

VARIANTS = {("one-page-checkout", "control"), ("one-page-checkout", "treatment")}


def test_exposures_equal_the_oracle(world: World) -> None:
    expected = exposures(world.truth)
    got = world.query(f"SELECT {', '.join(Exposure._fields)} FROM gold.experiment_exposures")
    assert_same_rows("gold.experiment_exposures", got, expected)
    assert {row.has_several_variants for row in expected} == {False, True}
    assert {row.experiment_key for row in expected} == {"exp-1", "exp-2", "(none)"}


def test_exposures_know_their_experiment_and_whether_it_has_the_variant(world: World) -> None:
    """The flag was deleted before the second load."""
    rows = world.query(
        "SELECT DISTINCT flag_key, variant, kind, name, is_listed_variant FROM gold.experiment_exposures"
    )
    assert {row[:2] for row in rows if row[4]} == VARIANTS
    assert ("one-page-checkout", "two-columns", "experiment", "One page checkout", False) in rows
    assert ("dark-theme", "on", None, None, None) in rows


def test_annotations_are_those_of_today(world: World) -> None:
    rows = world.query("SELECT annotation_id, label, category, chart_id FROM silver.annotations ORDER BY 1")
    assert rows == [(2, "Summer sale", "Campaigns", None), (3, "Payments were down", None, "orders7d")]
    ((first, last),) = world.query("SELECT MIN(annotation_date), MAX(end_date) FROM silver.annotations")
    assert SHOP.start.date() < first < last < SHOP.end.date()
    assert isinstance(first, date)


def test_stays_in_cohorts_end_when_a_computation_has_the_user_no_more(world: World) -> None:
    stays = "SELECT cohort_id, cohort, COUNT(*), COUNT(valid_to), COUNT_IF(is_member) FROM silver.cohort_members"
    found = {name: (cohort, *counts) for name, cohort, *counts in world.query(f"{stays} GROUP BY ALL")}
    assert found.keys() == {CUSTOMERS, REGULARS}
    name, all_, over, open_ = found[REGULARS]
    assert (name, over + open_) == ("Regulars", all_)
    assert over > 0
    sizes = dict(world.query("SELECT cohort_id, size FROM silver.cohorts"))
    assert sizes == {CUSTOMERS: found[CUSTOMERS][3], REGULARS: open_, "search01": sizes["search01"]}
    members = world.query("SELECT members FROM silver.cohorts WHERE cohort_id = 'search01'")
    assert members == [(0,)], "the settings do not name it"

"""What is said of a cohort that a segment names and that is not there, or has no users."""

from pathlib import Path

import pytest

from amplitude_source.charts.cohorts import Cohort, cohort_faults, cohorts_of
from amplitude_source.charts.definitions import Definitions, Segment
from support.chart_gold import WORDS
from support.charts import write_charts

PAYING = Cohort("shop", "abc12", "Paying users", 7, 5)
EMPTY = Cohort("shop", "nil00", "Nobody", 0, 0)
UNLOADED = Cohort("shop", "srch1", "Searchers", 9, 0)
LISTED = [PAYING, EMPTY, UNLOADED, Cohort("shop", "two", "Twins", 1, 1), Cohort("shop", "deux", "Twins", 1, 1)]
NOT_LOADED = "name it in SOURCES__AMPLITUDE__COHORTS, and load with --only cohort_members."


def faults(folder: Path, cohort: str, listed: list[Cohort]) -> list[tuple[str, bool]]:
    definitions = f"events:\n  A: [B]\nsegments:\n  payers:\n    cohort: '{cohort}'\n"
    write_charts(folder, definitions=definitions)
    return [(fault.sentence, fault.is_wrong) for fault in cohort_faults({"payers": cohort}, listed, folder)]


@pytest.mark.parametrize("cohort", ["Paying users", "abc12"])
def test_a_cohort_with_users_is_found_by_name_and_by_id(tmp_path: Path, cohort: str) -> None:
    assert faults(tmp_path, cohort, LISTED) == []


def test_several_projects_may_have_a_cohort_of_one_name(tmp_path: Path) -> None:
    assert faults(tmp_path, "Paying users", [PAYING, Cohort("blog", "x", "Paying users", 9, 0)]) == []


@pytest.mark.parametrize(
    ("cohort", "listed", "said", "is_wrong"),
    [
        pytest.param(
            "Payng users", LISTED, "there is no cohort 'Payng users'; did you mean 'Paying users'?", True, id="misspelt"
        ),
        pytest.param("abc13", LISTED, "there is no cohort 'abc13'; did you mean 'abc12'?", True, id="misspelt id"),
        pytest.param(
            "Whales",
            LISTED,
            "there is no cohort 'Whales'; silver.cohorts has those that Amplitude lists.",
            True,
            id="unknown",
        ),
        pytest.param(
            "Searchers", LISTED, f"the users of cohort 'Searchers' are not loaded: {NOT_LOADED}", True, id="not loaded"
        ),
        pytest.param(
            "Paying users",
            [],
            "no cohorts are loaded: name 'Paying users' in SOURCES__AMPLITUDE__COHORTS, and load with "
            "--only cohorts --only cohort_members.",
            True,
            id="none loaded",
        ),
        pytest.param("Twins", LISTED, "several cohorts are 'Twins'; write an id: two, deux.", True, id="twice"),
        pytest.param(
            "nil00", LISTED, "cohort 'nil00' has no users by Amplitude's last computation.", False, id="empty"
        ),
    ],
)
def test_a_cohort_without_users_is_named_with_its_line(
    tmp_path: Path, cohort: str, listed: list[Cohort], said: str, is_wrong: bool
) -> None:
    assert faults(tmp_path, cohort, listed) == [(f"sqlmesh/definitions.yaml, line 5: {said}", is_wrong)]


def test_the_cohorts_of_segments_are_found_in_what_makes_them_up() -> None:
    segments = {
        "paying": {"cohort": "Paying users"},
        "web": {"where": "platform = 'Web'"},
        "either": {"any": ["web", "paying"]},
        "none of them": {"none": ["either"]},
        "other": {"cohort": "x"},
    }
    read: dict[str, Segment] = Definitions.model_validate({"segments": segments}, context=WORDS).segments
    assert cohorts_of(["(all)", "none of them"], read) == {"paying": "Paying users"}
    assert cohorts_of(["web"], read) == {}

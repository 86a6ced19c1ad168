"""The oracle of retention against cases small enough to count by hand."""

import pytest

from oracle import Charts, Row, compute
from oracle.cases import BLOG, QUIET, people, row
from oracle.retention import CalendarWay, RetentionCell, Way, WindowWay, find_cells

WAYS = (CalendarWay, WindowWay)


def cells(way: type[Way], charts: Charts, *rows: Row) -> list[RetentionCell]:
    return [*find_cells(compute(rows, QUIET, charts.timezone), charts, way)]


def returned(
    way: type[Way], unit: str, *rows: Row, charts: Charts | None = None, segment: str = "(all)"
) -> dict[str, list[int]]:
    """By cohort (all of them in "(all)"), the users who returned on each X."""
    found: dict[str, list[int]] = {}
    for each in cells(way, charts or Charts(), *rows):
        if (each.interval_unit, each.segment) == (unit, segment):
            assert each.interval_number == len(found.setdefault(each.cohort, []))
            found[each.cohort].append(each.returned_on)
    return found


def until(day: str) -> Row:
    """An event that lets the export reach the day, of a user who is new on it."""
    return row(f"{day} 23:30:00", amplitude_id=99, event_type="quiet")


AMPLITUDES_EXAMPLE = (
    row("2021-12-01 17:59:00", amplitude_id=1),  # a Wednesday
    row("2021-12-02 17:00:00", amplitude_id=1),
    row("2021-12-01 12:00:00", amplitude_id=2),
    row("2021-12-06 09:00:00", amplitude_id=2),
    row("2021-12-06 12:00:00", amplitude_id=3),
    row("2021-12-12 12:00:00", amplitude_id=3),
    until("2021-12-13"),
)


class TestAmplitudesExample:
    def test_days(self) -> None:
        calendar, windows = (returned(way, "day", *AMPLITUDES_EXAMPLE) for way in WAYS)
        assert calendar["2021-12-01"] == [2, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
        assert windows["2021-12-01"] == [2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
        assert calendar["2021-12-06"] == windows["2021-12-06"] == [1, 0, 0, 0, 0, 0, 1, 0]

    def test_weeks(self) -> None:
        calendar, windows = (returned(way, "week", *AMPLITUDES_EXAMPLE) for way in WAYS)
        assert (calendar["2021-11-29"], windows["2021-11-29"]) == ([2, 1, 0], [2, 0])

    def test_months(self) -> None:
        calendar, windows = (returned(way, "month", *AMPLITUDES_EXAMPLE) for way in WAYS)
        assert calendar["2021-12-01"] == windows["2021-12-01"] == [3]


class TestIntervalsInDays:
    def test_a_week_of_windows_is_complete_when_its_last_day_is_over(self) -> None:
        for last_day, complete in (("2024-03-16", [True, False]), ("2024-03-17", [True, True])):
            found = cells(WindowWay, Charts(), row("2024-02-26 10:00:00"), until(last_day))
            of_week = [
                each.is_complete
                for each in found
                if (each.interval_unit, each.segment, each.cohort) == ("week", "(all)", "2024-02-26")
            ]
            assert of_week[:2] == complete


class TestSegmentsOfNewUsers:
    """A new user of a Monday on Web at 10:00 and on Android at 15:00, and on iOS on Wednesday."""

    ROWS = (
        row("2026-06-01 10:00:00", platform="Web"),
        row("2026-06-01 15:00:00", platform="Android"),
        row("2026-06-03 10:00:00", platform="iOS"),
        until("2026-06-07"),
    )

    @pytest.mark.parametrize(
        ("way", "unit", "expected"),
        [
            (CalendarWay, "day", {"Web", "Android"}),
            (CalendarWay, "week", {"Web", "Android", "iOS"}),
            (CalendarWay, "month", {"Web", "Android", "iOS"}),
            (WindowWay, "day", {"Web"}),
            (WindowWay, "week", {"Web", "Android"}),
            (WindowWay, "month", {"Web", "Android"}),
        ],
    )
    def test_are_those_of_the_interval_or_of_the_first_hour_or_day(
        self, way: type[Way], unit: str, expected: set[str]
    ) -> None:
        platforms = {"Web", "Android", "iOS"}
        first = [each for each in cells(way, Charts(), *self.ROWS) if each.cohort == "2026-06-01"]
        found = {each.segment for each in first if each.interval_unit == unit and each.segment in platforms}
        assert found == expected

    def test_and_the_first_day_is_the_start_in_each(self) -> None:
        assert returned(CalendarWay, "week", *self.ROWS, segment="iOS") == {"2026-06-01": [1]}


class TestCells:
    def test_a_day_is_complete_when_over_a_window_after_its_last_hour(self) -> None:
        complete = {
            way: [
                each.is_complete
                for each in cells(way, Charts(), row("2024-03-01 00:00:00"), until("2024-03-04"))
                if (each.interval_unit, each.segment, each.cohort) == ("day", "(all)", "2024-03-01")
            ]
            for way in WAYS
        }
        assert complete == {CalendarWay: [True, True, True, False], WindowWay: [True, True, False, False]}

    def test_all_cohorts_are_summed_up_where_they_are_complete(self) -> None:
        rows = row("2024-03-01 10:00:00"), row("2024-03-02 10:00:00"), row("2024-03-02 10:00:00", amplitude_id=2)
        found = cells(CalendarWay, Charts(), *rows, until("2024-03-03"))
        assert [
            (each.interval_number, each.cohort_users, each.returned_on, each.returned_on_or_after)
            for each in found
            if (each.interval_unit, each.segment, each.cohort) == ("day", "(all)", "(all)")
        ] == [(0, 2, 2, 2), (1, 1, 1, 1)]

    def test_who_returns_later_returned_on_or_after(self) -> None:
        found = cells(CalendarWay, Charts(), row("2024-03-01 10:00:00"), row("2024-03-03 10:00:00"))
        assert [
            (each.returned_on, each.returned_on_or_after, each.returned_on_rate, each.returned_on_or_after_rate)
            for each in found
            if (each.interval_unit, each.segment, each.cohort) == ("day", "(all)", "2024-03-01")
        ] == [(1, 1, 1, 1), (0, 1, 0, 1), (1, 1, 1, 1)]

    def test_what_is_dated_after_the_frontier_waits(self) -> None:
        rows = row("2024-03-01 10:00:00"), row("2024-03-09 10:00:00", hour="2024-03-02 10:00:00")
        assert returned(CalendarWay, "day", *rows)["2024-03-01"] == [1, 0]
        assert not returned(CalendarWay, "day", row("2024-03-09 10:00:00", hour="2024-03-02 10:00:00"))

    @pytest.mark.parametrize("way", WAYS)
    def test_projects_have_their_own_users(self, way: type[Way]) -> None:
        rows = row("2024-03-01 10:00:00"), row("2024-03-02 10:00:00", project=BLOG)
        assert {(each.project, each.cohort_users) for each in cells(way, Charts(), *rows)} == {("shop", 1), (BLOG, 1)}


class TestEvents:
    @pytest.mark.parametrize("way", WAYS)
    def test_an_inactive_event_makes_new_but_is_no_return(self, way: type[Way]) -> None:
        rows = row("2024-03-01 10:00:00", event_type="quiet"), row("2024-03-02 10:00:00"), until("2024-03-02")
        assert returned(way, "day", *rows)["2024-03-01"] == [0, 1]

    @pytest.mark.parametrize("way", WAYS)
    def test_the_segment_is_the_start_s(self, way: type[Way]) -> None:
        rows = row("2024-03-01 10:00:00", platform="iOS"), row("2024-03-02 10:00:00", platform="Web")
        assert returned(way, "day", *rows, segment="iOS")["2024-03-01"] == [1, 1]
        assert not returned(way, "day", *rows, segment="Web")

    @pytest.mark.parametrize("way", WAYS)
    def test_merged_users_are_one(self, way: type[Way]) -> None:
        found = cells(way, Charts(), *people("G - 9; G John 4; H - 5"))
        assert {each.cohort_users for each in found if each.segment == "(all)"} == {2}


class TestClocks:
    def test_weeks_start_on_the_day_that_is_set(self) -> None:
        sunday = row("2024-03-03 10:00:00")
        assert [*returned(CalendarWay, "week", sunday)] == ["2024-02-26"]
        assert [*returned(CalendarWay, "week", sunday, charts=Charts(week_start="sunday"))] == ["2024-03-03"]

    def test_hours_are_those_of_the_reporting_clock(self) -> None:
        rows = row("2024-03-01 10:29:00"), row("2024-03-02 09:31:00"), row("2024-03-02 10:00:00", amplitude_id=2)
        assert returned(WindowWay, "day", *rows, charts=Charts("Asia/Kolkata"))["2024-03-01"] == [1, 1]
        assert returned(WindowWay, "day", *rows)["2024-03-01"] == [1, 0]

    def test_where_clocks_are_set_back_a_window_more_begins(self) -> None:
        rows = row("2026-10-31 04:30:00"), row("2026-11-02 04:10:00", hour="2026-11-02 04:00:00")
        charts = Charts("America/New_York")
        assert returned(WindowWay, "day", *rows, charts=charts)["2026-10-31"] == [1, 0, 1]
        assert returned(CalendarWay, "day", *rows, charts=charts)["2026-10-31"] == [1, 1]

    def test_a_month_has_30_days_or_those_of_the_calendar(self) -> None:
        rows = row("2024-01-31 10:00:00"), row("2024-02-01 10:00:00"), until("2024-03-01")
        assert returned(CalendarWay, "month", *rows)["2024-01-01"] == [1, 1, 0]
        assert returned(WindowWay, "month", *rows)["2024-01-01"] == [1, 0]  # March 1 is 30 days after January 31

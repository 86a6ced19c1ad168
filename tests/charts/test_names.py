"""Names of columns: a property may have any that a chart's rows do not have."""

from datetime import date, timedelta
from typing import Any

import pytest

from amplitude_source.charts.book import TYPES
from amplitude_source.charts.definitions import Words
from amplitude_source.charts.vocabulary import EVENT_COLUMNS, USER_COLUMNS, Vocabulary
from support.chart_gold import Gold, at

CHARTS: dict[str, dict[str, Any]] = {
    "segmentation": {"events": ["A"], "measure": "property_sum", "of": "session_number"},
    "funnel": {"steps": ["A", "A"], "show": "conversion_over_time"},
    "retention": {},
    "usage_interval": {},
    "lifecycle": {},
    "stickiness": {},
    "sessions": {"measure": "time_spent_per_user"},
    "journeys": {"from": "A", "collapse_repeats": True},
    "revenue": {"of": "session_number"},
    "engagement_matrix": {},
    "composition": {},
}
# What the queries of charts call their own columns.
NAMES = (
    "all_users", "amount", "cohort_date", "counted", "days", "depth", "event_1", "held_period", "is_anchor",
    "last_time", "letter", "m_1", "moment", "number", "seconds", "session", "started", "times", "users",
)  # fmt: skip


@pytest.mark.parametrize("gold", [(date(2026, 5, 16), date(2026, 5, 30))], indirect=True)
@pytest.mark.parametrize("type_", TYPES)
def test_a_column_by_which_a_chart_breaks_down_may_have_any_name(gold: Gold, type_: str) -> None:
    for hours in (0, 1, 24):
        time = at(5, 17) + timedelta(hours=hours)
        gold.add(1, "A", time, session_id=1, session_number=1, is_in_session=True, client_event_time=time)
    for name in {*NAMES} - {*TYPES[type_].columns}:
        gold.words = Words(Vocabulary(EVENT_COLUMNS, USER_COLUMNS, {name: ("LOWER(event_type)", "text")}))
        rows = gold.answer(f"DISTINCT {name}", type=type_, by=[name], **CHARTS[type_])
        assert rows == [("a",)], (type_, name)

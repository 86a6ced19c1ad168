"""Whether two steps may take one event, by their event types and conditions."""

import pytest

from amplitude_source.charts.definitions import Part, Words
from amplitude_source.charts.types.exclusive import may_share_an_event
from amplitude_source.charts.vocabulary import EVENT_COLUMNS, USER_COLUMNS, Vocabulary

WORDS = Words(Vocabulary({**EVENT_COLUMNS, "tags": "list"}, {**USER_COLUMNS, "plan": "text"}))
WORDS = Words(WORDS.vocabulary, {"Own": [Part.model_validate({"event": name}, context=WORDS) for name in ("A", "B")]})
WEB = "platform = 'Web'"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"event": "A"}, {"event": "B"}, False),
        ({"event": "A"}, {"event": "_new"}, True),
        ({"event": "Own"}, {"event": "B"}, True),
        ({"event": "Own"}, {"event": "C"}, False),
        ({"event": "A", "where": WEB}, {"event": "A"}, True),
        ({"event": "A", "where": WEB}, {"event": "_all", "where": "platform IN ('iOS', 'Android')"}, False),
        ({"event": "A", "where": WEB}, {"event": "A", "where": "platform IN ('iOS', 'Web')"}, True),
        ({"event": "A", "where": WEB}, {"event": "A", "where": "platform <> 'Web'"}, True),
        ({"event": "A", "where": WEB}, {"event": "A", "where": "NOT platform IN ('iOS')"}, True),
        ({"event": "A", "where": WEB}, {"event": "A", "where": "platform = 'iOS' OR country = 'Chile'"}, True),
        ({"event": "A", "where": WEB}, {"event": "A", "where": "(country = 'Chile' AND platform = 'iOS')"}, False),
        ({"event": "A", "where": WEB}, {"event": "A", "where": "country = 'iOS'"}, True),
        ({"event": "A", "where": "session_id = 1"}, {"event": "A", "where": "session_id = 1.0"}, True),
        ({"event": "A", "where": "session_id = 1"}, {"event": "A", "where": "session_id = 2"}, False),
        ({"event": "A", "where": "now.plan = 'a'"}, {"event": "A", "where": "now.plan = 'b'"}, False),
        ({"event": "A", "where": "tags = 'a'"}, {"event": "A", "where": "tags = 'b'"}, True),
        (
            {"event": "A", "where": "event_date = '2026-06-01'"},
            {"event": "A", "where": "event_date = '2026-6-1'"},
            True,
        ),
    ],
    ids=str,
)
def test_steps_share_an_event_unless_types_or_values_exclude_it(
    one: dict[str, str], other: dict[str, str], expected: bool
) -> None:
    first, second = (Part.model_validate(part, context=WORDS) for part in (one, other))
    assert may_share_an_event(first, second, WORDS) == expected
    assert may_share_an_event(second, first, WORDS) == expected

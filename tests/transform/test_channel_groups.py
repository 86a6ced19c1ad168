"""Channel groups: the rules of sqlmesh/seeds/channel_groups.csv, and what is said of faults in the file."""

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from sqlglot import exp
from sqlmesh.core.macros import MacroEvaluator

from amplitude_source.charts.channels import FILE, read_channel_groups
from amplitude_source.errors import AmplitudeError
from macros.channels import channel_group, with_touches
from support.project import REPOSITORY

HEAD = "channel_group,utm_source,gclid|wbraid\n"


@pytest.fixture(scope="module")
def channels() -> Iterator[duckdb.DuckDBPyConnection]:
    """A view `channels` by the repository's rules, over a table `sent` of users' properties."""
    evaluator = MacroEvaluator(dialect="snowflake")
    evaluator.locals["__sqlmesh__vars__"] = {"engine": "duckdb", "channel_groups": read_channel_groups(REPOSITORY)}
    case = channel_group(evaluator, exp.to_identifier("events")).sql("duckdb")
    events = with_touches(evaluator, exp.to_table("sent")).sql("duckdb")
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE sent (user_properties JSON)")
        connection.execute(f"CREATE VIEW channels AS SELECT {case} FROM {events} AS events")
        yield connection


@pytest.mark.parametrize(
    ("properties", "group"),
    [
        (None, "Direct"),
        ({"plan": "pro"}, "Direct"),
        ({"utm_source": "EMPTY", "utm_medium": "", "referring_domain": None}, "Direct"),
        ({"utm_source": "Google", "utm_medium": "CPC", "gclid": "Cj0"}, "Paid Search"),
        ({"gclid": "Cj0", "referring_domain": "www.google.com"}, "Paid Search"),
        ({"wbraid": "x"}, "Paid Search"),
        ({"utm_source": "bing.com"}, "Organic Search"),
        ({"referring_domain": "www.google.com"}, "Organic Search"),
        ({"referring_domain": "de.search.yahoo.com"}, "Organic Search"),
        ({"referring_domain": "mail.google.com"}, "Referral"),
        ({"utm_source": "newsletter", "utm_medium": "email"}, "Email"),
        ({"utm_source": "e-mail"}, "Email"),
        ({"utm_source": "partner", "utm_medium": "affiliate"}, "Affiliates"),
        ({"utm_source": "facebook", "utm_medium": "paid-social"}, "Paid Social"),
        ({"utm_source": "facebook", "utm_medium": "story"}, "Organic Social"),
        ({"referring_domain": "l.facebook.com"}, "Organic Social"),
        ({"referring_domain": "t.co"}, "Organic Social"),
        ({"referring_domain": "netflix.com"}, "Organic Video"),
        ({"fbclid": "x"}, "Organic Social"),
        ({"ttclid": "x"}, "Paid Social"),
        ({"utm_source": "partner", "utm_medium": "paid"}, "Paid Other"),
        ({"utm_source": "youtube", "utm_medium": "cpc"}, "Paid Video"),
        ({"utm_source": "news", "utm_medium": "cpm"}, "Display"),
        ({"dclid": "x"}, "Display"),
        ({"utm_source": "google", "utm_medium": "cpc", "utm_campaign": "Shopping sale"}, "Paid Shopping"),
        ({"utm_source": "google", "utm_medium": "cpc", "utm_campaign": "workshop"}, "Paid Search"),
        ({"utm_source": "google", "utm_medium": "cpc", "utm_campaign": "eshop"}, "Paid Shopping"),
        ({"utm_campaign": "cross-network pmax"}, "Cross-network"),
        ({"utm_source": "app", "utm_medium": "web-push"}, "Mobile Push Notifications"),
        ({"utm_medium": "sms"}, "SMS"),
        ({"utm_medium": "audio"}, "Audio"),
        ({"utm_medium": "referral"}, "Referral"),
        ({"referring_domain": "blog.example.com"}, "Referral"),
        ({"utm_source": "flyer"}, "Unassigned"),
        ({"utm_campaign": "spring"}, "Unassigned"),
    ],
)
def test_the_default_rules_find_the_channel_of_an_event(
    channels: duckdb.DuckDBPyConnection, properties: dict[str, str] | None, group: str
) -> None:
    text = None if properties is None else json.dumps(properties)
    channels.execute("DELETE FROM sent")
    channels.execute("INSERT INTO sent VALUES (?)", [text])
    assert channels.execute("FROM channels").fetchall() == [(group,)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "line 1: write channel_group and then names of user properties, each once."),
        ("channel,utm_source\n", "line 1: write channel_group and then names of user properties, each once."),
        ("channel_group,utm_source,utm_source\n", "line 1: write channel_group and then names"),
        (f"{HEAD}Search,google\n", "line 2: write a channel group and 2 cells, blank for whatever value."),
        (f"{HEAD},google,\n", "line 2: write a channel group and 2 cells, blank for whatever value."),
        ("channel_group,gclid|\n", "line 1: write channel_group and then names of user properties, each once."),
        (f"{HEAD}Search, any ,\n", "line 2: 'any' is no pattern; did you mean ANY?"),
        (f"{HEAD}Search,,None\n", "line 2: 'None' is no pattern; did you mean (none)?"),
        (f"{HEAD}Search,(google,\n", "line 2: '(google' is no regular expression: "),
        (f"{HEAD}Search,Google,\n", "line 2: 'Google' is compared with values in small letters"),
        (f"{HEAD}Search,google\\.com,\n", "line 2: 'google\\\\.com' is compared with values in small letters"),
        (f"{HEAD}\nAds,,any thing\nRest,,\nMore,a,b\n", "line 5: the rule of line 4 takes all events, so this one"),
    ],
)
def test_a_fault_of_the_file_is_one_sentence_with_the_line(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_text(text)
    with pytest.raises(AmplitudeError) as raised:
        read_channel_groups(tmp_path)
    assert str(raised.value).startswith(f"{FILE}, {sentence}")


def test_a_file_that_a_spreadsheet_has_saved_is_read(tmp_path: Path) -> None:
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_text(f"\ufeff{HEAD}Search,google,\n")
    rule = {"channel_group": "Search", "conditions": [["utm_source", "google"]]}
    assert read_channel_groups(tmp_path) == [rule]


def test_without_rules_no_event_has_a_channel_group(tmp_path: Path) -> None:
    assert read_channel_groups(tmp_path) == []

"""The check of the documents finds each kind of fault; `make lint` runs it on the documents as they are."""

import pytest

import check_docs
from generated import ROOT

PAGE = "docs/guides/projects.md"


def complaints(text: str, page: str = PAGE) -> list[str]:
    return [fault.text for fault in check_docs.page_faults(page, text)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[a](missing.md)", "no file at missing.md"),
        ("[a](privacy.md#missing)", "no heading at privacy.md#missing"),
        ("`pipelines/missing.py`", "no file pipelines/missing.py"),
        ("`missing.sql`", "no file missing.sql"),
        ("`gold.missing`", "no table gold.missing"),
        ("`silver.events.missing`", "no column silver.events.missing"),
        ("`nowhere_at_all()`", "no function nowhere_at_all()"),
        ("`@nowhere_at_all`", "no macro @nowhere_at_all"),
        ("`SOURCES__AMPLITUDE__MISSING`", "no setting SOURCES__AMPLITUDE__MISSING"),
        ("a" * 101, "101 columns; wrap it at 100"),
        ("word " * 20 + "\n" + "word " * 11, "a sentence of 31 words: word word word word word word word word ..."),
        ("| cell | " + "word " * 31 + "|", "a sentence of 31 words: word word word word word word word word ..."),
        ("What happens is this.", "a sentence begins with 'What'"),
        ("It tells you.", "avoid 'tells': It tells you. ..."),
    ],
)
def test_a_fault_is_found(text: str, complaint: str) -> None:
    assert complaints(text) == [complaint]


@pytest.mark.parametrize(
    "text",
    [
        "```\n" + "a" * 101 + "\n`missing.sql`\n```",
        "| " + "aa | " * 40,
        "[a](privacy.md#write-rules), [b](https://example.com/missing.md)",
        "`silver.events`, `written_query()`, `@counted_hours`, `sqlmesh/models/*/events.sql`, `data/demo`",
        "`SOURCES__AMPLITUDE__PROJECTS__WEB__API_KEY`",
        "What happens?",
        "word " * 15 + "end. " + "\n" + "Word " * 17,
    ],
)
def test_a_right_page_passes(text: str) -> None:
    assert complaints(text) == []


def test_a_figure_that_the_code_changes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    page = "docs/decisions/0006-limits.md"
    monkeypatch.setitem(check_docs.FIGURES, page, ["| 17 MB |"])
    text = (ROOT / page).read_text(encoding="utf-8")
    assert complaints(text, page) == ["the code's figure is not on the page: '| 17 MB |'"]


def test_a_message_that_no_code_prints_is_found() -> None:
    text = "| `No keys for Amplitude: set ...` | a | b |\n| `No keys, no luck` | a | b |"
    found = [text for text in complaints(text, check_docs.TROUBLESHOOTING) if "figure" not in text]
    assert found == ["no code prints 'No keys, no luck'"]


def test_a_page_that_code_names_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not [fault for fault in check_docs.project_faults() if "names no page" in fault.text]
    monkeypatch.setattr(check_docs, "pages", lambda: [])
    named = {fault.page for fault in check_docs.project_faults() if "names no page" in fault.text}
    assert "pipelines/amplitude_source/environment.py" in named

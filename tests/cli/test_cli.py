"""The command line: how it is started, and what it says to a user who misspells a word or has a narrow terminal."""

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from dlt.common.exceptions import DltException
from rich.console import Console

import amplitude
from amplitude_source import invocation
from amplitude_source.bronze.ledger import Coverage
from amplitude_source.cli import reports
from amplitude_source.cli.commands import cli
from amplitude_source.cli.failures import one_sentence
from amplitude_source.lake.privacy import Effects, Rule
from amplitude_source.settings import HOUR, parse_hour, parse_last_hour
from support.project import REPOSITORY

FIRST = datetime(2026, 6, 1)


def paths(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words that start each command."""
    yield path
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from paths(below, (*path, name))


def started(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=60)


def missing(hour: datetime) -> Coverage:
    return Coverage("missing", hour, hour, files=0, bytes=0, loaded_rows=0, rejected_rows=0)


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    """What the reports print, without a terminal's width yet."""
    monkeypatch.setattr(invocation, "INVOKED_FROM", REPOSITORY)
    return capsys


def set_width(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    console = Console(soft_wrap=True, highlight=False, markup=False, width=width)
    monkeypatch.setattr(reports, "out", console)


def test_the_console_command_is_the_scripts_own_entry() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    ((name, entry),) = project["project"]["scripts"].items()
    module, function = entry.split(":")
    assert name == invocation.CONSOLE_COMMAND
    assert getattr(import_module(module), function) is amplitude.main


def test_an_install_without_its_repository_is_refused_in_one_sentence(tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    shutil.copytree(REPOSITORY / "pipelines", site, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    start = f"import sys; sys.path.insert(0, {str(site)!r}); import amplitude; amplitude.main()"
    result = started("-c", start, folder=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert "is no checkout of the project" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_outside_the_virtual_environment_one_sentence_names_the_mend(tmp_path: Path) -> None:
    result = started("-E", "-S", str(REPOSITORY / "pipelines/amplitude.py"), folder=tmp_path)
    assert result.returncode == 1
    assert "Run `make .venv/installed` once" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_version_names_the_project_and_what_it_runs_on() -> None:
    result = CliRunner().invoke(cli, ["--version"])
    own = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    first, second = result.output.splitlines()
    assert first == f"amplitude-warehouse {own}"
    assert [part.split()[0] for part in second.split(", ")] == ["dlt", "sqlmesh", "duckdb"]


@pytest.mark.parametrize("path", paths(cli), ids=" ".join)
def test_help_breaks_no_word_at_sixty_columns(path: tuple[str, ...]) -> None:
    narrow = CliRunner().invoke(cli, [*path, "-h"], terminal_width=60)
    wide = CliRunner().invoke(cli, [*path, "--help"], terminal_width=1000, max_content_width=1000)
    assert (narrow.exit_code, wide.exit_code) == (0, 0)
    assert max(map(len, narrow.output.splitlines())) <= 60
    words = {word.removesuffix("...") for word in narrow.output.split()}  # click shortens the list of commands so
    assert words <= {word.removesuffix("...") for word in wide.output.split()}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--verison"], "No such option '--verison'. Did you mean '--version'?"),
        (["statsu"], "No such command 'statsu'. Did you mean 'status'?"),
        (["status", "--projct", "web"], "No such option '--projct'. Did you mean '--project'?"),
        (["privacy", "chekc"], "No such command 'chekc'."),
    ],
)
def test_a_misspelt_word_is_named_with_the_nearest(arguments: list[str], sentence: str) -> None:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert sentence in result.output


def test_an_interrupt_inside_an_error_of_dlt_ends_with_130() -> None:
    with pytest.raises(SystemExit) as stopped, one_sentence(REPOSITORY):
        raise DltException("a step failed") from KeyboardInterrupt()
    assert stopped.value.code == 130


def test_a_date_as_start_and_end_is_the_whole_day() -> None:
    first, last = parse_hour("2026-06-03", "--start"), parse_last_hour("2026-06-03", "--end")
    assert (last - first) // HOUR + 1 == 24
    assert parse_last_hour("2026-06-03T05", "--end").hour == 5


@pytest.mark.parametrize("width", [30, 60, 79, 80, 120])
def test_status_cuts_nothing_at_any_width(
    width: int, monkeypatch: pytest.MonkeyPatch, printed: pytest.CaptureFixture[str]
) -> None:
    set_width(monkeypatch, width)
    loaded = Coverage("loaded", FIRST, FIRST + 99 * HOUR, 1234, 987_654_321, 12_345_678, 42)
    reports.show_coverage([loaded], None)
    text = printed.readouterr().out
    for value in ("loaded", "100", "2026-06-01T00", "2026-06-05T03", "1,234", "987.7", "12,345,678", "42"):
        assert value in text
    assert "…" not in text


@pytest.mark.parametrize("width", [30, 60, 80])
def test_the_privacy_check_cuts_nothing_at_any_width(
    width: int, monkeypatch: pytest.MonkeyPatch, printed: pytest.CaptureFixture[str]
) -> None:
    set_width(monkeypatch, width)
    path, setting = "user_properties/contact/email_of_the_invoice", "SOURCES__AMPLITUDE__PRIVACY__DROP"
    rule = Rule.parse("drop", path, setting)
    reports.show_privacy(FIRST, Effects([rule], {}, rows=12_345, met=[1_234], values=[1_233]))
    text = printed.readouterr().out
    assert "…" not in text
    assert all(value in text for value in ("12,345", "1,234", "1,233"))
    assert path in text
    assert setting in text


def test_a_hundred_gaps_are_five_and_one_command_for_all(
    monkeypatch: pytest.MonkeyPatch, printed: pytest.CaptureFixture[str]
) -> None:
    set_width(monkeypatch, 80)
    reports.show_gaps([missing(FIRST + timedelta(hours=2 * gap)) for gap in range(100)], None)
    lines = printed.readouterr().out.splitlines()
    assert len(lines) == 2 * 5 + 3
    assert lines[-3] == "95 more gaps, to 2026-06-09T06, are not shown."
    assert lines[-2].endswith("--gaps")
    assert lines[-1].endswith("declare-empty --start 2026-06-01T00 --end 2026-06-09T06")

"""The command `dashboard`: what it refuses, the copy for other tools, and the notebook that reads it."""

import socket
from pathlib import Path

import duckdb
import pytest

from amplitude_source.cli import dashboard
from support import warehouse
from support.project import REPOSITORY, Project, succeeded


def test_a_port_that_is_taken_is_named(project: Project) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = project.load_here("dashboard", "--port", str(port))
    assert result.returncode == 1
    assert f"Port {port} on 127.0.0.1 is taken" in result.stderr


def test_without_its_packages_the_command_says_how_to_install_them(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard, "find_spec", lambda _: None)
    result = project.load_here("dashboard")
    assert result.returncode == 1
    assert "make .venv/installed" in result.stderr


def test_a_lake_of_files_has_nothing_to_show(project: Project) -> None:
    project.env["AMPLITUDE_DESTINATION"] = "filesystem"
    result = project.load_here("dashboard")
    assert result.returncode == 2
    assert "no gold to show" in result.stderr


def test_a_copy_needs_a_warehouse_on_duckdb(project: Project) -> None:
    result = project.load_here("dashboard", "--copy")
    assert result.returncode == 1
    assert "load something first" in result.stderr
    project.env["AMPLITUDE_DESTINATION"] = "snowflake"
    assert "there is no copy" in project.load_here("dashboard", "--copy").stderr


@pytest.mark.slow
def test_the_notebook_of_the_docs_reads_the_copy_for_other_tools(loaded: Project, tmp_path: Path) -> None:
    warehouse.plan(loaded, models=("gold.daily_metrics",))
    result = succeeded(loaded.load("dashboard", "--copy"))
    assert "Gold is copied to data/dashboard/amplitude.duckdb" in result.stdout
    copy = loaded.root / "data/dashboard/amplitude.duckdb"
    with duckdb.connect(loaded.database, read_only=True):  # who reads beside it
        succeeded(loaded.load("dashboard", "--copy"))
    page = tmp_path / "page.html"
    notebook = REPOSITORY / "docs/examples/notebook.py"
    export = ("-m", "marimo", "export", "html", str(notebook), "-o", str(page), "--no-include-code")
    succeeded(loaded.run(*export, AMPLITUDE_COPY=str(copy)))
    assert "Active users by platform" in page.read_text(encoding="utf-8")

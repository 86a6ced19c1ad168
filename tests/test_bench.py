"""The measurements run, on few rows."""

import subprocess
import sys

import pytest

from support.project import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.nightly]


@pytest.mark.parametrize(
    ("script", "only"), [("load.py", "pipeline"), ("transform.py", "rebuild")], ids=["load", "transform"]
)
def test_a_measurement_runs_and_prints_rows_and_seconds(script: str, only: str) -> None:
    command = [sys.executable, str(REPOSITORY / "bench" / script), "--rows", "1000", "--only", only]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=300, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "rows/s" in result.stdout

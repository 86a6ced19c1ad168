"""What SQLMesh and dlt offer works from the root, and a user's own models need no ceremony."""

import re
import sys
from pathlib import Path

import pytest
from sqlmesh.utils.errors import LinterError

from data_dictionary import dictionary
from support import warehouse
from support.project import REPOSITORY, SQLMESH, Project

SIX_LINES = """MODEL (name marts.daily_events, kind FULL);

select event_time::date as day, count(*) as events
from bronze.events
where user_id is not null
group by 1
"""


@pytest.mark.slow
def test_a_six_line_model_of_the_user_plans_and_is_left_alone(loaded: Project) -> None:
    model = loaded.root / "sqlmesh/models/custom/team/daily_events.sql"
    model.parent.mkdir()
    model.write_text(SIX_LINES)
    with warehouse.opened(loaded) as context:
        context.plan("dev", select_models=["marts.daily_events"], auto_apply=True, no_prompts=True, skip_tests=True)
        assert context.format(check=True)
        assert "daily_events" not in dictionary(context)
    ((events,),) = loaded.query("SELECT SUM(events) FROM marts__dev.daily_events")
    assert loaded.query("SELECT COUNT(*) FROM bronze.events WHERE user_id IS NOT NULL") == [(events,)]


@pytest.mark.slow
def test_the_same_model_is_refused_among_ours(loaded: Project) -> None:
    (loaded.root / "sqlmesh/models/gold/daily_events.sql").write_text(SIX_LINES)
    with warehouse.opened(loaded) as context:
        model = context.get_model("marts.daily_events", raise_if_missing=True)
        with pytest.raises(LinterError):
            context.lint_models([model.name])
        (linter,) = context._linters.values()
        found = {violation.rule.name for violation in linter.lint_model(model, context)[1]}
        assert not context.format(check=True)
    assert found == {
        *("missingaudits", "missingcolumncomments", "missingdescription"),
        *("missinggrain", "missingowner", "missingunittest"),
    }


def test_the_readme_of_the_users_folder_shows_a_model_of_six_lines() -> None:
    readme = (REPOSITORY / "sqlmesh/models/custom/README.md").read_text()
    (model,) = re.findall("```sql\n(.*?)```", readme, re.DOTALL)
    assert len(model.splitlines()) == 6
    assert model.splitlines()[0] == "MODEL (name marts.daily_users, kind FULL);"


@pytest.mark.slow
def test_create_external_models_is_refused_in_one_sentence(project: Project) -> None:
    before = {path: path.read_bytes() for path in project.root.rglob("*.yaml")}
    result = project.run(*SQLMESH, "create_external_models")
    assert result.returncode == 1
    assert re.fullmatch(r"Error: `sqlmesh create_external_models` would replace .*\n", result.stderr + result.stdout)
    assert {path: path.read_bytes() for path in project.root.rglob("*.yaml")} == before


def documented_variables() -> dict[str, str]:
    text = (REPOSITORY / "docs/reference/standard-commands.md").read_text()
    return dict(re.findall(r"^export (\w+)=(\S+)$", text, re.MULTILINE))


@pytest.mark.slow
def test_dlts_own_commands_find_the_pipeline_with_the_documented_variables(project: Project) -> None:
    assert project.load_here().returncode == 0
    before = set(project.root.iterdir())
    dlt = Path(sys.executable).with_name("dlt")
    info = project.run(str(dlt), "pipeline", "amplitude_duckdb", "info", **documented_variables())
    assert info.returncode == 0, info.stdout + info.stderr
    assert "Has " in info.stdout
    attach = "import dlt; print(dlt.attach('amplitude_duckdb').dataset()('SELECT COUNT(*) FROM events').fetchall())"
    rows = project.run("-c", attach, **documented_variables())
    assert rows.stdout.strip() == str(project.query("SELECT COUNT(*) FROM bronze.events")), rows.stderr
    assert set(project.root.iterdir()) == before

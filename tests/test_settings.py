"""One reader of settings for both tools: the same values, whatever file or spelling they come in."""

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st
from sqlmesh.core.config import Config, DuckDBConnectionConfig

from amplitude_source.errors import AmplitudeError
from amplitude_source.settings import AmplitudeSettings, destination, duckdb_path, load_projects, settle_settings
from amplitude_source.transform import sqlmesh_config
from simulator import demo
from support.project import Project, copy_checkout, succeeded

START = "SOURCES__AMPLITUDE__START_HOUR"
PREFIX = "SOURCES__AMPLITUDE__"
WEB, IOS = f"{PREFIX}PROJECTS__WEB__", f"{PREFIX}PROJECTS__IOS__"
Check = Callable[..., Config]


@pytest.fixture
def checkout(tmp_path: Path) -> Project:
    """A checkout without any setting."""
    copy_checkout(tmp_path / "checkout")
    return Project(tmp_path / "checkout", {"HOME": str(tmp_path)})


def write(checkout: Project, name: str, text: str) -> None:
    """Append to a file of settings."""
    with (checkout.root / name).open("a", encoding="utf-8") as file:
        file.write(text)


def projects_of(checkout: Project) -> list[AmplitudeSettings]:
    settle_settings(checkout.root)
    return load_projects()


def both_tools(checkout: Project, **env: str) -> tuple[list[AmplitudeSettings], Config]:
    """What the pipeline and SQLMesh make of the same files and environment."""
    with checkout.entered(env):
        projects = projects_of(checkout)
    with checkout.entered(env):
        return projects, sqlmesh_config.project_config(checkout.root, "plan")


def first_hours(checkout: Project, **env: str) -> tuple[datetime, datetime]:
    projects, config = both_tools(checkout, **env)
    assert config.model_defaults.start == config.variables["first_hour"]
    earliest = min(project.first_hour for project in projects)
    return earliest, datetime.fromisoformat(str(config.variables["first_hour"]))


def refused(checkout: Project, **env: str) -> str:
    """The one sentence with which both tools refuse."""
    with checkout.entered(env), pytest.raises(AmplitudeError) as of_load:
        projects_of(checkout)
    with checkout.entered(env), pytest.raises(AmplitudeError) as of_sqlmesh:
        sqlmesh_config.project_config(checkout.root, "plan")
    assert str(of_load.value) == str(of_sqlmesh.value)
    return str(of_load.value)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T05",
        "2026-11-22T05:00",
        "2026-11-22T05:00:00",
        "2026-11-22 05",
        "2026-11-22T05Z",
        "2026-11-22T07+02:00",
        "20261122T05",
        " 2026-11-22T05 ",
    ],
)
def test_both_tools_read_every_spelling_of_an_hour_alike(checkout: Project, text: str) -> None:
    assert first_hours(checkout, **{START: text}) == (datetime(2026, 11, 22, 5),) * 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".env", f"{START}=2025-02-03T04\n"),
        (".env", f"export {START}='2025-02-03 04'\r\n"),
        (".env", f"\ufeff{START}=2025-02-03T04\n"),
        (".env", "START_HOUR=2025-02-03T04\n"),
        (".dlt/secrets.toml", '[sources.amplitude]\nstart_hour = "2025-02-03T04"\n'),
        (".dlt/secrets.toml", "[sources.amplitude]\nstart_hour = 2025-02-03T04:00:00\n"),
        (".dlt/secrets.toml", "[sources.amplitude]\nstart_hour = 2025-02-03T04:00:00Z\n"),
        (".dlt/config.toml", '[sources.amplitude]\nstart_hour = "20250203T04"\n'),
        (".dlt/config.toml", '[sources.amplitude.projects.web]\nstart_hour = "2025-02-03T04"\n'),
    ],
)
def test_both_tools_read_the_first_hour_from_every_place(checkout: Project, name: str, text: str) -> None:
    write(checkout, name, text)
    assert first_hours(checkout) == (datetime(2025, 2, 3, 4),) * 2


def test_a_date_in_toml_is_its_first_hour(checkout: Project) -> None:
    write(checkout, ".dlt/secrets.toml", "[sources.amplitude]\nstart_hour = 2025-02-03\n")
    assert first_hours(checkout) == (datetime(2025, 2, 3),) * 2


def test_of_several_projects_the_earliest_hour_is_the_first(checkout: Project) -> None:
    named = {f"{WEB}START_HOUR": "2026-11-25T00", f"{IOS}START_HOUR": "2026-11-20"}
    assert first_hours(checkout, **named) == (datetime(2026, 11, 20),) * 2
    assert first_hours(checkout, **named, **{START: "2026-11-28"}) == (datetime(2026, 11, 20),) * 2
    assert first_hours(checkout, **{START: "2026-11-18", f"{WEB}API_KEY": "k"}) == (datetime(2026, 11, 18),) * 2


def test_the_environment_wins_over_dotenv_and_empty_values_are_none(checkout: Project) -> None:
    write(checkout, ".env", f"{START}=2025-01-01\n{PREFIX}API_KEY=\n{PREFIX}REGION=eu\n{PREFIX}SETTLE_HOURS=3\n")
    env = {START: "2025-03-01", f"{PREFIX}API_KEY": "exported", f"{PREFIX}SETTLE_HOURS": ""}
    (settings,), config = both_tools(checkout, **env)
    assert (settings.first_hour, settings.region, settings.settle_hours) == (datetime(2025, 3, 1), "eu", 3)
    assert settings.api_key == "exported"
    assert config.variables["first_hour"] == "2025-03-01 00:00:00"


@pytest.mark.slow
def test_sqlmesh_as_a_command_lets_the_environment_win_too(checkout: Project) -> None:
    write(checkout, ".env", f"{START}=2025-01-01\n{PREFIX}NOW=2025-02-01\n")
    (checkout.root / "data").mkdir()
    code = (
        "import sys; sys.argv = ['sqlmesh', 'migrate']; from sqlmesh.cli.main import cli; cli(standalone_mode=False); "
    )
    code += "import os; print(os.environ['SOURCES__AMPLITUDE__START_HOUR'], os.environ['SOURCES__AMPLITUDE__NOW'])"
    result = checkout.run("-c", code, **{START: "2025-03-01", f"{PREFIX}NOW": ""})
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1] == "2025-03-01 2025-02-01"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        (f"{PREFIX}SETTLE_HOUR", f"{PREFIX}SETTLE_HOURS"),
        (f"{PREFIX}STARTHOUR", f"{PREFIX}START_HOUR"),
        (f"{PREFIX}LAKE__BUCKETURL", f"{PREFIX}LAKE__BUCKET_URL"),
        (f"{PREFIX}PRIVACY__HASHKEY", f"{PREFIX}PRIVACY__HASH_KEY"),
        (f"{WEB}API_KYE", f"{WEB}API_KEY"),
        ("SETTLE_HOUR", "SETTLE_HOURS"),
        ("SOURCES__AMPLTUDE__API_KEY", f"{PREFIX}API_KEY"),
        ("SOURCES_AMPLITUDE__API_KEY", f"{PREFIX}API_KEY"),
        ("DESTINATION__DUCKDB__CREDENTIAL", "DESTINATION__DUCKDB__CREDENTIALS"),
        ("DESTINATION__DUCKDB_CREDENTIALS", "DESTINATION__DUCKDB__CREDENTIALS"),
        ("DESTINATION__SNOWFLAKE__CREDENTIALS__HOSTS", "DESTINATION__SNOWFLAKE__CREDENTIALS__HOST"),
        ("SQLMESH_STATE_HOTS", "SQLMESH_STATE_HOST"),
        ("AMPLITUDE_DESTINATON", "AMPLITUDE_DESTINATION"),
    ],
)
def test_a_misspelt_name_is_refused_with_its_place_and_the_nearest(checkout: Project, name: str, near: str) -> None:
    sentence = refused(checkout, **{START: "2026-06-01", name: "1"})
    assert sentence.startswith(f"{name} (environment) is not a setting. Did you mean {near}?"), sentence
    write(checkout, ".env", f"# settings\n{START}=2026-06-01\n{name}=1\n")
    assert refused(checkout).startswith(f"{name} (.env, line 3) is not a setting. Did you mean {near}?")


def test_a_misspelt_key_of_a_toml_file_is_refused(checkout: Project) -> None:
    write(checkout, ".dlt/secrets.toml", '[sources.amplitude.projects.web]\napi_kye = "k"\nstart_hour = 2026-06-01\n')
    assert refused(checkout).startswith("[sources.amplitude.projects.web] api_kye (.dlt/secrets.toml) is not a setting")


def test_a_project_without_a_setting_is_refused(checkout: Project) -> None:
    sentence = refused(checkout, **{START: "2026-06-01", f"{PREFIX}PROJECTS__WEB_API_KEY": "k"})
    assert "names no setting of a project" in sentence


@pytest.mark.parametrize("name", ["AWS_PROFILE", "REGIONS", "SOURCES__DATA_WRITER__FILE_MAX_ITEMS", "SQLMESH_DEBUG"])
def test_names_of_others_are_left_alone(checkout: Project, name: str) -> None:
    write(checkout, ".env", f"{START}=2026-06-01\n{name}=1\n")
    both_tools(checkout)


def test_every_name_of_the_example_is_a_setting(checkout: Project) -> None:
    from support.project import REPOSITORY

    lines = (REPOSITORY / ".env.example").read_text().splitlines()
    names = [line.lstrip("# ").partition("=")[0] for line in lines if "=" in line.lstrip("# ").partition(" ")[0]]
    assert len(names) > 30
    with checkout.entered(dict.fromkeys(names, "")):
        from amplitude_source.environment import Name
        from amplitude_source.settings import all_names

        known = all_names()
        assert [name for name in names if known.complaint(Name(name, "", name))] == []


@pytest.mark.parametrize(
    ("env", "part"),
    [
        ({}, f"set {START}"),
        ({START: "yesterday"}, f"{START}: 'yesterday'"),
        ({f"{WEB}START_HOUR": "2026-06-01T00:30"}, f"{WEB}START_HOUR: '2026-06-01T00:30'"),
        ({f"{WEB}API_KEY": "k", f"{IOS}START_HOUR": "2026-06-01"}, f"set {WEB}START_HOUR"),
        (
            {START: "2026-06-01", "AMPLITUDE_DESTINATION": "snowflake", "SQLMESH_GATEWAY": "local"},
            "different warehouses",
        ),
        ({START: "2026-06-01", "AMPLITUDE_DESTINATION": "duckbd"}, "write duckdb, not 'duckbd'"),
    ],
)
def test_both_tools_refuse_the_same_values_in_the_same_words(checkout: Project, env: dict[str, str], part: str) -> None:
    assert part in refused(checkout, **env)


@pytest.mark.parametrize(
    ("env", "part"),
    [
        ({f"{PREFIX}REGION": "europe"}, "write us or eu"),
        ({f"{PREFIX}WORK_DIR": "100% work"}, "choose another"),
        ({f"{PREFIX}SETTLE_HOURS": "-1"}, f"{PREFIX}SETTLE_HOURS: write 0 or more"),
        ({f"{PREFIX}FRESHNESS_HOURS": "0"}, f"{PREFIX}FRESHNESS_HOURS: write 1 or more"),
        ({f"{PREFIX}SETTLE_HOURS": "six"}, f"{PREFIX}SETTLE_HOURS: 'six'"),
        ({f"{PREFIX}PRIVACY__HASH": "{"}, f"{PREFIX}PRIVACY__HASH"),
        ({f"{PREFIX}LAKE__BUCKET_URL": "gs://bucket/prefix"}, f"{PREFIX}LAKE__BUCKET_URL: write a folder or s3://"),
        ({START: "2027-01-01", f"{PREFIX}NOW": "2026-06-01"}, "lies in the future"),
    ],
)
def test_the_pipeline_refuses_values_that_mean_nothing(checkout: Project, env: dict[str, str], part: str) -> None:
    present = {START: "2026-05-01", f"{PREFIX}NOW": "2026-11-01"}
    with checkout.entered({**present, **env}), pytest.raises(AmplitudeError, match=part):
        projects_of(checkout)


@pytest.mark.parametrize(
    ("env", "chosen"),
    [
        ({}, "duckdb"),
        ({"SQLMESH_GATEWAY": "snowflake"}, "snowflake"),
        ({"AMPLITUDE_DESTINATION": "snowflake"}, "snowflake"),
        ({"AMPLITUDE_DESTINATION": "duckdb", "SQLMESH_GATEWAY": "local"}, "duckdb"),
    ],
)
def test_one_switch_chooses_the_warehouse_of_both_tools(checkout: Project, env: dict[str, str], chosen: str) -> None:
    snowflake = {
        "DESTINATION__SNOWFLAKE__CREDENTIALS": "snowflake://loader:pw@acc-1/DB?warehouse=W&role=R",
        "SQLMESH_STATE_HOST": "db",
    }
    with checkout.entered({START: "2026-06-01", **env, **snowflake}):
        assert destination() == chosen
        config = sqlmesh_config.project_config(checkout.root, "plan")
    assert list(config.gateways) == [config.default_gateway] == [{"duckdb": "local"}.get(chosen, chosen)]
    assert config.gateways[config.default_gateway].variables["engine"] == chosen
    connection = config.get_connection(config.default_gateway)
    if chosen == "snowflake":
        parts = {
            "account": "acc-1",
            "user": "loader",
            "password": "pw",
            "database": "DB",
            "warehouse": "W",
            "role": "R",
        }
        assert {name: getattr(connection, name) for name in parts} == parts


def test_masking_is_on_where_it_is_set_and_snowflake_is_chosen(checkout: Project) -> None:
    env = {
        START: "2026-06-01",
        "SQLMESH_SNOWFLAKE_MASKING": "1",
        "DESTINATION__SNOWFLAKE__CREDENTIALS": "snowflake://loader:pw@acc-1/DB?warehouse=W&role=R",
        "SQLMESH_STATE_HOST": "db",
    }
    for settings, statements in (
        (env | {"SQLMESH_GATEWAY": "snowflake"}, ["@mask_personal_data()"]),
        (env | {"SQLMESH_GATEWAY": "snowflake", "SQLMESH_SNOWFLAKE_MASKING": ""}, None),
        (env, None),
    ):
        with checkout.entered(settings):
            config = sqlmesh_config.project_config(checkout.root, "plan")
        assert config.model_defaults.on_virtual_update == statements


def test_files_without_a_warehouse_have_no_silver(checkout: Project) -> None:
    env = {START: "2026-06-01", "AMPLITUDE_DESTINATION": "filesystem"}
    with checkout.entered(env), pytest.raises(AmplitudeError, match="no warehouse for silver"):
        sqlmesh_config.project_config(checkout.root, "plan")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("data/amplitude.duckdb", "data/amplitude.duckdb"),
        ("~/wh/amplitude.duckdb", "../wh/amplitude.duckdb"),
        ("/wh/my wh #1: it's 100%/amplitude.duckdb", "/wh/my wh #1: it's 100%/amplitude.duckdb"),
        ("duckdb:///data/amplitude.duckdb", "data/amplitude.duckdb"),
        ("duckdb:////wh/a%20b/amplitude.duckdb", "/wh/a b/amplitude.duckdb"),
    ],
)
def test_both_tools_open_the_same_duckdb_file(checkout: Project, text: str, path: str) -> None:
    env = {START: "2026-06-01", "DESTINATION__DUCKDB__CREDENTIALS": text}
    expected = checkout.root / path
    with checkout.entered(env):
        assert duckdb_path(checkout.root).resolve() == expected.resolve()
        connection = sqlmesh_config.project_config(checkout.root, "plan").get_connection("local")
        assert isinstance(connection, DuckDBConnectionConfig)
        (file,) = (connection.catalogs or {}).values()
        assert Path(str(file).replace("''", "'")).resolve() == expected.resolve()


@pytest.mark.parametrize("text", [":memory:", "md:amplitude", "postgres://x/amplitude"])
def test_what_is_no_file_is_refused_as_duckdb_s(checkout: Project, text: str) -> None:
    env = {START: "2026-06-01", "DESTINATION__DUCKDB__CREDENTIALS": text}
    with checkout.entered(env), pytest.raises(AmplitudeError, match=r"DESTINATION__DUCKDB__CREDENTIALS: .* not a file"):
        duckdb_path(checkout.root)


def edited(checkout: Project, line: str, by: str) -> str:
    """The sentence with which SQLMesh's configuration is refused after an edit of a variable."""
    path = checkout.root / "sqlmesh/config.yaml"
    text = path.read_text()
    assert f"  {line}\n" in text
    path.write_text(text.replace(f"  {line}\n", f"  {by}\n"))
    with checkout.entered({START: "2026-06-01"}), pytest.raises(AmplitudeError) as error:
        sqlmesh_config.project_config(checkout.root, "plan")
    assert path.read_text().splitlines()[int(str(error.value).split("line ")[1].split(":")[0]) - 1] == f"  {by}"
    return str(error.value)


@pytest.mark.parametrize(
    ("line", "by", "part"),
    [
        ("week_start: monday", "week_start: saturday", "'saturday': write monday or sunday"),
        ("reporting_timezone: UTC", "reporting_timezone: Europe/Belin", "did you mean Europe/Berlin?"),
        ("reporting_timezone: UTC", "reporting_timezone: 2", "2"),
        ("attribution_window_days: 30", "attribution_window_days: -1", "-1: write a number of days"),
        ("unproven_days: warn", "unproven_days: warning", "'warning': write warn or block"),
        ("week_start: monday", "week_start: [Amplitude] Page", "need quotes"),
        ("week_start: monday", "retention_start_event: _new", "is no variable any more: write a retention chart"),
        ("attribution_window_days: 30", "atribution_window_days: 30", "did you mean attribution_window_days?"),
    ],
)
def test_a_variable_that_means_nothing_is_refused_by_its_line(checkout: Project, line: str, by: str, part: str) -> None:
    assert part in edited(checkout, line, by)


@pytest.mark.slow
@limits(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    hours=st.dictionaries(
        st.sampled_from(["", "WEB", "IOS", "TV"]),
        st.tuples(
            st.datetimes(datetime(2015, 1, 1), datetime(2035, 12, 31)),
            st.sampled_from(["%Y-%m-%dT%H", "%Y-%m-%d %H", "%Y%m%dT%H", "%Y-%m-%dT%H:00Z", "%Y-%m-%d"]),
            st.sampled_from([".env", ".dlt/secrets.toml", "environment"]),
        ),
        min_size=1,
    )
)
def test_both_tools_agree_on_the_first_hour_of_any_projects(
    checkout: Project, hours: dict[str, tuple[datetime, str, str]]
) -> None:
    env, dotenv, toml, expected = {}, "", "", {}
    for project, (hour, form, place) in hours.items():
        name = f"{PREFIX}PROJECTS__{project}__START_HOUR" if project else START
        expected[project] = datetime.fromisoformat(hour.strftime("%Y-%m-%d" if form == "%Y-%m-%d" else "%Y-%m-%dT%H"))
        if place == "environment":
            env[name] = hour.strftime(form)
        elif place == ".env":
            dotenv += f"{name}={hour.strftime(form)}\n"
        else:
            table = f".projects.{project.lower()}" if project else ""
            toml += f'[sources.amplitude{table}]\nstart_hour = "{hour.strftime(form)}"\n'
    (checkout.root / ".env").write_text(dotenv)
    (checkout.root / ".dlt/secrets.toml").write_text(toml)
    named = [hour for project, hour in expected.items() if project]
    first = min(named or expected.values())
    with checkout.entered({**env, f"{PREFIX}NOW": "2040-01-01"}):
        settle_settings(checkout.root)
        assert min(settings.first_hour for settings in load_projects()) == first
        assert sqlmesh_config.project_config(checkout.root, None).variables["first_hour"] == f"{first}"


# --- secrets


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("http://amplitude.com", "'http://amplitude.com' is not encrypted"),
        ("HTTP://api.eu.amplitude.com:80/", "is not encrypted"),
        ("http://192.0.2.1", "is not encrypted"),
        ("http://localhost.amplitude.com", "is not encrypted"),
        ("https://user:s3cr3t@amplitude.com", "has a user name or a password in it"),
        ("htps://user:s3cr3t@amplitude.com", "has a user name or a password in it"),
        ("user:s3cr3t@amplitude.com", "has a user name or a password in it"),
        ("https://user:s3cr3t%40amplitude.com", "its value is no address"),
        ("https://amplitude.com?key=s3cr3t", "its value is no address"),
        ("amplitude.com", "'amplitude.com' is no address"),
        ("htps://amplitude.com", "'htps://amplitude.com' is no address"),
        ("https://", "is no address"),
    ],
)
@pytest.mark.parametrize("project", ["", "PROJECTS__WEB__"])
def test_an_address_that_would_give_the_keys_away_is_refused(
    checkout: Project, address: str, part: str, project: str
) -> None:
    env = {START: "2026-06-01", f"{PREFIX}{project}BASE_URL": address}
    with checkout.entered(env), pytest.raises(AmplitudeError) as error:
        projects_of(checkout)
    assert f"{PREFIX}{project}BASE_URL: " in str(error.value)
    assert part in str(error.value)
    assert "s3cr3t" not in str(error.value)


@pytest.mark.parametrize("address", ["https://analytics.eu.amplitude.com", "http://127.0.0.1:8765", "http://[::1]:1/x"])
def test_an_address_that_is_encrypted_or_this_machine_is_taken(checkout: Project, address: str) -> None:
    with checkout.entered({START: "2026-06-01", f"{PREFIX}BASE_URL": address}):
        assert projects_of(checkout)[0].address == address


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("'postgres://user:p/w@x/amplitude' is not a file", "'postgres://***@x/amplitude' is not a file"),
        ("https://token@host and ftp://u:p@h:1/x", "https://***@host and ftp://***@h:1/x"),
        ("'user:pw@host' is no path", "'***@host' is no path"),
        ("s3://bucket/a@b, me@example.com, 12:30 UTC", "s3://bucket/a@b, me@example.com, 12:30 UTC"),
    ],
)
def test_an_error_never_shows_the_login_of_an_address(text: str, shown: str) -> None:
    assert str(AmplitudeError(text)) == shown


def test_no_settings_are_looked_for_in_streamlit_which_takes_long_to_import(checkout: Project) -> None:
    """The dashboard brings it along, and dlt would ask it for secrets wherever there is no file of them."""
    script = (
        "import sys; from pathlib import Path; from amplitude_source.settings import settle_settings;"
        "settle_settings(Path.cwd()); print('streamlit' in sys.modules)"
    )
    assert succeeded(checkout.run("-c", script, PYTHONPATH="pipelines")).stdout == "False\n"


@pytest.mark.parametrize("name", [".env", ".dlt/secrets.toml"])
def test_a_file_of_keys_that_others_can_read_is_one_warning_of_both_tools(
    checkout: Project, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = checkout.root / name
    path.write_text("")
    for mode, is_told in ((0o644, True), (0o640, True), (0o600, False), (0o700, False)):
        path.chmod(mode)
        told = checkout.load_here("status", "--help").stderr.splitlines()
        assert [f"chmod 600 {path}" in line for line in told] == [True] * is_told
        with checkout.entered({START: "2026-06-01"}):
            sqlmesh_config.project_config(checkout.root, "plan")
        assert [f"chmod 600 {path}" in line for line in capsys.readouterr().err.splitlines()] == [True] * is_told


def test_sqlmesh_writes_for_the_user_alone_and_closes_its_log_to_others(checkout: Project) -> None:
    log = checkout.root / "sqlmesh.log"
    handler = logging.FileHandler(log)
    log.chmod(0o644)
    logging.getLogger().addHandler(handler)
    try:
        with checkout.entered({START: "2026-06-01"}):
            sqlmesh_config.project_config(checkout.root, "plan")
            (checkout.root / "new").touch()
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    assert [path.stat().st_mode & 0o777 for path in (log, checkout.root / "new")] == [0o600, 0o600]


def test_the_env_that_the_demo_writes_is_the_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "ROOT", tmp_path)
    demo.settle_env()
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / ".env").read_bytes() == demo.SETTINGS.read_bytes()

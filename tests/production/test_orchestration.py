"""The schedules for Kestra and GitHub: what holds of their files, and their own shell commands, run in a clean clone.

Kestra and GitHub themselves are stood in for: expressions are replaced, steps run one after the other by the shell that
they name. Of the settings only those of the warehouse, the lake and Amplitude's address are others.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from ruamel.yaml import YAML

from amplitude_source.cli.commands import cli
from amplitude_source.settings import HOUR
from simulator.faults import Fault, FaultPlan, LatePartition
from simulator.product import Product
from simulator.server import DEMO_CREDENTIALS, Simulator
from support import warehouse
from support.members import hour_text
from support.project import REPOSITORY, SQLMESH, Project, Result, make_project, succeeded
from support.receiver import Receiver, receiving
from support.shared import built_once

Document: TypeAlias = dict[str, Any]

PRODUCT = Product(seed=11, days=3, events_per_day=100)
FIRST, SECOND, THIRD = (PRODUCT.start + timedelta(days=day) for day in range(3))
LATE = FIRST + 22 * HOUR
COMMAND_TIMEOUT_SECONDS = 600

FLOWS = sorted((REPOSITORY / "orchestration/kestra").glob("*.yaml"))
WORKFLOWS = sorted((REPOSITORY / ".github/workflows").glob("*.yml"))
SCRIPTS = "io.kestra.plugin.scripts."

# What stands for something else than itself in a setting.
KESTRA_EXPRESSION = re.compile(r"\{\{ *(.+?) *\}\}")
GITHUB_EXPRESSION = re.compile(r"\$\{\{ *(.+?) *\}\}")
FROM_A_STORE = re.compile(r"secret\('(\w+)'\)|kv\('(\w+)'\)|secrets\.(\w+)|vars\.(\w+)")
SECRET = re.compile(r"secret\('\w+'\)|secrets\.\w+")
SECRET_SETTINGS = re.compile(r"_KEY(_ID)?$|SECRET|TOKEN|PASSWORD|REPOSITORY|WEBHOOK|HEARTBEAT")
CONSTANTS = {"AMPLITUDE_DESTINATION": "snowflake", "SQLMESH_GATEWAY": "snowflake", "PYTHON": "python"}


def read(path: Path) -> Document:
    document = YAML(typ="safe").load(path)
    assert isinstance(document, dict)
    return document


def flow(name: str) -> Document:
    return read(REPOSITORY / f"orchestration/kestra/{name}.yaml")


def workflow(name: str) -> Document:
    return read(REPOSITORY / f".github/workflows/{name}.yml")


def tasks(node: Document) -> Iterator[Document]:
    """Every task of a flow, those within others included, and those for errors."""
    for task in (*node.get("tasks", ()), *node.get("errors", ())):
        yield task
        yield from tasks(task)


def environments(document: Document) -> list[dict[str, str]]:
    """Every `env` of a flow or workflow."""
    nodes = [document, *tasks(document)]
    for job in document.get("jobs", {}).values():
        nodes += [job, *job["steps"]]
    return [node["env"] for node in nodes if "env" in node]


# --- the files


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.stem)
def test_a_flow_runs_once_at_a_time_ends_in_time_and_tells_of_a_failure(path: Path) -> None:
    document = read(path)
    assert document["id"] == path.stem
    assert document["concurrency"] == {"behavior": "QUEUE", "limit": 1}
    assert [task["id"] for task in document["errors"]] == ["alert"]
    for task in tasks(document):
        is_run_by_a_worker = not task["type"].startswith("io.kestra.plugin.core.flow.")
        assert not is_run_by_a_worker or re.fullmatch(r"PT\d+[MH]", task["timeout"]), f"{task['id']} has no timeout"
        if "commands" in task:
            assert task["retry"]["maxAttempts"] == 3, f"{task['id']} is not tried again"
            assert task["containerImage"].startswith("python:3."), task["id"]


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.stem)
def test_a_flow_has_nothing_that_kestra_2_took_away(path: Path) -> None:
    gone = ("ForEach", "pluginDefaults", "taskDefaults", "conditions:", "| json", "taskrun.value }}", "forced:")
    text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
    assert [word for word in gone if word in text] == []


def test_the_hourly_flow_is_triggered_every_hour_and_no_other_is() -> None:
    (trigger,) = flow("amplitude")["triggers"]
    assert re.fullmatch(r"\d+ \* \* \* \*", trigger["cron"])
    assert trigger["recoverMissedSchedules"] == "LAST"
    assert "triggers" not in flow("amplitude_backfill")


def test_the_backfill_takes_days_in_parallel_within_what_amplitude_answers_at_once() -> None:
    load = {task["id"]: task for task in tasks(flow("amplitude_backfill"))}["load"]
    assert load["type"] == "io.kestra.plugin.core.flow.Loop"
    assert 1 < load["concurrencyLimit"] <= 4, "five requests at once, one of them for the hourly flow"


def test_the_backfill_ends_with_the_hourly_flow_which_it_waits_for() -> None:
    last = flow("amplitude_backfill")["tasks"][-1]
    assert (last["namespace"], last["flowId"]) == (flow("amplitude")["namespace"], flow("amplitude")["id"])
    assert last["wait"] is last["transmitFailed"] is True


def test_both_flows_load_with_the_same_settings() -> None:
    (hourly,) = environments(flow("amplitude"))
    daily = environments(flow("amplitude_backfill"))[-1]
    of_load = {name: value for name, value in hourly.items() if not name.startswith("SQLMESH_")}
    assert daily == of_load | {"DAY": "{{ item.value }}"}


@pytest.mark.parametrize("path", [*FLOWS, *WORKFLOWS], ids=lambda path: path.stem)
def test_secrets_come_from_the_store_and_no_expression_stands_in_a_command(path: Path) -> None:
    for settings in environments(read(path)):
        for name, value in settings.items():
            if SECRET_SETTINGS.search(name):
                assert SECRET.search(value), f"{name} is no reference to a secret"
            assert "{{" in value or CONSTANTS.get(name) == value, f"{name} has a value of its own"
    for command in commands(read(path)):
        assert "{{" not in command, f"{command!r}: what a command needs comes by its environment"


def commands(document: Document) -> list[str]:
    """Every shell command or script."""
    steps = [step for job in document.get("jobs", {}).values() for step in job["steps"]]
    texts = [text for task in tasks(document) for text in (*task.get("beforeCommands", ()), *task.get("commands", ()))]
    scripts = [node["script"] for node in tasks(document) if "script" in node]
    return texts + scripts + [step["run"] for step in steps if "run" in step]


@pytest.mark.parametrize("path", [*FLOWS, *WORKFLOWS], ids=lambda path: path.stem)
def test_a_schedule_calls_commands_with_options_that_they_have(path: Path) -> None:
    for command in commands(read(path)):
        for name, rest in re.findall(r"pipelines/amplitude\.py (\S+)(.*)", command):
            assert name in cli.commands, command
            known = {option for each in cli.commands[name].params for option in each.opts}
            assert {*re.findall(r"--[\w-]+", rest)} <= known, command


@pytest.mark.parametrize("path", [*FLOWS, *WORKFLOWS], ids=lambda path: path.stem)
def test_a_setting_is_one_that_the_product_knows_and_a_stored_value_is_explained(path: Path) -> None:
    known = (REPOSITORY / ".env.example").read_text()
    names = {name for settings in environments(read(path)) for name in settings}
    product_names = {name for name in names if name.startswith(("SOURCES__", "ALERTS__", "DESTINATION__", "SQLMESH_"))}
    assert [name for name in product_names if f"{name}=" not in known] == []
    explained = (REPOSITORY / "docs/guides/schedules.md").read_text()
    matches = map(FROM_A_STORE.fullmatch, KESTRA_EXPRESSION.findall(path.read_text()))  # GitHub's have a $ in front
    stored = {name for match in matches if match for name in match.groups() if name}
    assert stored
    assert [name for name in stored - {"GITHUB_TOKEN"} if f"`{name}`" not in explained] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_ends_in_time_with_pinned_actions_and_few_rights(path: Path) -> None:
    document = read(path)
    assert document["permissions"]["contents"] == "read"
    assert "pull_request_target" not in document["on"], "it would hand secrets to a stranger's code"
    for job in document["jobs"].values():
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]), f"{step['uses']} is not pinned"
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
    pins = re.findall(r"uses: \S+@\S+(.*)", path.read_text())
    assert all(re.fullmatch(r" # v\d+\.\d+\.\d+", note) for note in pins), "a pin tells its version"


def test_the_hourly_workflow_never_breaks_off_a_run_and_waits_for_its_settings() -> None:
    document = workflow("hourly")
    assert re.fullmatch(r"\d+ \* \* \* \*", document["on"]["schedule"][0]["cron"])
    assert document["concurrency"]["cancel-in-progress"] is False
    assert document["jobs"]["run"]["if"] == "vars.AMPLITUDE_START_HOUR != ''"


def test_a_branch_gets_no_secret_of_production() -> None:
    hourly, trials = workflow("hourly")["jobs"]["run"], workflow("test")["jobs"]["sqlmesh"]
    assert (hourly["environment"], trials["environment"]) == ("production", "trials")
    assert "secrets." not in json.dumps(workflow("test")["jobs"]["test"])
    secrets = {job["environment"]: set(re.findall(r"secrets\.(\w+)", json.dumps(job))) for job in (hourly, trials)}
    assert secrets["trials"] == {"SNOWFLAKE_TRIALS_KEY", "SQLMESH_TRIALS_PASSWORD", "GITHUB_TOKEN"}
    assert not secrets["trials"] & secrets["production"]


def test_the_test_workflow_runs_what_must_hold_before_a_change_lands() -> None:
    steps = [step["run"] for step in workflow("test")["jobs"]["test"]["steps"] if "run" in step]
    local = (REPOSITORY / ".ci/run").read_text().splitlines()
    assert steps == [line for line in local if line.startswith("make ")]


# --- their commands


@dataclass
class Production:
    """A warehouse and a lake that outlast every run, DuckDB and a folder in place of Snowflake and S3."""

    folder: Path
    origin: Path
    """The repository from which runs clone."""
    simulator: Simulator
    stores: dict[str, str]
    """What secrets and variables hold, by name."""
    receiver: Receiver
    """The webhook and the heartbeat of alerts."""
    runs: int = 0

    @property
    def project(self) -> Project:
        """For looking at what is there."""
        return Project(self.folder / "lasting", self.stand_in)

    @property
    def stand_in(self) -> dict[str, str]:
        """The settings that are others than in production, and the little environment that a process needs."""
        data = self.folder / "lasting/data"
        return {
            "PATH": os.pathsep.join([str(self.folder / "bin"), str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
            "HOME": str(self.folder / "home"),
            "TZ": "Asia/Kolkata",
            "GIT_CONFIG_GLOBAL": os.devnull,
            # The first run finds it empty, as each does in production. Those after it need not read all models again.
            "SQLMESH__CACHE_DIR": str(self.folder / "cache"),
            "AMPLITUDE_DESTINATION": "duckdb",
            "SQLMESH_GATEWAY": "local",
            "SQLMESH_STATE_HOST": "",
            "DESTINATION__DUCKDB__CREDENTIALS": str(data / "amplitude.duckdb"),
            "SOURCES__AMPLITUDE__LAKE__BUCKET_URL": str(data / "lake"),
            "SOURCES__AMPLITUDE__BASE_URL": self.simulator.base_url,
            "SOURCES__AMPLITUDE__NOW": self.simulator.now.isoformat(),
        }

    def value_of(self, expression: str, context: Mapping[str, str]) -> str:
        """What Kestra or GitHub puts in an expression's place; it fails for one that is not foreseen."""
        if stored := FROM_A_STORE.fullmatch(expression):
            (name,) = (name for name in stored.groups() if name)
            return self.stores.get(name, f"the value of {name}")
        assert expression in context, f"nobody knows {expression!r} here"
        return context[expression]

    def rendered(
        self, settings: Mapping[str, str], syntax: re.Pattern[str], context: Mapping[str, str]
    ) -> dict[str, str]:
        return {
            name: syntax.sub(lambda match: self.value_of(match[1], context), value) for name, value in settings.items()
        }

    def workspace(self) -> Path:
        """A new empty folder: what a container or a runner begins with."""
        self.runs += 1
        folder = self.folder / f"run-{self.runs}"
        folder.mkdir()
        return folder

    def shell(self, command: list[str], folder: Path, env: Mapping[str, str]) -> Result:
        return subprocess.run(
            command,
            cwd=folder,
            env={**env, **self.stand_in},
            capture_output=True,
            encoding="utf-8",
            timeout=COMMAND_TIMEOUT_SECONDS,
            check=False,
        )

    # Kestra

    def run_task(self, task: Document, context: Mapping[str, str]) -> Result:
        """A script task: its files in a new folder, then its commands by one shell that ends with the first error."""
        folder = self.workspace()
        context = {"workingDir": str(folder), **context}
        for name, content in self.rendered(task.get("inputFiles", {}), KESTRA_EXPRESSION, context).items():
            (folder / name).write_text(content)
        env = self.rendered(task["env"], KESTRA_EXPRESSION, context)
        if "script" in task:
            return self.shell([sys.executable, "-c", task["script"]], folder, env)
        lines = ["set -e", *task["beforeCommands"], *task["commands"]]
        return self.shell(["/bin/sh", "-c", "\n".join(lines)], folder, env)

    def run_hourly_flow(self) -> Result:
        (task,) = flow("amplitude")["tasks"]
        return self.run_task(task, {})

    # GitHub

    def run_job(self, job: Document) -> list[tuple[str, Result]]:
        """The steps in order, up to the first that fails, and those for any case; `GITHUB_ENV` hands on to others."""
        checkout, runner = self.workspace(), self.workspace()
        env_file = runner / "env"
        env_file.touch()
        results: list[tuple[str, Result]] = []
        has_failed = False
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                git("clone", "--quiet", f"file://{self.origin}", str(checkout))
            if "run" not in step or (has_failed and not step.get("if", "").startswith("always()")):
                continue
            env = self.rendered(job["env"] | step.get("env", {}), GITHUB_EXPRESSION, {})
            env |= dict(line.split("=", 1) for line in env_file.read_text().splitlines())
            env |= {"GITHUB_ENV": str(env_file), "RUNNER_TEMP": str(runner)}
            results.append((step["name"], self.shell(["bash", "-e", "-c", step["run"]], checkout, env)))
            has_failed |= bool(results[-1][1].returncode)
        return results


def git(*arguments: str) -> str:
    command = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose one commit is what is here and not ignored, be it committed or not."""
    folder = tmp_path_factory.mktemp("origin")
    names = git("-C", str(REPOSITORY), "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in (name for name in names if os.path.lexists(REPOSITORY / name) and name):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name, follow_symlinks=False)
    git("init", "--quiet", "--initial-branch", "main", str(folder))
    git("-C", str(folder), "add", "--all")
    git("-C", str(folder), "commit", "--quiet", "--message", "what is here")
    return folder


@pytest.fixture(scope="module")
def first_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The warehouse and the lake after what docs/guides/schedules.md has one do by hand: the first day, and a plan.

    Of an hour with several files Amplitude kept the last one back.
    """
    return built_once(tmp_path_factory, "first-day", build_first_day)


def build_first_day(folder: Path) -> Path:
    with Simulator(PRODUCT, SECOND + 9 * HOUR) as simulator:
        simulator.faults = FaultPlan(Fault(LatePartition(), hour=LATE))
        project = make_project(folder, simulator)
        succeeded(project.load_here("--end", hour_text(SECOND - HOUR)))
        # As a process of its own: what other tests imported in this one, SQLMesh would note as imports of the macros.
        succeeded(project.run(*SQLMESH, "plan", "--auto-apply", "--no-prompts", "--skip-tests"))
    return project.root / "data"


@pytest.fixture
def production(tmp_path: Path, origin: Path, first_day: Path) -> Iterator[Production]:
    """Production after the first day; half a day after the third one the scheduler sets in."""
    with Simulator(PRODUCT) as simulator, receiving() as receiver:
        shutil.copytree(first_day, tmp_path / "lasting/data", ignore=shutil.ignore_patterns("work"))
        (tmp_path / "home").mkdir()
        write_clock(tmp_path / "bin/date")
        stores = {
            "AMPLITUDE_WAREHOUSE_REPOSITORY": f"file://{origin}",
            "AMPLITUDE_API_KEY": DEMO_CREDENTIALS[0],
            "AMPLITUDE_SECRET_KEY": DEMO_CREDENTIALS[1],
            "AMPLITUDE_REGION": "us",
            "AMPLITUDE_START_HOUR": hour_text(FIRST),
            "SLACK_WEBHOOK": receiver.secrets["ALERTS__WEBHOOK_URL"],
            "ALERTS_HEARTBEAT_URL": receiver.secrets["ALERTS__HEARTBEAT_URL"],
        }
        yield Production(tmp_path, origin, simulator, stores, receiver)


def write_clock(path: Path) -> None:
    """A `date` that takes the simulated time for the present."""
    path.parent.mkdir()
    path.write_text('#!/bin/sh\nexec /bin/date --date "${SOURCES__AMPLITUDE__NOW}Z" "$@"\n')
    path.chmod(0o755)


def assert_is_built(production: Production) -> None:
    """Silver and gold are what the archive says, to its last hour."""
    project = production.project
    warehouse.assert_equals_oracle(project, sorted(project.lake.rglob("*.json.gz")))


@pytest.mark.slow
@pytest.mark.nightly
def test_the_backfill_hands_over_to_the_hourly_flow_which_takes_all_in_once(production: Production) -> None:
    """New hours, and one that has changed. Days come one after the other here: DuckDB has one writer at a time."""
    days, load, transform = flow("amplitude_backfill")["tasks"]
    inputs = {"inputs.first_day": f"{FIRST:%Y-%m-%d}", "inputs.last_day": f"{THIRD:%Y-%m-%d}"}
    listed = succeeded(production.run_task(days, inputs)).stdout
    outputs = json.loads(listed.removeprefix("::").removesuffix("::\n"))["outputs"]
    assert load["values"] == "{{ outputs.days.vars.days }}"
    assert json.loads(outputs["days"]) == [f"{day:%Y-%m-%d}" for day in (FIRST, SECOND, THIRD)]
    (day_task,) = load["tasks"]
    for day in json.loads(outputs["days"]):
        result = succeeded(production.run_task(day_task, {"item.value": day}))
        assert "24 hours in" in result.stdout
    assert "inputs" not in transform
    assert "sqlmesh plan --restate-model silver.events" in succeeded(production.run_hourly_flow()).stderr
    assert_is_built(production)
    assert production.receiver.texts == [], "all is well"


def test_a_backfill_of_days_in_the_wrong_order_is_refused(tmp_path: Path, simulator: Simulator) -> None:
    days = flow("amplitude_backfill")["tasks"][0]
    with receiving() as receiver:
        production = Production(tmp_path, tmp_path, simulator, {}, receiver)
        result = production.run_task(days, {"inputs.first_day": "2026-06-02", "inputs.last_day": "2026-06-01"})
    assert result.returncode == 1
    assert result.stderr == "last_day 2026-06-01 lies before first_day 2026-06-02.\n"


@pytest.mark.slow
@pytest.mark.nightly
def test_the_hourly_workflow_takes_new_hours_in_and_those_before_the_first(production: Production) -> None:
    """The load fetches what lies between a `START_HOUR` that was moved earlier and the hours that it has."""
    job = workflow("hourly")["jobs"]["run"]
    names = [step["name"] for step in job["steps"] if "run" in step]
    assert [(name, result.returncode) for name, result in production.run_job(job)] == [(name, 0) for name in names]
    assert_is_built(production)
    before = warehouse.tables(production.project)
    production.simulator.now += timedelta(minutes=1)
    steps = production.run_job(job)
    assert [(name, step.stderr) for name, step in steps if step.returncode or "restate-model" in step.stderr] == []
    assert "0 rows in bronze.events" in dict(steps)["Load"].stdout
    assert (production.receiver.texts, production.receiver.beats) == ([], 2)
    warehouse.assert_same_tables(warehouse.tables(production.project), before)
    production.simulator.now += timedelta(minutes=1)
    production.stores["AMPLITUDE_START_HOUR"] = hour_text(FIRST - 24 * HOUR)
    *others, (status, result), (_, alert) = production.run_job(job)
    assert [(name, result.returncode) for name, result in others] == [(name, 0) for name in names[:-2]]
    assert (status, result.returncode, alert.returncode) == (names[-2], 6, 0)
    assert ["never takes them in" in text for text in production.receiver.texts] == [True]
    assert "never takes them in" in result.stdout, "it takes a plan, because it rebuilds silver"
    first = production.project.query("SELECT MIN(export_hour) FROM bronze.export_hours")
    assert first == [(FIRST - 24 * HOUR,)]

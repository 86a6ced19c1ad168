"""The message that hours have landed: what infra/snowflake/wake.sql sends it for, and who runs what on its arrival.

Snowflake's part cannot run here. The query behind its stream runs on DuckDB; the rest is read. AWS's part runs on moto,
which knows no policies of queues.
"""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pytest
import sqlglot
from cfnlint.api import lint_all
from click.testing import CliRunner

from support import grammar
from support.grants import LOADER, SETUP, Right, rights, statements
from support.project import REPOSITORY
from support.s3 import S3Server
from when_hours_land import answer, main

SCRIPT = SETUP.with_name("wake.sql").read_text()
TEMPLATE = REPOSITORY / "infra/aws/wake.yaml"
WAKER = "AMPLITUDE_WAKER"
MESSAGE = '{"landed": "AMPLITUDE.BRONZE.EXPORT_HOURS"}'
(TASK,) = re.findall(r"(CREATE TASK .*?)\nAS\nEXECUTE IMMEDIATE \$\$\n(.*?)\n\$\$;", SCRIPT, re.DOTALL)
WITHOUT_POLICIES = pytest.mark.filterwarnings("ignore:Tried to parse AWS..SQS..QueuePolicy")
# Makes what is not there, and has changes tracked and the task run, which may be said again.
MAY_RUN_AGAIN = re.compile(
    r"USE ROLE \w+|CREATE (ROLE|SCHEMA|NOTIFICATION INTEGRATION|VIEW|STREAM|TABLE|TASK) IF NOT EXISTS .*"
    r"|ALTER TABLE AMPLITUDE\.BRONZE\.\w+ SET CHANGE_TRACKING = TRUE|ALTER TASK \S+ RESUME|GRANT .*",
    re.DOTALL,
)


def test_only_hours_of_loads_that_have_ended_wake_the_transformation() -> None:
    """The query behind the stream: dlt lists a load as finished after all its tables are in place."""
    (query,) = re.findall(r"CREATE VIEW IF NOT EXISTS \S+ COMMENT = '[^']+' AS(.*?);", SCRIPT, re.DOTALL)
    with duckdb.connect() as connection:
        connection.execute("ATTACH ':memory:' AS amplitude; CREATE SCHEMA amplitude.bronze")
        connection.execute(
            "CREATE TABLE amplitude.bronze._dlt_loads AS FROM (VALUES ('1', 0), ('2', 1)) AS l (load_id, status)"
        )
        rows = "('1', 5, 'loaded'), ('1', 6, 'empty'), ('1', 7, 'pending'), ('2', 8, 'loaded'), ('3', 9, 'loaded')"
        connection.execute(
            f"CREATE TABLE amplitude.bronze.export_hours AS SELECT 'web' AS project, * FROM (VALUES {rows}) "
            "AS h (_dlt_load_id, export_hour, status)"
        )
        found = connection.execute(sqlglot.transpile(query, read="snowflake", write="duckdb")[0]).fetchall()
    assert sorted(found) == [("web", 5, "loaded", "1"), ("web", 6, "empty", "1")]


def test_a_stream_may_be_on_the_view() -> None:
    """It may filter and join; it may not group, sort or qualify (user-guide/streams-intro, "Streams on views")."""
    (view,) = (each for each in statements(SCRIPT) if each.startswith("CREATE VIEW"))
    query = sqlglot.parse_one(view.partition(" AS ")[2], dialect="snowflake")
    assert {name for name, value in query.args.items() if value} == {"expressions", "from_", "joins", "where"}
    assert [(join.side, join.kind) for join in query.args["joins"]] == [("", "")]


def test_the_hours_are_marked_as_sent_in_the_transaction_that_sends() -> None:
    """So that hours without a message stay in the stream, and those that land meanwhile do, too."""
    header, body = TASK
    assert "WHEN SYSTEM$STREAM_HAS_DATA('AMPLITUDE.WAKE.NEW_HOURS')" in header
    grammar.assert_takes([body])
    steps = ("BEGIN TRANSACTION;", "INSERT INTO", "FROM AMPLITUDE.WAKE.NEW_HOURS", "IF (SQLROWCOUNT > 0) THEN")
    assert re.search(".*".join(map(re.escape, (*steps, "CALL SYSTEM$SEND", MESSAGE, "COMMIT;"))), body, re.DOTALL)
    assert re.search(r"WHEN OTHER THEN\s+ROLLBACK;\s+RAISE;", body)


def test_the_role_of_the_task_may_read_the_ledger_and_send_and_no_more() -> None:
    account, bronze, wake = "ACCOUNT", "SCHEMA AMPLITUDE.BRONZE", "SCHEMA AMPLITUDE.WAKE"
    assert {right[1:] for right in rights(SCRIPT) if right.role == WAKER} == {
        ("USAGE", "INTEGRATION AMPLITUDE_HOURS_LANDED"),
        ("EXECUTE TASK", account),
        ("EXECUTE MANAGED TASK", account),
        ("USAGE", "DATABASE AMPLITUDE"),
        ("USAGE", bronze),
        ("SELECT", "TABLE AMPLITUDE.BRONZE.EXPORT_HOURS"),
        ("SELECT", "TABLE AMPLITUDE.BRONZE._DLT_LOADS"),
        *(("CREATE " + kind, wake) for kind in ("TABLE", "VIEW", "STREAM", "TASK")),
        ("USAGE", wake),
    }
    assert {right.role for right in rights(SCRIPT)} == {WAKER}
    owners = dict(re.findall(r"USE ROLE (\w+);\s+(CREATE VIEW|ALTER TABLE)", re.sub("--.*", "", SCRIPT)))
    assert owners == {WAKER: "CREATE VIEW", LOADER: "ALTER TABLE"}, "only a table's owner may have its changes tracked"


def test_the_script_may_run_again() -> None:
    for statement in statements(SCRIPT):
        assert MAY_RUN_AGAIN.fullmatch(statement)


def test_dynamic_tables_take_one_more_right() -> None:
    script = SETUP.with_name("dynamic_tables.sql").read_text()
    assert rights(script) == {Right("AMPLITUDE_TRANSFORMER", "CREATE DYNAMIC TABLE", "SCHEMA AMPLITUDE.GOLD_TABLES")}


class Wake(NamedTuple):
    """The stack, and clients for it."""

    outputs: dict[str, str]
    topic: Any
    queue: Any
    iam: Any

    @property
    def url(self) -> str:
        return self.outputs["QueueUrl"]

    def send(self) -> None:
        """Say that hours have landed, as Snowflake does."""
        self.topic.publish(TopicArn=self.outputs["TopicArn"], Message=MESSAGE)

    def held(self) -> tuple[int, int]:
        """The numbers of messages that wait, and that somebody has taken and not yet removed."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.queue.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])


@pytest.fixture
def wake(s3_server: S3Server) -> Iterator[Wake]:
    formation = s3_server.client("cloudformation")
    body = TEMPLATE.read_text()
    formation.create_stack(StackName="amplitude-wake", TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
    (stack,) = formation.describe_stacks(StackName="amplitude-wake")["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    yield Wake(outputs, *(s3_server.client(service) for service in ("sns", "sqs", "iam")))
    formation.delete_stack(StackName="amplitude-wake")


@pytest.mark.slow
@WITHOUT_POLICIES
def test_messages_run_the_command_once_and_are_gone_when_it_ends_well(wake: Wake, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    command = (sys.executable, "-c", f"open({str(ran)!r}, 'a').write('x')")
    assert answer(wake.queue, wake.url, command, seconds=0) is None
    wake.send()
    wake.send()
    assert answer(wake.queue, wake.url, command, seconds=0) == 0
    assert (ran.read_text(), wake.held()) == ("x", (0, 0))


@pytest.mark.slow
@WITHOUT_POLICIES
def test_a_message_whose_command_fails_comes_again(wake: Wake, capsys: pytest.CaptureFixture[str]) -> None:
    wake.send()
    assert answer(wake.queue, wake.url, (sys.executable, "-c", "raise SystemExit(4)"), seconds=0) == 4
    assert capsys.readouterr().err == f"{sys.executable} ended with code 4: the messages come again.\n"
    assert wake.held() == (0, 1)
    wake.queue.set_queue_attributes(QueueUrl=wake.url, Attributes={"VisibilityTimeout": "0"})
    wake.send()
    assert answer(wake.queue, wake.url, (sys.executable, "-c", ""), seconds=0) == 0


def test_a_queue_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    result = CliRunner().invoke(main, ["https://sqs.example.com/1/wake", "sqlmesh", "run", "--ignore-cron"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: The queue https://sqs.example.com/1/wake cannot be read: You must specify")


def test_each_side_may_do_its_part_alone() -> None:
    found = [match for match in lint_all(TEMPLATE.read_text()) if not match.rule.id.startswith("I")]
    assert [str(match) for match in found] == []
    text = TEMPLATE.read_text()
    assert re.findall(r"Action: (.*)", text) == [
        "sqs:SendMessage",
        "sts:AssumeRole",
        "sns:Publish",
        "[sqs:ReceiveMessage, sqs:DeleteMessage]",
    ]
    assert re.findall(r"Resource: (.*)", text) == ["!GetAtt Queue.Arn", "!Ref Topic", "!GetAtt Queue.Arn"]
    assert "FifoTopic" not in text

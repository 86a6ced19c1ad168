"""Snowpipe over Amplitude's export to S3: what infra/snowflake/snowpipe.sql loads, which nothing here can run.

What silver makes of its table is compared by test_other_tools.py; test_witnesses.py parses the script.
"""

import re

import pytest
from cfnlint.api import lint_all

from amplitude_source.export.exported import EVENTS_NAME, MERGES_NAME
from amplitude_source.tables import EXPORT_COLUMNS
from amplitude_source.transform.foreign_bronze import read_bronze
from support import foreign
from support.grants import SETUP, rights, statements
from support.project import REPOSITORY

SCRIPT = SETUP.with_name("snowpipe.sql").read_text()
TEMPLATE = REPOSITORY / "infra/aws/snowpipe.yaml"
PIPE, READER = "AMPLITUDE_SNOWPIPE", "AMPLITUDE_TRANSFORMER"
(TABLE,) = re.findall(r"CREATE TABLE IF NOT EXISTS \S+ \((.*?)\n\) COMMENT", SCRIPT, re.DOTALL)
COLUMNS = dict(re.findall(r"\n  (\w+) (\S+(?:, 0\))?) COMMENT", TABLE))
((INTO, SELECTED),) = re.findall(
    r"COPY INTO AMPLITUDE\.SNOWPIPE\.EVENTS \((.*?)\)\nFROM \(\s+SELECT(.*?)FROM @AMPLITUDE", SCRIPT, re.DOTALL
)
(PATTERN,) = re.findall("PATTERN = '(.*)'", SCRIPT)
DUCKDB_TYPES = {"NUMBER(38, 0)": "DECIMAL(38, 0)", "TIMESTAMP_NTZ": "TIMESTAMP", "FLOAT": "DOUBLE", "VARIANT": "JSON"}


def test_each_key_goes_into_the_column_of_its_name_and_type() -> None:
    values = re.split(r",\s+(?!0\))", SELECTED.strip())
    assert INTO.replace(",", "").split() == [*COLUMNS]
    for (name, type_), value in zip(COLUMNS.items(), values, strict=True):
        key = "$insert_id" if name == "INSERT_ID" else name.lower()
        if name not in {"FILE", "LOADED_AT"}:
            assert value.replace('"', "") == f"$1:{key}" + ("" if type_ == "VARIANT" else f"::{type_}")
            assert key.removeprefix("$") in {column.strip("_$") for column in EXPORT_COLUMNS}


def test_the_table_has_what_the_query_reads_in_the_types_of_the_tests_of_silver() -> None:
    bronze = read_bronze(REPOSITORY, {"bronze": "snowpipe", "bronze_tables": {"events": "AMPLITUDE.SNOWPIPE.EVENTS"}})
    assert bronze
    assert {name.upper() for name in bronze.columns["events"]} <= COLUMNS.keys()
    assert {name.upper() for name in foreign.COLUMNS["snowpipe"]} == COLUMNS.keys()
    for name, sql in foreign.COLUMNS["snowpipe"].items():
        if name not in {"file", "loaded_at"} and COLUMNS[name.upper()] != "VARCHAR":
            assert sql == f"{{0}}::{DUCKDB_TYPES[COLUMNS[name.upper()]]}"


@pytest.mark.parametrize(
    ("name", "is_loaded"),
    [
        ("187520/187520_2026-06-01_5#1.json.gz", True),
        ("187520/187520_2026-06-01_23#627.json.gz", True),
        ("187520_2026-06-01_5#1.json.gz", True),
        ("-189524/-189524_2026-06-01_5.json.gz", False),
        ("187520/187520_2026-06-01_5.json.gz", False),
        ("187520/187520_2026-06-01_5_complete", False),
    ],
)
def test_the_pattern_takes_files_of_events_alone(name: str, is_loaded: bool) -> None:
    assert bool(re.fullmatch(PATTERN, f"export/{name}")) == is_loaded
    file = name.rpartition("/")[2]
    assert bool(EVENTS_NAME.fullmatch(file)) == is_loaded
    assert not (is_loaded and MERGES_NAME.fullmatch(file))


def test_the_pipe_reads_the_export_and_the_models_its_table() -> None:
    schema = "SCHEMA AMPLITUDE.SNOWPIPE"
    assert {tuple(right) for right in rights(SCRIPT)} == {
        ("SYSADMIN", "USAGE", "INTEGRATION AMPLITUDE_EXPORT"),
        (PIPE, "USAGE", "DATABASE AMPLITUDE"),
        (PIPE, "USAGE", schema),
        (PIPE, "USAGE", "STAGE AMPLITUDE.SNOWPIPE.EXPORT"),
        (PIPE, "CREATE TABLE", schema),
        (PIPE, "CREATE PIPE", schema),
        (READER, "USAGE", schema),
        (READER, "SELECT", f"FUTURE TABLES IN {schema}"),
    }


def test_the_script_may_run_again() -> None:
    for statement in statements(SCRIPT):
        assert re.match(r"USE ROLE|GRANT|CREATE [A-Z ]+ IF NOT EXISTS", statement)


def test_the_role_on_aws_may_read_the_export_and_nothing_else() -> None:
    text = TEMPLATE.read_text()
    assert [str(match) for match in lint_all(text) if not match.rule.id.startswith("I")] == []
    assert re.findall(r"Action: (.*)", text) == [
        "sts:AssumeRole",
        "s3:ListBucket",
        "s3:GetBucketLocation",
        "[s3:GetObject, s3:GetObjectVersion]",
    ]
    assert set(re.findall(r"Resource: !Sub (.*)", text)) == {
        "arn:${AWS::Partition}:s3:::${BucketName}",
        "arn:${AWS::Partition}:s3:::${BucketName}/${Prefix}*",
    }
    assert "s3:prefix: !Sub ${Prefix}*" in text

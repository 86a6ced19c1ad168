"""The hand-shake of AWS and Snowflake: a stack on moto, and an account of Snowflake's that answers as documented."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import pytest
import snowflake.connector
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from moto import mock_aws

import handshake

USER_ARN, EXTERNAL_ID = "arn:aws:iam::210987654321:user/snow-1", "ACCOUNT_SFCRole=2_aBc="
STACK = "amplitude-warehouse"


class Account:
    """A connection to Snowflake; its cursors are itself. Reading the stage works if AWS trusts it."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.refusals = 0
        """How many times AWS has not heard yet."""
        self.closed = False

    def cursor(self) -> "Account":
        return self

    def execute(self, statement: str) -> "Account":
        self.statements.append(statement)
        if statement.startswith("LIST"):
            self.refusals -= 1
            if self.refusals >= 0 or trusted() != (USER_ARN, EXTERNAL_ID):
                raise snowflake.connector.ProgrammingError("Failure using stage area. Access Denied (Status Code: 403)")
        return self

    def fetchall(self) -> list[tuple[str, ...]]:
        assert self.statements[-1] == "DESC INTEGRATION AMPLITUDE_LAKE"
        return [
            ("ENABLED", "Boolean", "true", "false"),
            ("STORAGE_AWS_IAM_USER_ARN", "String", USER_ARN, ""),
            ("STORAGE_AWS_EXTERNAL_ID", "String", EXTERNAL_ID, ""),
        ]

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def account() -> Iterator[Account]:
    """AWS without a stack, and Snowflake."""
    account = Account()
    environment = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "eu-central-1"}
    with (
        mock.patch.dict(os.environ, environment),
        mock.patch.object(snowflake.connector, "connect", return_value=account),
        mock.patch.object(handshake, "SECONDS_BETWEEN_TRIES", 0),
        mock_aws(),
    ):
        yield account


@pytest.fixture
def stack(account: Account) -> None:
    """Made by the administrator, with a prefix."""
    del account  # stands for AWS
    parameters = {"BucketName": "lake-of-tests", "Prefix": "web/"}
    cloudformation().create_stack(
        StackName=STACK,
        TemplateBody=handshake.TEMPLATE.read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=handshake.CAPABILITIES,
    )


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with loader.p8, loader.pub and so on."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("loader", "transformer"):
        key = rsa.generate_private_key(65537, 2048)
        private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (folder / f"{name}.p8").write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))
        public = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        (folder / f"{name}.pub").write_bytes(key.public_key().public_bytes(*public))
    return folder


def cloudformation() -> Any:
    return boto3.client("cloudformation")


def made() -> handshake.Stack:
    """The stack as it is."""
    found = handshake.read_stack(cloudformation(), STACK)
    assert found
    return found


def trusted() -> tuple[str, str]:
    """Whom the stack trusts, and under which external id; by its parameters, for moto changes no role that exists."""
    parameters = made().parameters
    return parameters["SnowflakeUserArn"], parameters["SnowflakeExternalId"]


def shake(keys: Path, *options: str, loader: str = "loader.pub") -> Result:
    named = ["--loader-key", str(keys / loader), "--transformer-key", str(keys / "transformer.pub")]
    return CliRunner().invoke(handshake.main, [*named, *options])


@pytest.mark.usefixtures("stack")
def test_both_sides_know_each_other(account: Account, keys: Path) -> None:
    before = made()
    assert trusted() == ("", "")
    result = shake(keys)
    assert result.exit_code == 0, result.output
    assert trusted() == (USER_ARN, EXTERNAL_ID)
    assert made().parameters["Prefix"] == "web/"
    assert made().outputs == before.outputs
    assert result.output.splitlines()[-1] == (
        "Snowflake reads s3://lake-of-tests/web/staging/ through the stage AMPLITUDE.BRONZE.LAKE_STAGING."
    )
    sent = "\n".join(account.statements)
    body = "".join((keys / "loader.pub").read_text().splitlines()[1:-1])
    assert f"ALTER USER AMPLITUDE_LOADER SET RSA_PUBLIC_KEY = '{body}';" in sent
    assert f"STORAGE_AWS_ROLE_ARN = '{before.outputs['SnowflakeRoleArn']}'" in sent
    assert "<%" not in sent
    assert account.closed


@pytest.mark.usefixtures("stack")
def test_done_again_it_changes_nothing(account: Account, keys: Path) -> None:
    shake(keys)
    first, account.statements = account.statements, []
    with mock.patch.object(handshake, "trust", side_effect=AssertionError("the stack is right already")):
        result = shake(keys)
    assert result.exit_code == 0, result.output
    assert "trusts arn:aws:iam::210987654321:user/snow-1 already" in result.output
    assert account.statements == first


@pytest.mark.usefixtures("stack")
def test_it_waits_until_aws_has_heard(account: Account, keys: Path) -> None:
    account.refusals = 3
    assert shake(keys).exit_code == 0
    assert account.statements.count("LIST @AMPLITUDE.BRONZE.LAKE_STAGING") == 4


@pytest.mark.usefixtures("stack")
def test_a_bucket_that_stays_shut_is_said_to_be(account: Account, keys: Path) -> None:
    account.refusals = handshake.TRIES
    result = shake(keys)
    assert result.exit_code == 1
    assert "Snowflake cannot read s3://lake-of-tests/web/staging/: " in result.output
    assert "Access Denied" in result.output


@pytest.mark.usefixtures("stack")
def test_a_dry_run_prints_a_script_and_changes_nothing(account: Account, keys: Path) -> None:
    result = shake(keys, "--dry-run")
    assert result.exit_code == 0, result.output
    assert account.statements == []
    assert trusted() == ("", "")
    assert "STORAGE_ALLOWED_LOCATIONS = ('s3://lake-of-tests/web/staging/')" in result.output
    assert "<%" not in "\n".join(line for line in result.output.splitlines() if not line.startswith("--"))
    assert "the stack has SnowflakeUserArn=(none), SnowflakeExternalId=(none) now" in result.output


def test_from_empty_accounts_it_makes_the_stack_too(account: Account, keys: Path) -> None:
    result = shake(keys, "--bucket", "my-lake")
    assert result.exit_code == 0, result.output
    assert trusted() == (USER_ARN, EXTERNAL_ID)
    assert "URL = 's3://my-lake/staging/'" in " ".join(account.statements)


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("options", [(), ("--dry-run", "--bucket", "my-lake")])
def test_without_a_stack_it_says_what_makes_one(keys: Path, options: tuple[str, ...]) -> None:
    result = shake(keys, *options)
    assert result.exit_code == 1
    assert "There is no stack amplitude-warehouse in region eu-central-1: --bucket NAME makes it" in result.output
    assert cloudformation().describe_stacks()["Stacks"] == []


@pytest.mark.usefixtures("account")
def test_another_stack_is_left_alone(keys: Path) -> None:
    bucket = "Resources: {Bucket: {Type: 'AWS::S3::Bucket'}}\nOutputs: {LakeBucket: {Value: !Ref Bucket}}"
    cloudformation().create_stack(StackName=STACK, TemplateBody=bucket)
    result = shake(keys)
    assert result.exit_code == 1
    assert "has no SnowflakeExternalId, SnowflakeRoleArn, SnowflakeUserArn, StagingUrl" in result.output


@pytest.mark.usefixtures("stack")
def test_a_private_key_goes_nowhere(account: Account, keys: Path) -> None:
    result = shake(keys, loader="loader.p8")
    assert result.exit_code == 1
    assert "holds a private key, which must go nowhere" in result.output
    assert (keys / "loader.p8").read_text().splitlines()[1] not in result.output
    assert account.statements == []


@pytest.mark.usefixtures("stack")
def test_what_snowflake_refuses_is_one_sentence(account: Account, keys: Path) -> None:
    refusal = snowflake.connector.ProgrammingError("Insufficient privileges to operate on account 'X'", errno=3001)
    with mock.patch.object(account, "execute", side_effect=refusal):
        result = shake(keys)
    assert result.exit_code == 1
    assert result.output.startswith("Error: Snowflake: 003001")
    assert len(result.output.splitlines()) == 1
    assert account.closed

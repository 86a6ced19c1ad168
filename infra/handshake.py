"""Sets up all of Snowflake's side, and lets Snowflake read the lake's staging area. `--help` tells how.

Neither side can be finished before the other: the storage integration needs the role on AWS, and the role is to trust
one user of Snowflake's under one external id, which the integration gets when it is made. So the stack comes first,
with a role that trusts nobody; then the integration; then the stack is updated with whom to trust.
"""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import boto3
import click
import snowflake.connector
from botocore.exceptions import BotoCoreError, ClientError
from snowflake.connector import SnowflakeConnection
from snowflake.connector.util_text import split_statements

SETUP = Path(__file__).with_name("snowflake") / "setup.sql"
TEMPLATE = Path(__file__).with_name("aws") / "template.yaml"
CAPABILITIES = ["CAPABILITY_IAM"]  # which a stack needs to make roles
PLACEHOLDER = re.compile(r"<% (\w+) %>")
PUBLIC_KEY = re.compile(r"-----BEGIN PUBLIC KEY-----(.+)-----END PUBLIC KEY-----", re.DOTALL)

INTEGRATION, STAGE = "AMPLITUDE_LAKE", "AMPLITUDE.BRONZE.LAKE_STAGING"  # as in setup.sql
# What an integration tells of itself, by the parameter of the stack that it belongs to.
TRUSTED = {"SnowflakeUserArn": "STORAGE_AWS_IAM_USER_ARN", "SnowflakeExternalId": "STORAGE_AWS_EXTERNAL_ID"}

# AWS takes its time until a role's new trust policy holds everywhere.
TRIES, SECONDS_BETWEEN_TRIES = 12, 5


@dataclass(frozen=True)
class Stack:
    """The CloudFormation stack made from infra/aws/template.yaml."""

    name: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]


@click.command()
@click.option("--stack", "stack_name", default="amplitude-warehouse", show_default=True, help="The stack on AWS.")
@click.option("--bucket", help="The lake's bucket, a name that nobody has: makes the stack, where there is none.")
@click.option(
    "--connection",
    default="default",
    show_default=True,
    help="A connection of connections.toml, as the Snowflake CLI has it, of a user with the role ACCOUNTADMIN.",
)
@click.option(
    "--loader-key",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The public key (PEM) of the user AMPLITUDE_LOADER.",
)
@click.option(
    "--transformer-key",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The public key (PEM) of the user AMPLITUDE_TRANSFORMER.",
)
@click.option("--dry-run", is_flag=True, help="Change nothing: print the SQL, with its values, and what would follow.")
def main(
    stack_name: str, bucket: str | None, connection: str, loader_key: Path, transformer_key: Path, dry_run: bool
) -> None:
    """Runs infra/snowflake/setup.sql, has the role on AWS trust Snowflake, and looks whether Snowflake can read.

    \b
    python infra/handshake.py --bucket my-lake --loader-key loader.pub --transformer-key transformer.pub
    python infra/handshake.py --loader-key new.pub --transformer-key transformer.pub      with another key
    python infra/handshake.py --loader-key loader.pub --transformer-key transformer.pub --dry-run
                              the SQL, to read it first, or to run it in Snowsight instead

    The stack is made from infra/aws/template.yaml, or was by you. Whatever is done already stays as it is. AWS is asked
    with the credentials and the region of the environment (AWS_PROFILE, AWS_REGION).
    """
    with one_sentence():
        cloudformation = boto3.client("cloudformation")
        stack = read_stack(cloudformation, stack_name)
        if not stack and bucket and not dry_run:
            stack = make_stack(cloudformation, stack_name, bucket)
        if not stack:
            raise click.ClickException(
                f"There is no stack {stack_name} in region {cloudformation.meta.region_name}: --bucket NAME makes it; "
                "--stack names another."
            )
        setup = render(
            SETUP.read_text(),
            staging_url=stack.outputs["StagingUrl"],
            snowflake_role_arn=stack.outputs["SnowflakeRoleArn"],
            loader_public_key=read_public_key(loader_key),
            transformer_public_key=read_public_key(transformer_key),
        )
        if dry_run:
            click.echo(setup)
            click.echo(what_would_follow(stack))
            return
        with closing(snowflake.connector.connect(connection_name=connection)) as account:
            shake_hands(cloudformation, account, stack, setup)


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turns what an administrator can mend into one sentence and exit code 1."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise click.ClickException(f"AWS: {error}") from error
    except snowflake.connector.Error as error:
        raise click.ClickException(f"Snowflake: {' '.join(str(error).split())}") from error


def make_stack(cloudformation: Any, name: str, bucket: str) -> Stack | None:
    """Makes the stack, with a role that trusts nobody, and waits for it."""
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=TEMPLATE.read_text(),
        Parameters=[{"ParameterKey": "BucketName", "ParameterValue": bucket}],
        Capabilities=CAPABILITIES,
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name)
    click.echo(f"AWS: stack {name} was made, with the bucket {bucket}.")
    return read_stack(cloudformation, name)


def read_stack(cloudformation: Any, name: str) -> Stack | None:
    """The stack as it is; None where there is none.

    Raises:
        click.ClickException: it was made from another template.
    """
    try:
        (found,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":  # as CloudFormation calls it
            return None
        raise
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", [])}
    outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
    if lacking := [*({"StagingUrl", "SnowflakeRoleArn"} - outputs.keys()), *(TRUSTED.keys() - parameters.keys())]:
        raise click.ClickException(
            f"Stack {name} has no {', '.join(sorted(lacking))} (its status is {found['StackStatus']}): it is not, or "
            "not yet, what infra/aws/template.yaml makes."
        )
    return Stack(name, parameters, outputs)


def read_public_key(path: Path) -> str:
    """A public key as Snowflake takes it: the base64 text between the lines that name it.

    Raises:
        click.ClickException: the file holds no public key.
    """
    text = path.read_text()
    if not (found := PUBLIC_KEY.search(text)):
        what = "a private key, which must go nowhere" if "PRIVATE KEY" in text else "no public key"
        raise click.ClickException(
            f"{path} holds {what}: `openssl pkey -in <private key> -pubout -out {path.stem}.pub` makes the public one."
        )
    return "".join(found[1].split())


def render(template: str, **values: str) -> str:
    """The script with its placeholders `<% name %>` replaced, as the Snowflake CLI does."""
    return PLACEHOLDER.sub(lambda found: values[found[1]], template)


def shake_hands(cloudformation: Any, account: SnowflakeConnection, stack: Stack, setup: str) -> None:
    """Runs the setup, tells AWS whom to trust, and has Snowflake read."""
    statements = [statement for statement, _ in split_statements(StringIO(setup), remove_comments=True)]
    cursor = account.cursor()
    for statement in statements:
        cursor.execute(statement)
    click.echo(f"Snowflake: {len(statements)} statements of {SETUP.name} were run.")
    cursor.execute("USE ROLE ACCOUNTADMIN")
    cursor.execute(f"DESC INTEGRATION {INTEGRATION}")
    properties = {name: value for name, _, value, *_ in map(tuple, cursor.fetchall())}
    trusted = {parameter: str(properties[name]) for parameter, name in TRUSTED.items()}
    if trusted.items() <= stack.parameters.items():
        click.echo(f"AWS: stack {stack.name} trusts {trusted['SnowflakeUserArn']} already.")
    else:
        trust(cloudformation, stack, trusted)
        click.echo(f"AWS: stack {stack.name} now trusts {trusted['SnowflakeUserArn']}, under its external id.")
    await_access(account, stack)
    click.echo(f"Snowflake reads {stack.outputs['StagingUrl']} through the stage {STAGE}.")


def trust(cloudformation: Any, stack: Stack, trusted: Mapping[str, str]) -> None:
    """Updates the stack's parameters, all else staying as it is, and waits until that is done."""
    parameters = {**stack.parameters, **trusted}
    cloudformation.update_stack(
        StackName=stack.name,
        UsePreviousTemplate=True,
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=CAPABILITIES,
    )
    cloudformation.get_waiter("stack_update_complete").wait(StackName=stack.name)


def await_access(account: SnowflakeConnection, stack: Stack) -> None:
    """Lists the stage, for a minute if need be.

    Raises:
        click.ClickException: Snowflake still cannot.
    """
    for attempt in range(1, TRIES + 1):
        try:
            account.cursor().execute(f"LIST @{STAGE}")
        except snowflake.connector.ProgrammingError as error:
            if attempt == TRIES:
                raise click.ClickException(
                    f"Snowflake cannot read {stack.outputs['StagingUrl']}: {' '.join(str(error).split())} Look at the "
                    f"trust policy of {stack.outputs['SnowflakeRoleArn']}, and whether a bucket policy keeps it out."
                ) from error
            time.sleep(SECONDS_BETWEEN_TRIES)
        else:
            return


def what_would_follow(stack: Stack) -> str:
    """As SQL comments, so that all of the output is a script."""
    now = ", ".join(f"{key}={stack.parameters[key] or '(none)'}" for key in TRUSTED)
    parameters = " ".join(f"{key}=<{name}>" for key, name in TRUSTED.items())
    return (
        f"-- Then: DESC INTEGRATION {INTEGRATION}; with what it says (the stack has {now} now):\n"
        f"-- aws cloudformation deploy --stack-name {stack.name} --template-file infra/aws/template.yaml \\\n"
        f"--   --capabilities CAPABILITY_IAM --parameter-overrides {parameters}\n"
        f"-- And to see that Snowflake reads {stack.outputs['StagingUrl']}: LIST @{STAGE};"
    )


if __name__ == "__main__":
    main()

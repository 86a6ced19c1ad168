"""Runs a command whenever Snowflake says that hours have landed. `--help` shows how.

The messages come by the queue of infra/aws/wake.yaml. They say no more than that: the command finds out which hours.
"""

import subprocess
from collections.abc import Sequence
from typing import Any

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

MOST_MESSAGES = 10  # that SQS gives at once
SECONDS = 20  # for which SQS waits for a message, at most


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("queue_url")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def main(queue_url: str, command: Sequence[str]) -> None:
    """Waits for messages of a queue (the output QueueUrl of infra/aws/wake.yaml), and runs a command for each.

    \b
    python infra/when_hours_land.py https://sqs... .venv/bin/sqlmesh run

    Messages are removed once the command has ended well. If it fails, they come again after an hour.
    """
    try:
        queue = boto3.client("sqs")
        while True:
            answer(queue, queue_url, command)
    except (BotoCoreError, ClientError) as error:
        raise click.ClickException(f"The queue {queue_url} cannot be read: {error}") from error


def answer(queue: Any, url: str, command: Sequence[str], seconds: int = SECONDS) -> int | None:
    """Wait for messages, run the command once for all that are there, and remove them if it ends well.

    Args:
        queue: a client of SQS.
        url: of the queue.
        command: with its arguments.
        seconds: to wait at most.

    Returns:
        the command's exit code; None if no message came.
    """
    found = queue.receive_message(QueueUrl=url, MaxNumberOfMessages=MOST_MESSAGES, WaitTimeSeconds=seconds)
    messages = found.get("Messages", [])
    if not messages:
        return None
    code = subprocess.run(command, check=False).returncode  # noqa: S603 - the user's own command
    if code:
        click.echo(f"{command[0]} ended with code {code}: the messages come again.", err=True)
        return code
    for message in messages:
        queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return 0


if __name__ == "__main__":
    main()

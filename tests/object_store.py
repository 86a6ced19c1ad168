"""An S3 of the tests' own: moto's server over HTTP, in this process, with a bucket for each test."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager

HOST = "127.0.0.1"
REGION = "us-east-1"
# The standard variables of AWS, with a key that only moto takes.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": REGION}

_NUMBERS = itertools.count(1)


class ObjectStore:
    """Buckets on a server at `endpoint`."""

    def __init__(self, endpoint: str) -> None:
        import boto3  # only here, as moto below: most tests need not wait for it

        self.endpoint = endpoint
        self.client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    @property
    def env(self) -> dict[str, str]:
        """What a command needs to find it."""
        return {**CREDENTIALS, "AWS_ENDPOINT_URL_S3": self.endpoint}

    def make_bucket(self) -> str:
        """A bucket that no other test has."""
        name = f"lake-{os.getpid()}-{next(_NUMBERS)}"
        self.client.create_bucket(Bucket=name)
        return name

    def read(self, bucket: str, key: str) -> bytes:
        data: bytes = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return data

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


@contextmanager
def served() -> Iterator[ObjectStore]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(HOST, 0, verbose=False)
    server.start()
    try:
        yield ObjectStore("http://{}:{}".format(*server.get_host_and_port()))
    finally:
        server.stop()

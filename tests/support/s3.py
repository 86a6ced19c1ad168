"""S3 and its neighbours (IAM, STS, CloudFormation) over HTTP, by moto; it tells what it was asked, and fails to order.

One server a process; tests keep apart by their buckets.
"""

import io
import itertools
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self, TypeAlias
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment

import boto3
import requests
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

REGION = "eu-central-1"
ADMIN = {"aws_access_key_id": "AKIAADMIN", "aws_secret_access_key": "admin-secret", "region_name": REGION}

_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Asked:
    """A request to S3."""

    call: str
    """By S3's name for it."""
    bucket: str
    key: str
    """Or what a listing is to begin with."""
    headers: dict[str, str]

    @property
    def access_key(self) -> str:
        """The id of the key that it was signed with."""
        return self.headers["authorization"].partition("Credential=")[2].partition("/")[0]


@dataclass(frozen=True)
class Refusal:
    """An error as S3 answers it."""

    status: int
    code: str
    message: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    promised: int | None = None
    """How many bytes are announced, where the answer is to break off."""

    def body(self) -> bytes:
        return f"<Error><Code>{self.code}</Code><Message>{self.message}</Message></Error>".encode()


Fault: TypeAlias = Callable[[Asked, bytes], bytes | Refusal | None]
"""What is to happen to a request: nothing, another body than the one that was sent, or a refusal."""


class S3Server:
    """Starts on a free port of this machine and ends with its context."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._s3 = create_backend_app("s3")  # the dispatcher looks through moto's folders for each request
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=MotoRequestHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._session = boto3.Session()  # which reads what it knows of a service once
        self.asked: list[Asked] = []
        self.fault: Fault | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def client(self, service: str, **keys: str) -> Any:
        """A client of boto3, with the rights of an administrator unless keys are given."""
        return self._session.client(service, endpoint_url=self.url, **{**ADMIN, **keys})

    def new_bucket(self) -> str:
        """An empty bucket of its own, which keeps versions as that of `infra/aws/template.yaml` does."""
        name, client = f"lake-{next(_NUMBERS)}", self.client("s3")
        client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def env(self, bucket: str, prefix: str = "amplitude", **keys: str) -> dict[str, str]:
        """The settings of a lake in a bucket, with the standard variables of AWS for all that is AWS'."""
        keys = {**ADMIN, **keys}
        return {
            "SOURCES__AMPLITUDE__LAKE__BUCKET_URL": f"s3://{bucket}/{prefix}",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": keys["aws_access_key_id"],
            "AWS_SECRET_ACCESS_KEY": keys["aws_secret_access_key"],
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def files(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """All files of a bucket by their keys."""
        client = self.client("s3")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def unfinished(self, bucket: str) -> list[str]:
        """The keys of uploads that are neither complete nor aborted."""
        uploads = self.client("s3").list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        return [upload["Key"] for upload in uploads]

    def check_rights(self, count: float) -> None:
        """After so many requests that anybody may make, moto asks IAM about each; with infinity it asks about none."""
        requests.post(f"{self.url}/moto-api/reset-auth", data=str(count), timeout=10).raise_for_status()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        asked = _asked(environ)
        if asked is None:
            return self._moto(environ, start_response)  # type: ignore[no-any-return]  # moto has no types
        self.asked.append(asked)
        if self.fault:
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            done = self.fault(asked, body)
            if isinstance(done, Refusal):
                text = b"" if asked.call.startswith("Head") else done.body()
                length = str(done.promised or len(text))
                start_response(f"{done.status} refused", [("Content-Length", length), *done.headers])
                return [text]
            environ["wsgi.input"] = io.BytesIO(body if done is None else done)
        return self._s3(environ, start_response)


def _asked(environ: WSGIEnvironment) -> Asked | None:
    """None where it is not S3 that is asked."""
    if "/s3/" not in environ.get("HTTP_AUTHORIZATION", ""):
        return None
    query = parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
    bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
    headers = {name[5:].lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    call = _call_of(environ["REQUEST_METHOD"], bool(key), query.keys())
    return Asked(call, bucket, key or query.get("prefix", [""])[0], headers)


def _call_of(method: str, has_key: bool, query: Iterable[str]) -> str:
    """The name of the call; of those that no test looks at, the method."""
    named = {
        ("POST", True, "uploads"): "CreateMultipartUpload",
        ("POST", True, "uploadId"): "CompleteMultipartUpload",
        ("PUT", True, "uploadId"): "UploadPart",
        ("DELETE", True, "uploadId"): "AbortMultipartUpload",
        ("POST", False, "delete"): "DeleteObjects",
        ("GET", False, "list-type"): "ListObjectsV2",
        ("GET", False, "location"): "GetBucketLocation",
    }
    for parameter in query:
        if call := named.get((method, has_key, parameter)):
            return call
    plain = {
        ("PUT", True): "PutObject",
        ("GET", True): "GetObject",
        ("HEAD", True): "HeadObject",
        ("DELETE", True): "DeleteObject",
        ("HEAD", False): "HeadBucket",
        ("PUT", False): "CreateBucket",
        ("DELETE", False): "DeleteBucket",
    }
    return plain.get((method, has_key), method)

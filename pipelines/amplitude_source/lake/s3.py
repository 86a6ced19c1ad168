"""The lake on S3: uploads that S3 makes visible as a whole, checked by SHA-256; and what to mend where it refuses."""

import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from threading import Semaphore
from typing import IO, Any, TypedDict

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError, ParamValidationError
from dlt.common.storages import FilesystemConfiguration
from dlt.common.storages.fsspec_filesystem import fsspec_from_config
from fsspec.asyn import sync_wrapper
from s3fs.core import S3_RETRYABLE_ERRORS, S3File, S3FileSystem

from .storage import (
    AGAIN,
    BLOCK_BYTES,
    BLOCKS,
    CREDENTIALS,
    EXPORT_VARIABLE,
    LAKE_VARIABLE,
    LakeError,
    no_credentials,
)

# S3 takes parts of 5 MB to 5 GB, and 10,000 to a file: a member may have 80 GB. A part waits in memory for its turn.
PART_BYTES = 8 << 20
THREADS = 4
# A replay of small hours waits for little but answers; each hour that is read ahead may hold 16 MB of text.
HOURS_AHEAD = 4

RIGHTS = {
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "complete_multipart_upload": "s3:PutObject",
    "create_multipart_upload": "s3:PutObject",
    "delete_object": "s3:DeleteObject",
    "get_bucket_location": "s3:GetBucketLocation",
    "get_object": "s3:GetObject",
    "head_bucket": "s3:ListBucket",
    "head_object": "s3:GetObject",
    "list_objects_v2": "s3:ListBucket",
    "put_object": "s3:PutObject",
    "upload_part": "s3:PutObject",
}
"""The right that a call needs, where it is not named like the call itself."""

# An answer to HEAD has no text, only a number.
NO_BUCKET = {"NoSuchBucket"}
NO_FILE = {"NoSuchKey", "404"}
NO_RIGHT = {"AccessDenied", "AllAccessDisabled", "403"}
NO_CREDENTIALS = {"ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch", "TokenRefreshRequired"}
OTHER_REGION = {
    "301",
    "307",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "TemporaryRedirect",
}
# S3's own words name the right and the resource most exactly, a key's of KMS included. Not every refusal has them.
REFUSAL = re.compile(r'not authorized to perform: (?P<right>[\w:]+) on resource: "?(?P<resource>[^" ]+)')


class TellingFileSystem(S3FileSystem):  # type: ignore[misc]  # s3fs has no types
    """s3fs, telling what it may not do; it never makes a bucket, as s3fs does for a name that it cannot find."""

    async def _call_s3(self, method: str, *akwarglist: Any, **kwargs: Any) -> Any:
        """Every call to S3 comes by here.

        Raises:
            LakeError: S3 refuses it, or cannot be asked. A file that is missing stays a FileNotFoundError.
        """
        bucket, key = str(kwargs.get("Bucket")), kwargs.get("Key") or kwargs.get("Prefix") or ""
        if method == "create_bucket":
            raise LakeError(f"{no_bucket(bucket)} If it is there, AWS refuses s3:GetBucketLocation on it.")
        try:
            return await super()._call_s3(method, *akwarglist, **kwargs)
        except (OSError, BotoCoreError) as error:
            if isinstance(error, FileNotFoundError) and code_of(error) in NO_FILE:
                raise
            raise LakeError(explain(method, bucket, key, error)) from error

    call_s3 = sync_wrapper(_call_s3)


class TellingFile(S3File):  # type: ignore[misc]  # s3fs has no types
    """A file that is read in blocks; one that changes meanwhile is refused."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        with told_of_breaks(self.path):
            data: bytes = super()._fetch_range(start, end)
            return data


@contextmanager
def told_of_breaks(path: str) -> Iterator[None]:
    """Tells of an answer that broke off each time that s3fs asked for it.

    Raises:
        LakeError: it did.
    """
    try:
        yield
    except S3_RETRYABLE_ERRORS as error:
        raise LakeError(f"S3 breaks off while s3://{path} is read ({error}); {AGAIN}.") from error


def answer_of(error: BaseException) -> Mapping[str, Any]:
    """S3's answer that s3fs made an error of; empty where S3 gave none."""
    return error.__cause__.response if isinstance(error.__cause__, ClientError) else {}


def code_of(error: BaseException) -> str:
    """S3's name for what is wrong, or the status code of its answer."""
    return str(answer_of(error).get("Error", {}).get("Code", ""))


def no_bucket(bucket: str) -> str:
    return (
        f"There is no bucket {bucket}: correct {LAKE_VARIABLE} (or {EXPORT_VARIABLE}, if that names it), or make it "
        "with infra/aws/template.yaml."
    )


def explain(method: str, bucket: str, key: str, error: OSError | BotoCoreError) -> str:
    """The sentence for the user: what S3 refused, where, and the mend."""
    code = code_of(error)
    if code in NO_BUCKET:
        return no_bucket(bucket)
    if code in NO_RIGHT:
        refusal = REFUSAL.search(str(error))
        right = refusal["right"] if refusal else RIGHTS.get(method, f"s3:{method}")
        resource = refusal["resource"] if refusal else f"s3://{bucket}/{key}"
        return f"AWS refuses {right} on {resource}: grant it as infra/aws/template.yaml does, and {AGAIN}."
    if code in NO_CREDENTIALS:
        return f"AWS does not accept the credentials for the lake ({code}): renew them ({CREDENTIALS}), and {AGAIN}."
    if code in OTHER_REGION:
        return (
            f"Bucket {bucket} lies in {region_of(error)}: set AWS_DEFAULT_REGION or "
            f"SOURCES__AMPLITUDE__LAKE__CREDENTIALS__REGION_NAME to it, and {AGAIN}."
        )
    if code == "RequestTimeTooSkewed":
        return f"AWS finds this machine's clock wrong: set it right, and {AGAIN}."
    if isinstance(error, ConnectionError | HTTPClientError | TimeoutError):
        return (
            f"S3 cannot be reached ({error}): look at the network, the endpoint, a proxy (HTTPS_PROXY) and the "
            f"certificate that it may need (AWS_CA_BUNDLE), and {AGAIN}."
        )
    if isinstance(error, ParamValidationError):
        return f"{LAKE_VARIABLE}: {str(error).splitlines()[-1].partition(':')[0]}."
    if isinstance(error, BotoCoreError):
        return no_credentials(error)
    return f"S3 failed at s3://{bucket}/{key} ({method}: {code or type(error).__name__}: {error}); {AGAIN}."


def region_of(error: BaseException) -> str:
    """Where a bucket lies, as far as the answer tells."""
    answer = answer_of(error)
    region = answer["Error"].get("Region") or answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")
    return f"region {region}" if region else "another region"


class S3Lake:
    """A bucket, or what lies below a prefix of it."""

    reads_ahead = HOURS_AHEAD

    def __init__(self, config: FilesystemConfiguration) -> None:
        self._fs, root = fsspec_from_config(config)
        self._root = root.rstrip("/")
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="amplitude-upload")

    def read(self, path: str) -> bytes:
        with told_of_breaks(f"{self._root}/{path}"):
            data: bytes = self._fs.cat_file(f"{self._root}/{path}", max_concurrency=1)  # not asking for the size
            return data

    def open(self, path: str) -> IO[bytes]:
        file: IO[bytes] = TellingFile(
            self._fs,
            f"{self._root}/{path}",
            block_size=BLOCK_BYTES,
            cache_type="background",
            cache_options={"maxblocks": BLOCKS},
        )
        return file

    def write(self, path: str, data: bytes) -> None:
        Target(self._fs, f"{self._root}/{path}").call("put_object", Body=data, ChecksumSHA256=checksum(data))

    def uploads(self) -> "S3Uploads":
        return S3Uploads(self._fs, self._root, self._threads)

    def paths(self, folder: str) -> list[str]:
        found: list[str] = self._fs.find(f"{self._root}/{folder}")
        return sorted(path.removeprefix(f"{self._root}/") for path in found)

    def pages(self, prefix: str, after: str = "") -> Iterator[list[str]]:
        bucket, root, _ = self._fs.split_path(f"{self._root}/")
        asked = {"Bucket": bucket, "Prefix": f"{root}{prefix}"} | ({"StartAfter": f"{root}{after}"} if after else {})
        token: dict[str, str] | None = {}
        while token is not None:
            answer = self._fs.call_s3("list_objects_v2", **asked, **token)
            yield [entry["Key"].removeprefix(root) for entry in answer.get("Contents", ())]
            more = answer.get("NextContinuationToken")
            token = {"ContinuationToken": more} if more else None

    def remove(self, path: str) -> None:
        self._fs.rm_file(f"{self._root}/{path}")  # not `rm`, which does not tell what it may not delete

    def sync(self) -> None:
        """Does nothing: S3 answers only once a file is durable."""


class Target:
    """A file's place in a bucket."""

    def __init__(self, fs: TellingFileSystem, path: str) -> None:
        self._fs = fs
        self._bucket, self._key, _ = fs.split_path(path)

    def call(self, method: str, **kwargs: object) -> dict[str, Any]:
        answer: dict[str, Any] = self._fs.call_s3(method, Bucket=self._bucket, Key=self._key, **kwargs)
        return answer

    def __str__(self) -> str:
        return f"s3://{self._bucket}/{self._key}"


class Part(TypedDict):
    """As S3 is told of it."""

    PartNumber: int
    ETag: str
    ChecksumSHA256: str


class S3Uploads:
    """Multipart uploads: S3 keeps their parts to itself until it is told that they are complete.

    What a killed run leaves is no file and never will be; the bucket's lifecycle rule removes it.
    """

    def __init__(self, fs: TellingFileSystem, root: str, threads: ThreadPoolExecutor) -> None:
        self._fs, self._root, self._threads = fs, root, threads
        self._room = Semaphore(THREADS)
        self._uploads: list[S3Upload] = []

    @contextmanager
    def create(self, path: str) -> Iterator["S3Upload"]:
        upload = S3Upload(Target(self._fs, f"{self._root}/{path}"), self._threads, self._room)
        self._uploads.append(upload)
        yield upload
        upload.send()

    def commit(self) -> None:
        for upload in self._uploads:
            upload.wait()
        completed = [self._threads.submit(upload.complete) for upload in self._uploads]
        wait(completed)
        for each in completed:
            each.result()

    def discard(self) -> None:
        with suppress(LakeError):  # what S3 cannot be told now, it does by its lifecycle rule
            for upload in self._uploads:
                upload.abort()


class S3Upload:
    """A file on its way to S3, part by part, while the next part is written.

    Each part goes with its SHA-256, without which S3 does not take it; that of the file is compared at the end.
    """

    def __init__(self, target: Target, threads: ThreadPoolExecutor, room: Semaphore) -> None:
        self._target, self._threads, self._room = target, threads, room
        self._buffer = bytearray()
        self._size = 0
        self._id = threads.submit(self._begin)
        self._parts: list[Future[Part]] = []
        self._is_complete = False

    def write(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) >= PART_BYTES:
            self.send()

    def send(self) -> None:
        """What was written goes on its way as a part, as soon as there is room in memory for the next one."""
        self._room.acquire()
        data, self._buffer = bytes(self._buffer), bytearray()
        self._size += len(data)
        part = self._threads.submit(self._send_part, len(self._parts) + 1, data)
        part.add_done_callback(lambda _: self._room.release())
        self._parts.append(part)

    def wait(self) -> list[Part]:
        """All parts have arrived.

        Raises:
            LakeError: one has not.
        """
        return [part.result() for part in self._parts]

    def complete(self) -> None:
        """Makes the parts a file.

        Raises:
            LakeError: S3 does not, or holds something else than what was sent.
        """
        parts = self.wait()
        self._target.call("complete_multipart_upload", UploadId=self._id.result(), MultipartUpload={"Parts": parts})
        self._is_complete = True
        stored = self._target.call("head_object", ChecksumMode="ENABLED")
        found = stored["ContentLength"], str(stored.get("ChecksumSHA256")).partition("-")[0]
        if found != (self._size, checksum_of_parts(parts)):
            raise LakeError(f"{self._target} is not what was sent: its size or its SHA-256 differs; run again.")

    def abort(self) -> None:
        """Has S3 forget the parts, if they are no file."""
        for part in self._parts:
            part.cancel()
        wait(self._parts)
        if not self._is_complete and not self._id.exception():
            self._target.call("abort_multipart_upload", UploadId=self._id.result())

    def _begin(self) -> str:
        return str(self._target.call("create_multipart_upload", ChecksumAlgorithm="SHA256")["UploadId"])

    def _send_part(self, number: int, data: bytes) -> Part:
        sha256 = checksum(data)
        id_ = self._id.result()  # it was submitted before, so this waits for no thread
        sent = self._target.call("upload_part", UploadId=id_, PartNumber=number, Body=data, ChecksumSHA256=sha256)
        return {"PartNumber": number, "ETag": sent["ETag"], "ChecksumSHA256": sha256}


def checksum(data: bytes) -> str:
    """A SHA-256 as S3 writes it."""
    return b64encode(hashlib.sha256(data).digest()).decode()


def checksum_of_parts(parts: list[Part]) -> str:
    """S3's SHA-256 of a file in parts: that of the parts' own, one after the other."""
    return checksum(b"".join(b64decode(part["ChecksumSHA256"]) for part in parts))

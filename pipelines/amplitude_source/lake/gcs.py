"""A bucket of Google Cloud Storage, which is only read; and what to mend where Google refuses.

gcsfs signs in, asks, and tries again. Google's own variables and files say as whom.
"""

import logging
import re
from collections.abc import Iterator
from typing import IO, Any, NoReturn, cast

from aiohttp import ClientError
from fsspec.asyn import sync_wrapper
from fsspec.spec import AbstractBufferedFile
from gcsfs.core import GCSFileSystem
from gcsfs.retry import HttpError
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from requests import RequestException

from .storage import AGAIN, BLOCK_BYTES, BLOCKS, EXPORT_VARIABLE, GS, LakeError

CREDENTIALS = (
    "set GOOGLE_APPLICATION_CREDENTIALS to the key file of a service account, or sign in with `gcloud auth "
    "application-default login`, or give the machine a service account"
)
OBJECTS, OBJECT = "b/{}/o", "b/{}/o/{}"
RIGHTS = {OBJECTS: "storage.objects.list", OBJECT: "storage.objects.get"}
UNAUTHORIZED = 401
REFUSED = re.compile(r"Forbidden: .*\n(?P<reason>.*)")
"""What gcsfs makes of the status 403, which it has no class of its own for."""
NAMED_RIGHT = re.compile(r"storage\.\w+\.\w+")
ERRORS = (OSError, ValueError, HttpError, GoogleAuthError, ClientError, RequestException)

logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it logs a trace of each error that it raises


class GcsFiles:
    """A bucket, or what lies below a prefix of it.

    Args:
        url: its address, `gs://bucket/prefix`.

    Raises:
        LakeError: there are no credentials.
    """

    def __init__(self, url: str) -> None:
        self._bucket, _, prefix = url.removeprefix(GS).partition("/")
        self._root = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
        try:
            self._fs = TellingGcs(
                token="google_default",  # noqa: S106  # Google's name for where it looks
                access="read_only",
                skip_instance_cache=True,  # the next bucket may be another user's
                session_kwargs={
                    "trust_env": True,  # HTTPS_PROXY
                    "auto_decompress": False,  # else a file with the metadata `Content-Encoding: gzip` comes unzipped
                },
            )
        except (GoogleAuthError, ValueError, OSError) as error:
            raise LakeError(no_credentials(error)) from error

    def open(self, path: str) -> IO[bytes]:
        return cast(IO[bytes], GcsFile(self._fs, self._bucket, f"{self._root}{path}"))

    def pages(self, prefix: str, after: str = "") -> Iterator[list[str]]:
        first, token = f"{self._root}{after}" if after else None, ""
        while token is not None:
            answer = self._fs.call(
                "GET",
                OBJECTS,
                self._bucket,
                json_out=True,
                prefix=f"{self._root}{prefix}",
                startOffset=first,  # itself included
                pageToken=token or None,
                fields="items/name,nextPageToken",
            )
            names = [item["name"] for item in answer.get("items", ())]
            yield [name.removeprefix(self._root) for name in names if name != first]
            token = answer.get("nextPageToken")


class TellingGcs(GCSFileSystem):  # type: ignore[misc]  # gcsfs has no types
    """gcsfs, telling what it may not do."""

    async def _call(self, method: str, path: str, *names: str, json_out: bool = False, **kwargs: Any) -> Any:
        """Every call to Google comes by here.

        Raises:
            LakeError: Google refuses it, or cannot be asked. A file that is missing stays a FileNotFoundError.
        """
        if json_out:
            kwargs["headers"] = {"Accept-Encoding": "identity"}  # what comes in gzip stays so
        try:
            return await super()._call(method, path, *names, json_out=json_out, **kwargs)
        except ERRORS as error:
            explain(error, path, *names)

    call = sync_wrapper(_call)


class GcsFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """A file that is read in blocks; one that changes meanwhile is missing."""

    def __init__(self, fs: TellingGcs, bucket: str, key: str) -> None:
        found = fs.call("GET", OBJECT, bucket, key, json_out=True, fields="generation,size")
        self._place, self._generation = (bucket, key), found["generation"]
        super().__init__(
            fs,
            f"{bucket}/{key}",
            block_size=BLOCK_BYTES,
            cache_type="background",
            cache_options={"maxblocks": BLOCKS},
            size=int(found["size"]),
        )

    def _fetch_range(self, start: int, end: int) -> bytes:
        asked = {"Range": f"bytes={start}-{end - 1}"}
        _, data = self.fs.call("GET", OBJECT, *self._place, headers=asked, alt="media", generation=self._generation)
        return cast(bytes, data)


def no_credentials(reason: object) -> str:
    """The sentence for the user: how Google is to know them."""
    return (
        f"{EXPORT_VARIABLE}: there are no Google credentials for {GS} ({str(reason).splitlines()[0]}): {CREDENTIALS}."
    )


def explain(error: Exception, path: str, bucket: str, key: str = "") -> NoReturn:
    """Raise the sentence for the user: what Google refused, where, and the mend.

    Raises:
        FileNotFoundError: a file is missing.
        LakeError: all else.
    """
    place = f"{GS}{bucket}/{key}"
    if isinstance(error, FileNotFoundError):
        if path == OBJECT:
            raise FileNotFoundError(place) from error
        raise LakeError(f"{EXPORT_VARIABLE}: there is no bucket {bucket}: correct the name.") from error
    if refused := REFUSED.match(str(error)):
        reason = refused["reason"]
        right = NAMED_RIGHT.search(reason)
        raise LakeError(
            f"Google refuses {right[0] if right else RIGHTS[path]} on {place} ({reason.rstrip('.')}): grant the role "
            f"Storage Object Viewer on the bucket, and {AGAIN}."
        ) from error
    if isinstance(error, DefaultCredentialsError):
        raise LakeError(no_credentials(error)) from error
    if isinstance(error, GoogleAuthError) or getattr(error, "code", None) == UNAUTHORIZED:
        reason = (error.__cause__ or error).args[0]
        raise LakeError(
            f"Google does not accept the credentials ({str(reason).rstrip('.')}): renew them ({CREDENTIALS}), and "
            f"{AGAIN}."
        ) from error
    if isinstance(error, ClientError | RequestException | TimeoutError):
        raise LakeError(
            f"Google Cloud Storage cannot be reached, or breaks off, at {place} ({error}): look at the network, a "
            f"proxy (HTTPS_PROXY) and the certificate that it may need (SSL_CERT_FILE), and {AGAIN}."
        ) from error
    raise LakeError(f"Google Cloud Storage failed at {place} ({' '.join(str(error).split())}); {AGAIN}.") from error

"""Opens the lake of the settings, wherever it lies."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO

from dlt.common.storages import FilesystemConfiguration
from fsspec import register_implementation

from ..certificates import AWS_CERTIFICATE_VARIABLES, certificates_fault
from .storage import EXPORT_VARIABLE, Lake, LakeError, LocalLake, told_credentials

S3 = "s3://"


def open_lake(config: FilesystemConfiguration) -> Lake:
    """Return the lake of the settings.

    Raises:
        LakeError: its credentials or the file of certificates cannot be read.
    """
    if config.is_local_filesystem:
        return LocalLake(Path(config.make_local_path(config.bucket_url)))
    if fault := certificates_fault(AWS_CERTIFICATE_VARIABLES):
        raise LakeError(fault)
    from .s3 import S3Lake, TellingFileSystem  # only here: its imports take half a second

    # Everybody in this process who asks S3 for something, dlt included, is shown what was refused.
    register_implementation("s3", TellingFileSystem, clobber=True)
    with told_credentials():
        return S3Lake(config)


class Places:
    """Files outside of the lake, by their addresses, which stay where they are.

    Args:
        configs: where credentials for S3 are to be found.
    """

    def __init__(self, configs: Sequence[FilesystemConfiguration | None]) -> None:
        self._config = next((config for config in configs if config and not config.is_local_filesystem), None)
        self._buckets: dict[str, Lake] = {}

    def open(self, place: str) -> IO[bytes]:
        """Open a file for reading in pieces.

        Raises:
            FileNotFoundError: there is none.
            LakeError: it lies on S3, whose credentials are not known.
        """
        if not place.startswith(S3):
            return Path(place).open("rb")
        bucket, _, key = place.removeprefix(S3).partition("/")
        return self._bucket(bucket).open(key)

    def _bucket(self, name: str) -> Lake:
        if name not in self._buckets:
            if not self._config:
                raise LakeError(
                    f"The archive refers to files in {S3}{name}, and there is no setting of S3 any more: set "
                    f"{EXPORT_VARIABLE} again, or load the hours anew."
                )
            config = self._config.copy()
            config.bucket_url = f"{S3}{name}"
            self._buckets[name] = open_lake(config)
        return self._buckets[name]


def place_of(config: FilesystemConfiguration, path: str) -> str:
    """Return the address of a file in a lake or a bucket."""
    if config.is_local_filesystem:
        return str(Path(config.make_local_path(config.bucket_url)).absolute() / path)
    return f"{config.bucket_url.rstrip('/')}/{path}"

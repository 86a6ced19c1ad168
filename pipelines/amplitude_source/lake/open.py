"""Opens the lake of the settings, wherever it lies, and places that exported files are read from."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO

from dlt.common.storages import FilesystemConfiguration
from fsspec import register_implementation

from ..certificates import AWS_CERTIFICATE_VARIABLES, certificates_fault
from .storage import EXPORT_VARIABLE, GS, S3, Files, Lake, LakeError, LocalLake, told_credentials

INSTALL_GCS = ".venv/bin/pip install --editable '.[gcs]'"


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


def open_files(config: FilesystemConfiguration) -> Files:
    """Return a place that exported files are read from: whatever a lake may be, or a bucket of Google Cloud Storage.

    Raises:
        LakeError: its credentials cannot be read, or the library for it is not installed.
    """
    if not config.bucket_url.startswith(GS):
        return open_lake(config)
    try:
        from .gcs import GcsFiles  # only here: its imports take two seconds, and it need not be installed
    except ModuleNotFoundError as error:
        raise LakeError(
            f"{config.bucket_url} cannot be read, because {error.name} is not installed: run {INSTALL_GCS}."
        ) from error
    return GcsFiles(config.bucket_url)


class Places:
    """Files outside of the lake, by their addresses, which stay where they are.

    Args:
        configs: where credentials for S3 are to be found.
    """

    def __init__(self, configs: Sequence[FilesystemConfiguration | None]) -> None:
        self._s3 = next((config for config in configs if config and config.protocol == "s3"), None)
        self._buckets: dict[str, Files] = {}

    def open(self, place: str) -> IO[bytes]:
        """Open a file for reading in pieces.

        Raises:
            FileNotFoundError: there is none.
            LakeError: it lies in a bucket, whose credentials are not known.
        """
        scheme = next((scheme for scheme in (S3, GS) if place.startswith(scheme)), None)
        if not scheme:
            return Path(place).open("rb")
        bucket, _, key = place.removeprefix(scheme).partition("/")
        return self._bucket(f"{scheme}{bucket}").open(key)

    def _bucket(self, url: str) -> Files:
        if url not in self._buckets:
            self._buckets[url] = open_files(self._config(url))
        return self._buckets[url]

    def _config(self, url: str) -> FilesystemConfiguration:
        if url.startswith(GS):
            return FilesystemConfiguration(url)
        if not self._s3:
            raise LakeError(
                f"The archive refers to files in {url}, and there is no setting of S3 any more: set "
                f"{EXPORT_VARIABLE} again, or load the hours anew."
            )
        config = self._s3.copy()
        config.bucket_url = url
        return config


def place_of(config: FilesystemConfiguration, path: str) -> str:
    """Return the address of a file in a lake or a bucket."""
    if config.is_local_filesystem:
        return str(Path(config.make_local_path(config.bucket_url)).absolute() / path)
    return f"{config.bucket_url.rstrip('/')}/{path}"

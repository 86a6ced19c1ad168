"""Opens the lake of the settings, wherever it lies."""

from pathlib import Path

from dlt.common.storages import FilesystemConfiguration
from fsspec import register_implementation

from ..certificates import AWS_CERTIFICATE_VARIABLES, certificates_fault
from .storage import Lake, LakeError, LocalLake, told_credentials


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

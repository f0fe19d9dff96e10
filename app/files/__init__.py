"""Files: what clients upload and what jobs leave, on a disk or in S3. Knows nothing of HTTP."""

from app.files.errors import (
    ExpiredUploadError,
    FilesError,
    MissingFileError,
    QuotaExceededError,
    StorageFullError,
    StorageUnavailableError,
    UnknownUploadError,
    UploadInUseError,
    UploadTooLargeError,
    UploadTypeError,
)
from app.files.job_files import JobFiles
from app.files.media_types import UNKNOWN as UNKNOWN_TYPE
from app.files.storage import CHUNK, Storage, StoredFile
from app.files.sweep import FileSweep
from app.files.uploads import IncomingUpload, Upload, UploadRules, Uploads
from app.files.wiring import init_app

__all__ = [
    # Using them
    "CHUNK", "UNKNOWN_TYPE", "FileSweep", "IncomingUpload", "JobFiles", "Storage", "StoredFile", "Upload",
    "UploadRules", "Uploads", "init_app",
    # Errors
    "ExpiredUploadError", "FilesError", "MissingFileError", "QuotaExceededError", "StorageFullError",
    "StorageUnavailableError", "UnknownUploadError", "UploadInUseError", "UploadTooLargeError", "UploadTypeError",
]  # fmt: skip

"""What can go wrong with files. Data as attributes; HTTP is not known here."""

from collections.abc import Sequence


class FilesError(Exception):
    """Base of every error this package raises on purpose."""


class MissingFileError(FilesError):
    """Nothing is stored under this key."""


class StorageFullError(FilesError):
    """The disk, or the place's own quota, holds no more."""


class StorageUnavailableError(FilesError):
    """The place where files are did not do what was asked, and may do it later."""


class UnknownUploadError(FilesError):
    """There is no such upload of this owner's, as far as is still known."""


class ExpiredUploadError(FilesError):
    """There was one, and its time has passed."""


class UploadInUseError(FilesError):
    """A job that has not ended names the upload."""

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id


class UploadTooLargeError(FilesError):
    """More bytes came than an upload may have; ``limit`` in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class QuotaExceededError(FilesError):
    """The owner's uploads would have more bytes than they may have together; ``quota`` in bytes."""

    def __init__(self, quota: int) -> None:
        super().__init__(quota)
        self.quota = quota


class UploadTypeError(FilesError):
    """The upload is of a media type that is not taken, or its content is not of the type that it says it is."""

    def __init__(self, problem: str, allowed: Sequence[str]) -> None:
        super().__init__(problem, allowed)
        self.problem = problem
        self.allowed = allowed

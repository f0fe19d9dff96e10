"""What each error about files is to a client; for ``app.errors``, which makes the answers."""

from http import HTTPStatus

from app.files import (
    ExpiredUploadError,
    FilesError,
    MissingFileError,
    QuotaExceededError,
    StorageFullError,
    UnknownUploadError,
    UploadInUseError,
    UploadTooLargeError,
    UploadTypeError,
)


def file_problem(error: FilesError) -> tuple[HTTPStatus, str]:
    """The status, and a sentence that says what to do."""
    match error:
        case UnknownUploadError():
            return HTTPStatus.NOT_FOUND, "There is no such file of yours. Use the file_id that POST files answered."
        case ExpiredUploadError():
            return HTTPStatus.GONE, "The file has expired. Upload it again with POST files."
        case MissingFileError():
            return HTTPStatus.GONE, "The file has been removed. Submit the job again to have it anew."
        case UploadInUseError():
            return (
                HTTPStatus.CONFLICT,
                f"Job {error.task_id}, which has not ended, needs the file. Wait until it has, or cancel it.",
            )
        case UploadTooLargeError():
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A file may have {error.limit:,} bytes. Split it."
        case QuotaExceededError():
            return (
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"Your files may have {error.quota:,} bytes together, and this one is too much. DELETE those that "
                "you need no more; GET files lists them.",
            )
        case UploadTypeError():
            return (
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                f"{error.problem} These types of files are taken: {', '.join(error.allowed)}.",
            )
        case StorageFullError():
            return HTTPStatus.INSUFFICIENT_STORAGE, "There is no room for the file at the moment. Try again later."
        case _:
            return (
                HTTPStatus.SERVICE_UNAVAILABLE,
                "Files cannot be read or written for the moment. Try again after Retry-After seconds.",
            )

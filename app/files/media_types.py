"""Which media types are taken as uploads, told by what is declared, by the name and by the first bytes."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from mimetypes import MimeTypes

from app.files.errors import UploadTypeError

UNKNOWN = "application/octet-stream"

#: How much of a file :func:`check_content` wants to see.
HEAD = 1024

#: What says nothing: clients send it for want of a better one. Windows declares CSV as the third.
_VAGUE = {UNKNOWN, "binary/octet-stream", "application/vnd.ms-excel", "application/x-www-form-urlencoded"}

#: Built in and no system's own table, so that every host decides alike.
_BY_NAME = MimeTypes(filenames=())
_BY_NAME.add_type("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".xlsx")
_BY_NAME.add_type("application/vnd.openxmlformats-officedocument.wordprocessingml.document", ".docx")
_BY_NAME.add_type("application/vnd.openxmlformats-officedocument.presentationml.presentation", ".pptx")
_BY_NAME.add_type("application/x-ndjson", ".ndjson")
_BY_NAME.add_type("application/vnd.apache.parquet", ".parquet")

#: First bytes → the types whose files begin so; the last one of each is how the content is called in messages.
_SIGNATURES: Sequence[tuple[bytes, Sequence[str]]] = (
    (b"%PDF-", ("application/pdf",)),
    (b"\x89PNG\r\n\x1a\n", ("image/png",)),
    (b"\xff\xd8\xff", ("image/jpeg",)),
    (b"GIF87a", ("image/gif",)),
    (b"GIF89a", ("image/gif",)),
    (b"PK\x03\x04", ("application/vnd.openxmlformats-*", "application/vnd.oasis.*", "application/epub+zip",
                     "application/java-archive", "application/zip")),
    (b"PK\x05\x06", ("application/zip",)),  # an empty one
    (b"\x1f\x8b", ("application/x-gzip", "application/gzip")),
    (b"7z\xbc\xaf\x27\x1c", ("application/x-7z-compressed",)),
    (b"Rar!\x1a\x07", ("application/vnd.rar",)),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ("application/vnd.ms-*", "application/msword")),
    (b"PAR1", ("application/vnd.apache.parquet",)),
    (b"\x7fELF", ("application/x-executable",)),
)  # fmt: skip

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def told_type(declared: str, name: str) -> str:
    """The type that is declared or, where that says nothing, the one that the name's ending stands for."""
    if declared and declared not in _VAGUE:
        return declared
    return _BY_NAME.guess_type(name)[0] or declared or UNKNOWN


def check_told(declared: str, name: str, allowed: Sequence[str]) -> None:
    """Raises: UploadTypeError. ``allowed``: types, ``image/*`` for all images; empty for every type."""
    told, by_name = told_type(declared, name), _BY_NAME.guess_type(name)[0]
    for found in (told, by_name):
        if allowed and found is not None and not _is_one_of(found, allowed):
            raise UploadTypeError(f"A file of type {found} is not taken.", allowed)


def check_content(head: bytes, told: str, allowed: Sequence[str]) -> None:
    """Whether the first bytes give the lie to the type; they seldom prove it. Raises: UploadTypeError."""
    if not allowed:
        return
    found = next((types for signature, types in _SIGNATURES if head.startswith(signature)), None)
    if found is not None and not _is_one_of(told, found):
        raise UploadTypeError(f"The content is {found[-1]} and not {told}.", allowed)
    if found is None and any(_is_one_of(told, types) for _, types in _SIGNATURES):
        raise UploadTypeError(f"The content is not {told}.", allowed)
    if told.startswith("text/") and b"\x00" in head and not head.startswith(_UTF_16):
        raise UploadTypeError(f"The content is binary and not {told}.", allowed)


def _is_one_of(media_type: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(media_type, pattern) for pattern in patterns)

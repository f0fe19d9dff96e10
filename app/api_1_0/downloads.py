"""Answering with a file: ranges, validators, and nothing that a browser would run in this origin."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import BinaryIO
from urllib.parse import quote

from flask import Response, request
from werkzeug.exceptions import PreconditionFailed, RequestedRangeNotSatisfiable
from werkzeug.wsgi import ClosingIterator, wrap_file

from app.files import CHUNK, StoredFile

#: Of every answer with a file; for the OpenAPI document.
HEADERS = ("ETag", "Last-Modified", "Accept-Ranges", "Content-Disposition")

REQUEST_HEADERS = ("Range", "If-Range", "If-None-Match")

_RANGE = re.compile(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*", re.IGNORECASE)


def download(file: BinaryIO, stored: StoredFile, *, name: str, content_type: str, etag: str) -> Response:
    """The file as an attachment: 200, 206 for a range, or 304. The file is closed with the answer.

    ``etag``: of these very bytes, so that it is a strong one (RFC 9110, section 8.8.1).
    Raises: werkzeug's RequestedRangeNotSatisfiable and PreconditionFailed.
    """
    response = Response(wrap_file(request.environ, file, CHUNK), direct_passthrough=True)
    response.content_type = content_type
    response.content_length = stored.size
    response.last_modified = stored.modified_at
    response.set_etag(etag)
    response.headers["Content-Disposition"] = content_disposition(name)
    # Should a browser show it all the same, it is nobody's page.
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response.headers["Accept-Ranges"] = "bytes"
    # Browsers would reckon from Last-Modified for how long to keep it, whoever asks then and whether it is removed.
    response.headers["Cache-Control"] = "private, no-cache"
    try:
        # Preconditions come before ranges (RFC 9110, section 13.2.2), which werkzeug has the other way round.
        response.make_conditional(request.environ)
        if response.status_code == HTTPStatus.PRECONDITION_FAILED or _is_changed_since(stored):
            raise PreconditionFailed
        if response.status_code == HTTPStatus.OK and request.method == "GET" and _is_of(response):
            _narrow(response, file, stored.size)
    except Exception:
        response.close()
        raise
    return response


def _is_changed_since(stored: StoredFile) -> bool:
    """By ``If-Unmodified-Since``, which werkzeug passes over; ``If-Match`` is stronger (RFC 9110, section 13.1.4)."""
    date = request.if_unmodified_since
    return date is not None and "If-Match" not in request.headers and stored.modified_at.replace(microsecond=0) > date


def _is_of(response: Response) -> bool:
    """Whether what the range is asked of is what there is: the same strong ETag, or the very date."""
    validator = request.headers.get("If-Range")
    return validator in (None, response.headers["ETag"], response.headers["Last-Modified"])


def _narrow(response: Response, file: BinaryIO, size: int) -> None:
    """To the range that is wanted, if it is one. Raises: RequestedRangeNotSatisfiable.

    A ``Range`` that cannot be read, is in another unit or names several is ignored (RFC 9110, section 14.2).
    """
    wanted = _RANGE.fullmatch(request.headers.get("Range", ""))
    if wanted is None or not any(wanted.groups()):
        return
    first, last = (int(digits) if digits else None for digits in wanted.groups())
    if first is None:
        first, last = max(size - (last or 0), 0), size - 1
    elif last is not None and last < first:
        return
    last = size - 1 if last is None else min(last, size - 1)
    if first >= size:
        raise RequestedRangeNotSatisfiable(size)
    file.seek(first)
    response.response = ClosingIterator(_pieces(file, last + 1 - first), file.close)
    response.status_code = HTTPStatus.PARTIAL_CONTENT
    response.content_length = last + 1 - first
    response.headers["Content-Range"] = f"bytes {first}-{last}/{size}"


def _pieces(file: BinaryIO, length: int) -> Iterator[bytes]:
    while length and (piece := file.read(min(CHUNK, length))):
        length -= len(piece)
        yield piece


def content_disposition(name: str) -> str:
    """RFC 6266: the name in ASCII for old clients and, when that is not all of it, as RFC 8187 has it."""
    plain = "".join(character if character.isprintable() else "_" for character in name) or "file"
    ascii_name = "".join(character if character.isascii() and character not in '"\\%' else "_" for character in plain)
    value = f'attachment; filename="{ascii_name}"'
    if ascii_name != plain:
        value += f"; filename*=UTF-8''{quote(plain, safe='!#$&+-.^_`|~')}"
    return value

"""Answering with a file: ranges, validators, and nothing that a browser would run in this origin."""

from typing import Any, BinaryIO
from urllib.parse import quote

from flask import Response, request
from werkzeug.http import parse_range_header
from werkzeug.wsgi import wrap_file

from app.files import CHUNK, StoredFile

#: Of every answer with a file; for the OpenAPI document.
HEADERS = ("ETag", "Last-Modified", "Accept-Ranges", "Content-Disposition")

REQUEST_HEADERS = ("Range", "If-Range", "If-None-Match")


def download(file: BinaryIO, stored: StoredFile, *, name: str, content_type: str, etag: str) -> Response:
    """The file as an attachment: 200, 206 for a range, or 304. The file is closed with the answer.

    ``etag``: of these very bytes, so that it is a strong one (RFC 9110, section 8.8.1).
    Raises: werkzeug's RequestedRangeNotSatisfiable.
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
    try:
        response.make_conditional(_with_one_range(), accept_ranges=True, complete_length=stored.size)
    except Exception:
        response.close()
        raise
    return response


def content_disposition(name: str) -> str:
    """RFC 6266: the name in ASCII for old clients and, when that is not all of it, as RFC 8187 has it."""
    plain = "".join(character if character.isprintable() else "_" for character in name) or "file"
    ascii_name = "".join(character if character.isascii() and character not in '"\\%' else "_" for character in plain)
    value = f'attachment; filename="{ascii_name}"'
    if ascii_name != plain:
        value += f"; filename*=UTF-8''{quote(plain, safe='!#$&+-.^_`|~')}"
    return value


def _with_one_range() -> dict[str, Any]:
    """The request's environment, without a ``Range`` that is to be ignored (RFC 9110, section 14.2).

    That is on any method but GET, when it cannot be read or is in another unit, and when it names several ranges,
    which a server need not serve.
    """
    environ = dict(request.environ)
    wanted = parse_range_header(environ.get("HTTP_RANGE"))
    if request.method != "GET" or wanted is None or wanted.units != "bytes" or len(wanted.ranges) != 1:
        environ.pop("HTTP_RANGE", None)
    return environ
